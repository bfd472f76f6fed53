"""What installed packages bring through entry points (packaging.python.org, "Entry points specification").

This reads what importlib.metadata would, without importing it: that takes longer than reading every profile of a stack.
"""

from __future__ import annotations

import os
import re
import site
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from hardening.base.values import frozen

_FOLDERS = (".dist-info", ".egg-info")
ENTRY_POINTS = "entry_points.txt"
HEADERS = ("METADATA", "PKG-INFO")


@frozen
class Brought:
    """An entry point: ``name`` and ``value`` as they are written, with the distribution that brings it, its version, and
    the requirements that it states."""

    name: str
    value: str
    distribution: str
    version: str
    requires: tuple[str, ...] = ()

    def load(self) -> Any:
        """Import what it names; raises `ImportError`, `SyntaxError` or `AttributeError`."""
        module, _, names = self.value.partition(":")
        found: Any = import_module(module.strip())
        for name in filter(None, names.partition("[")[0].strip().split(".")):
            found = getattr(found, name)
        return found


#: What distributions announce: the folder of the metadata of each, and the text of its entry points.
Announced = Mapping[str, str]


def everything() -> Announced:
    """What the distributions on ``sys.path`` announce: of one that is there twice (an editable installation and its source),
    the first."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for place in dict.fromkeys(sys.path):
        for folder in distributions(place or "."):
            # Name and version are parts of the folder's name (packaging.python.org, "Recording installed projects").
            stem = os.path.basename(folder).rpartition(".")[0]
            key = re.sub(r"[-_.]+", "-", stem.partition("-")[0]).lower()
            if key not in seen:
                seen.add(key)
                found[folder] = announced(folder)
    return found


def brought(group: str, among: Announced | None = None) -> list[Brought]:
    """The entry points of a group, ``among`` what was read before where it was."""
    read = everything() if among is None else among
    return [item for folder, text in read.items() for item in _brought(folder, text, group)]


def distributions(place: str) -> list[str]:
    """The folders of metadata in one entry of ``sys.path``."""
    try:
        return [os.path.join(place, name) for name in sorted(os.listdir(place)) if name.endswith(_FOLDERS)]
    except OSError:
        return []  # an entry of sys.path need not exist, nor be a directory


def awaited() -> Iterator[str]:
    """Where packages would be found if there were such a directory: what `site` puts on ``sys.path`` only where it exists,
    directories of packages and the lines of the ``.pth`` files in them."""
    known = {os.path.abspath(entry) for entry in sys.path}
    for folder in site.getsitepackages():
        for place in map(os.path.abspath, (folder, *_linked(folder))):
            if place not in known:
                yield place


def _linked(folder: str) -> Iterator[str]:
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".pth")]
    except OSError:
        return
    for line in (line.rstrip() for name in names for line in _read(folder, name).splitlines()):
        if line and not line.startswith(("#", "import ", "import\t")):
            yield os.path.join(folder, line)


def _brought(folder: str, text: str, group: str) -> Iterator[Brought]:
    """What one distribution brings in a group."""
    section, headers = "", None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif line and not line.startswith("#") and section == group:
            name, _, value = line.partition("=")
            headers = headers or _headers(folder)
            first = {key: found[0] for key, found in headers.items()}
            distribution, version = first.get("name", ""), first.get("version", "")
            yield Brought(name.strip(), value.strip(), distribution, version, tuple(headers.get("requires-dist", ())))


def announced(folder: str) -> str:
    """The entry points of a distribution, as its file of that name holds them."""
    return _read(folder, ENTRY_POINTS)


def _headers(folder: str) -> dict[str, list[str]]:
    """The fields of a distribution by their names in lower case, without the README that follows."""
    text = next(filter(None, (_read(folder, name) for name in HEADERS)), "")
    found: dict[str, list[str]] = {}
    # A line that begins with white space goes on with the field above it (RFC 5322, 2.2.3).
    for line in re.sub(r"\n(?=[ \t])", "", text.partition("\n\n")[0]).split("\n"):
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # a distribution without entry points has no such file
