"""What a configuration leaves open for each run: variables whose values stand in no file, for the command line gives or
passes them on, and in the cache the command. And the variables that may stand in a receipt, for a profile says them.

`config.json` of a native launch holds the names alone of the first. Their values come in a sealed memfd, as those of secrets
do, or are found again in the words of a line that has an entry in the cache.
"""

from __future__ import annotations

from hardening.base import jsontext
from hardening.base.files import Opened
from hardening.base.linux.system import os
from hardening.base.pointer import ENVIRONMENT, items, lookup, table
from hardening.errors import LaunchError
from hardening.launch.config.bundle import VARIABLES
from hardening.launch.config.confinement import helpers, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENCODING, ERRORS = "utf-8", "surrogateescape"


def fill(document: object, values: Mapping[str, str], command: Sequence[str] | None = None) -> None:
    """Put the values into the environment of a configuration, in memory, and the command into one that has none, behind its
    helpers. Nothing else of it is ever left open. `LaunchError` for what was not passed, and for what nothing asks for."""
    process = table(document, "/process")
    entries = process.get("env")
    asked = [name for name in entries if isinstance(name, str) and "=" not in name] if isinstance(entries, list) else []
    if sorted(asked) != sorted(values):
        raise LaunchError(
            "the variables that were passed are not those that it asks for", origin="config.json:/process/env"
        )
    if ("args" in process) == (command is not None):
        raise LaunchError("it has a command, and another was passed, or none has", origin="config.json:/process/args")
    if isinstance(entries, list):
        entries[:] = [f"{entry}={values[entry]}" if entry in asked else entry for entry in entries]
    if command is not None:
        process["args"] = joined(helpers(document), command)


def public(document: object) -> dict[str, str]:
    """The variables of a configuration whose values stand in a profile, with these, as its annotation `VARIABLES` names
    them. `LaunchError` for one that is no list of names."""
    pointer = f"/annotations/{VARIABLES}"
    text = lookup(document, pointer)
    if text is None:
        return {}
    origin = f"config.json:{pointer}"
    names = jsontext.parse(text.encode(ENCODING, ERRORS), origin) if isinstance(text, str) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise LaunchError("must be a JSON list of names", origin=origin)
    pairs = [entry.partition("=") for entry in items(document, ENVIRONMENT) if isinstance(entry, str)]
    return {name: value for name, equals, value in pairs if equals and name in names}


def pack(values: Mapping[str, str], command: Sequence[str] | None) -> dict[str, bytes]:
    """What `take` reads, by name: the values, and the command under no name at all."""
    found = {name: value.encode(ENCODING, ERRORS) for name, value in values.items()}
    return found if command is None else {**found, "": "\0".join(command).encode(ENCODING, ERRORS)}


def take(fd: int) -> tuple[dict[str, str], list[str] | None]:
    """The values by name, and the command, from a memfd that is closed. `OSError`."""
    from hardening.launch.secret import secrets  # which a launch from the cache does not need

    with Opened(fd):
        data = os.pread(fd, os.fstat(fd).st_size, 0)
    values = {name: value.decode(ENCODING, ERRORS) for name, value in secrets.unpack(data).items()}
    command = values.pop("", None)
    return values, None if command is None else command.split("\0")


def place(name: str, value: str, words: Sequence[str], environment: Mapping[str, str]) -> list[int] | None:
    """Where the same options have the value of a variable: a word, or what follows its `=`, and where it begins in it; empty
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
