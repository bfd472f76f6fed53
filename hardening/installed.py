"""What installed packages bring through entry points, and which package it is from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import attrs


@attrs.frozen
class Brought:
    """An entry point: ``name`` and ``value`` as it is written, with the distribution that brings it and its version; both
    are empty where there is none."""

    name: str
    value: str
    distribution: str
    version: str
    entry: metadata.EntryPoint = attrs.field(eq=False)

    def load(self) -> Any:
        """Import what it names; raises `ImportError`, `SyntaxError` or `AttributeError`."""
        return self.entry.load()


def brought(group: str) -> list[Brought]:
    """The entry points of a group, each once: one distribution may be on ``sys.path`` twice (an editable installation and
    its source)."""
    known: dict[int, Mapping[str, str]] = {}
    found: dict[tuple[str, str, str], Brought] = {}
    for entry in metadata.entry_points(group=group):
        headers = known.setdefault(id(entry.dist), _headers(entry.dist)) if entry.dist else {}
        one = Brought(entry.name, entry.value, headers.get("name", ""), headers.get("version", ""), entry)
        found.setdefault((one.name, one.value, one.distribution), one)
    return list(found.values())


def _headers(distribution: metadata.Distribution) -> dict[str, str]:
    """The fields of a distribution by their names in lower case. importlib.metadata would read all of it, README included,
    as an e-mail, once for each field that it is asked for."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    lines = text.partition("\n\n")[0].splitlines()
    fields = (line.partition(":") for line in reversed(lines) if not line.startswith((" ", "\t")))
    return {name.lower(): value.strip() for name, _, value in fields}
