"""What is left out of all that is told of a command: the values of its secrets, and of the variables that were typed."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import attrs

from hardening.assemble import handover
from hardening.base import files
from hardening.base.pointer import lookup
from hardening.base.text import printable
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import quoted
from hardening.launch.secret import secrets
from hardening.mechanism.fragment import Spec
from hardening.profile import toml_text
from hardening.profile.source import SHORTEST

_Told = TypeVar("_Told")
#: Values that are no secrets, and that a report cannot do without: addresses, ports and small numbers.
_PLAIN = re.compile(r"(\d{1,5}([:.]|\b))*")
#: A shorter value is found as a word alone: it is a part of many.
_LONG = 8
#: What may stand before and after a value in a path: nothing of its own part, or some of it.
_AROUND = (("/", ""), ("/", "\1"), ("\1", ""), ("\1", "\1"))


@frozen
class Redaction:
    """Texts that are told to nobody, and ``folders``: what comes before the slashes in them, which is told to nobody where a
    path ends with it. (What is said of a path may be of a folder on the way to it.)"""

    texts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def of(self, told: _Told) -> _Told:
        """Something that is to be told, with `…` in the place of each of the texts: a text, or tables, lists and values with
        fields that hold some, without their keys."""
        return cast("_Told", self._of(told))

    def _of(self, told: Any) -> Any:
        kind = type(told)
        if kind is str:
            return self._text(told)
        if isinstance(told, Mapping):
            return {key: self._of(value) for key, value in told.items()}
        if kind in (list, tuple, frozenset):
            return kind(map(self._of, told))
        if attrs.has(kind):
            return attrs.evolve(
                told, **{field.name: self._of(getattr(told, field.name)) for field in attrs.fields(kind)}
            )
        return told

    def _text(self, text: str) -> str:
        for one in self.texts:
            pattern = re.escape(one) if len(one) >= _LONG else rf"(?<!\w){re.escape(one)}(?!\w)"
            text = re.sub(pattern, "…", text)
        for one in self.folders:
            before = "" if len(one) >= _LONG else r"(?<=[^\w\s(])"  # a short one is as well a word of a sentence
            text = re.sub(rf"{before}{re.escape(one)}(?![\w/])", "…", text)
        return text


def of_secrets(opened: int) -> Redaction:
    """The values of the secrets in a descriptor that `handover` has sealed, -1 for none. This process leaves no core dump
    from then on. Raises `OSError`."""
    if opened < 0:
        return Redaction()
    handover.leave_no_core()
    return _lines(map(files.decode, secrets.unpack(os.pread(opened, os.fstat(opened).st_size, 0)).values()))


def of_run(opened: int, spec: Spec, composition: Composition) -> Redaction:
    """These, and the values of variables that were typed."""
    typed = handover.typed_variables(spec, composition).values()
    return _lines((*of_secrets(opened).texts, *(value for value in typed if not _is_plain(value, spec))))


def _is_plain(value: str, spec: Spec) -> bool:
    """Whether a value is no secret: a number, or a path below what the host or the container has at the root. (One of 64
    random texts in base64 begins with a slash.)"""
    if not value.startswith(("/", "./", "../")):
        return bool(_PLAIN.fullmatch(value))
    top = "/" + value.lstrip("./").partition("/")[0]
    places = [str(mount.get("destination", "")) for mount in lookup(spec.document, "/mounts") or ()]
    return os.path.lexists(top) or any(f"{place}/".startswith(f"{top}/") for place in places)


def _lines(values: Iterable[str]) -> Redaction:
    """Each value, and each of its lines, in all forms, the longest first: a shell leaves out the last line feed, and who
    prints one of them prints a part."""
    lines = {line.strip() for value in values for line in (value, *value.splitlines())}
    texts = {text for line in lines if len(line) >= SHORTEST for text in (line, *_in_paths(line))}
    folders = {folder for text in texts for folder in _folders(text)}
    return Redaction(_written(texts), _written(folders))


def _in_paths(value: str) -> Iterator[str]:
    """A value as a part of a path without repeated slashes, `.` and `..`, beside which the path's own part may go on."""
    for before, after in _AROUND:
        path = posixpath.normpath(f"/{before}{value}{after}")
        yield path.lstrip("/").removeprefix(before).removesuffix(after)


def _folders(value: str) -> Iterator[str]:
    """What comes before each slash of a value, but for what the host has at its root, which is no secret."""
    parts = value.strip("/").split("/")
    for number in range(1, len(parts)):
        folder = "/".join(parts[:number])
        if not os.path.lexists(f"/{folder}"):
            yield folder


def _written(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts in all forms, the longest first, without what is too short to tell."""
    forms = {form for text in texts for form in _forms(text) if len(form) >= SHORTEST}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(text: str) -> Iterator[str]:
    """A text as it is told: as it stands, as a terminal can show it, and between the quotes of TOML, of JSON and of a
    shell."""
    for written in (
        text,
        printable(text),
        toml_text.inline(text)[1:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
    ):
        yield written
        yield written.replace("'", "'\"'\"'")
        yield quoted(f"{written}\a").removeprefix("$'").removesuffix("\\007'")
