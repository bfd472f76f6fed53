"""Variables whose values stand in no file: those that the command line gives or passes on.

`config.json` of a native launch holds their names alone. Their values come in a sealed memfd, as those of secrets do, or are
found again in the words of a line whose plan is stored.
"""

from __future__ import annotations

from hardening.errors import LaunchError
from hardening.launch import secrets
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENCODING, ERRORS = "utf-8", "surrogateescape"


def fill(document: object, values: Mapping[str, str]) -> None:
    """Put the values into the environment of a configuration, in memory. `LaunchError` for one that was not handed over, and
    for those that nothing asks for."""
    process = document.get("process") if isinstance(document, dict) else None
    entries = process.get("env") if isinstance(process, dict) else None
    asked = [name for name in entries if isinstance(name, str) and "=" not in name] if isinstance(entries, list) else []
    if sorted(asked) != sorted(values):
        raise LaunchError("other variables were handed over than it asks for", origin="config.json:/process/env")
    if isinstance(entries, list):
        entries[:] = [f"{entry}={values[entry]}" if entry in asked else entry for entry in entries]


def take(fd: int) -> dict[str, str]:
    """The values by name, from a memfd that is closed. `OSError`."""
    try:
        data = os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
    return {name: value.decode(ENCODING, ERRORS) for name, value in secrets.unpack(data).items()}


def place(name: str, value: str, words: Sequence[str], environment: Mapping[str, str]) -> list[int] | None:
    """Where the same line has the value of a variable: a word and where it begins in it; empty for the caller's own
    variable, None where it stands nowhere as it is."""
    entry = f"{name}={value}"
    for index, word in enumerate(words):
        if word.endswith(entry):
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
