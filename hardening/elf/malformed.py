"""Files that are malformed: reading them with pyelftools, which believes what stands there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hardening.elf.extra import required

#: What pyelftools raises for a malformed file, beside its own errors, since it believes what stands there. Of our own code
#: each would be a fault.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


class InvalidElf(ValueError):
    """A file that is no ELF file of a machine that is known here, or that is malformed."""


class TooMuchCode(InvalidElf):
    """A file with more code than anybody has the time to look through."""

    def __init__(self) -> None:
        super().__init__("it has too much code to look through")


@contextmanager
def reading() -> Iterator[None]:
    """Around a call of pyelftools, and nothing else: what that raises for a malformed file is `InvalidElf`."""
    errors, construct = required("elftools.common.exceptions"), required("elftools.construct")
    try:
        yield
    except (errors.ELFError, errors.DWARFError, construct.ConstructError, *_FAILURES) as error:
        raise InvalidElf(f"it is malformed: {error}"[:200]) from None


def each(parts: Iterator[Any]) -> Iterator[Any]:
    """The parts of a file that pyelftools reads one by one. Raises `InvalidElf`."""
    while True:
        with reading():
            part = next(parts, None)
        if part is None:
            return
        yield part


class Stream:
    """What pyelftools reads from: a file of these bytes, without a copy of all of them."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, len(self._data))[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        """Nothing is held."""
