"""What roots have that an upgrade brings: programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hardening.elf import file
from hardening.elf.binary import Binary
from hardening.elf.closure import Linked
from hardening.elf.malformed import InvalidElf
from hardening.elf.numbers import NUMBERS
from hardening.elf.reach import reached
from tests.fuzz.harness import LONGEST, target
from tests.fuzz.mutate import plain
from tests.support import elfwriter

#: mov eax, 39; syscall; ret, called by what follows it.
_CODE = b"\xb8\x27\0\0\0\x0f\x05\xc3" + b"\xe8\xf3\xff\xff\xff\xc3"


def _programs() -> Iterator[bytes]:
    yield elfwriter.program(_CODE, entry=8)
    yield elfwriter.program(elfwriter.words(0xD28015C8, 0xD4000001, 0xD65F03C0), "aarch64")
    for path in ("/usr/bin/true", "/usr/bin/sleep"):
        if os.path.getsize(path) <= LONGEST:
            yield Path(path).read_bytes()


@target(
    plain,
    "hardening.elf.file hardening.elf.edges hardening.elf.numbers",
    seeds=_programs,
    refusals=(InvalidElf,),
    short=200,
)
def program(data: bytes, _: Path) -> None:
    """Numbers that a kernel could have, of places in the file."""
    found = reached(Linked((Binary("/program", file.parse(memoryview(data))),)))
    assert all(0 <= number < NUMBERS for number in found.calls)
    assert {via.path for way in found.calls.values() for via in way} <= {"/program"}
