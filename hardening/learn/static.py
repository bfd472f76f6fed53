"""The system calls that programs could make, read from their files and those of their libraries: what no run has shown."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection, Mapping
from typing import Any

from hardening.elf.closure import LinkingRoot
from hardening.elf.malformed import InvalidElf, TooMuchCode
from hardening.elf.reach import reached
from hardening.images.ids import Ids
from hardening.images.unpacking import child
from hardening.trace import calls

#: Seconds of a processor for all programs.
PROCESSOR = 600


def calls_of(programs: Collection[str], directory: str, ids: Ids) -> Mapping[str, list[str]]:
    """The names of the calls, each with the programs that could make it, by their paths in a root. A program of another
    machine, or that cannot be read, such as a script, has none."""

    def look(_: child.Tell) -> Mapping[str, Any]:
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
        root = LinkingRoot([directory])
        found: dict[str, list[str]] = {}
        for path in sorted(programs):
            try:
                made = reached(root.linked(path))
            except (InvalidElf, TooMuchCode, OSError):
                continue
            for number in made.calls if made.machine == os.uname().machine else ():
                found.setdefault(calls.name(calls.own(), number), []).append(path)
        return found

    found: Mapping[str, list[str]] = child.run(look, ids)
    return found
