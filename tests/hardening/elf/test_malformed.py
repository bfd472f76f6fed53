"""What pyelftools raises for a malformed file is told as that, and a fault of ours is not."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest

from hardening.elf.extra import required
from hardening.elf.malformed import InvalidElf, Stream, each, reading


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), AssertionError("x"), RecursionError("x")])
def test_what_a_reader_that_believes_the_file_trips_over_is_the_files_fault(error: Exception) -> None:
    with pytest.raises(InvalidElf, match="malformed"), reading():
        raise error


def test_its_own_errors_too_and_in_short() -> None:
    kind = required("elftools.common.exceptions").ELFParseError
    with pytest.raises(InvalidElf) as caught, reading():
        raise kind("x" * 1000)
    assert len(str(caught.value)) == 200


@pytest.mark.parametrize("error", [OSError("x"), MemoryError("x"), KeyboardInterrupt()])
def test_what_no_file_brings_about_stays_what_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)), reading():
        raise error


def test_parts_come_one_by_one_until_one_is_malformed() -> None:
    def parts() -> Iterator[int]:
        yield 1
        yield 2
        raise IndexError("there is no third")

    found = each(parts())
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(InvalidElf):
        next(found)
    assert list(each(iter([1, 2]))) == [1, 2]


def test_a_stream_reads_as_a_file_does() -> None:
    data = bytes(range(64))
    own, usual = Stream(memoryview(data)), io.BytesIO(data)
    steps = [
        (8, os.SEEK_SET),
        (8, os.SEEK_CUR),
        (-4, os.SEEK_END),
        (60, os.SEEK_SET),
        (100, os.SEEK_SET),
        (0, os.SEEK_SET),
    ]
    for offset, whence in steps:
        assert own.seek(offset, whence) == usual.seek(offset, whence)
        assert own.read(10) == usual.read(10)
    own.seek(60)
    assert (own.read(), own.seek(-9)) == (data[60:], 0)
