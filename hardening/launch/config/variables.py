"""Variables whose values stand in no file: those that the command line gives or passes on. And those that may stand in a
receipt, for a profile says them.

`config.json` of a native launch holds the names alone of the first. Their values come in a sealed memfd, as those of secrets
do, or are found again in the words of a line whose plan is stored.
"""

from __future__ import annotations

from hardening.base import jsontext
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.config.bundle import VARIABLES
from hardening.launch.secret import secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENCODING, ERRORS = "utf-8", "surrogateescape"


def fill(document: object, values: Mapping[str, str]) -> None:
    """Put the values into the environment of a configuration, in memory. `LaunchError` for one that was not handed over, and
    for those that nothing asks for."""
    entries = _table(document, "process").get("env")
    asked = [name for name in entries if isinstance(name, str) and "=" not in name] if isinstance(entries, list) else []
    if sorted(asked) != sorted(values):
        raise LaunchError(
            "the variables that were passed are not those that it asks for", origin="config.json:/process/env"
        )
    if isinstance(entries, list):
        entries[:] = [f"{entry}={values[entry]}" if entry in asked else entry for entry in entries]


def public(document: object) -> dict[str, str]:
    """The variables of a configuration whose values stand in a profile, with these, as its annotation `VARIABLES` names
    them. `LaunchError` for one that is no list of names."""
    process, annotations = (_table(document, key) for key in ("process", "annotations"))
    text, entries = annotations.get(VARIABLES), process.get("env")
    if text is None:
        return {}
    origin = f"config.json:/annotations/{VARIABLES}"
    names = jsontext.parse(text.encode(ENCODING, ERRORS), origin) if isinstance(text, str) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LaunchError("must be a JSON list of names", origin=origin)
    texts = [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else []
    pairs = [entry.partition("=") for entry in texts]
    return {name: value for name, equals, value in pairs if equals and name in names}


def _table(document: object, key: str) -> dict[str, object]:
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def take(fd: int) -> dict[str, str]:
    """The values by name, from a memfd that is closed. `OSError`."""
    try:
        data = os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
    return {name: value.decode(ENCODING, ERRORS) for name, value in secrets.unpack(data).items()}


def place(name: str, value: str, words: Sequence[str], environment: Mapping[str, str]) -> list[int] | None:
    """Where the same line has the value of a variable: a word, or what follows its `=`, and where it begins in it; empty
    for the caller's own variable, None where it stands nowhere as it is."""
    for index, word in enumerate(words):
        if word == value or word.endswith(f"={value}"):
            return [index, len(word) - len(value)]
    return [] if environment.get(name) == value else None


def find(places: Mapping[str, Sequence[int]], words: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The values by name at their `place`. `KeyError`, `ValueError`, `IndexError` where there are none."""
    found = {}
    for name, at in places.items():
        if at:
            index, begin = at
            found[name] = words[index][begin:]
        else:
            found[name] = environment[name]
    return found
