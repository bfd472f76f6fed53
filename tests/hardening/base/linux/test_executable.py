"""What execve(2) takes from a file itself."""

from __future__ import annotations

import struct

import pytest

from hardening.base.linux.executable import LentCapabilities, capabilities, interpreter_line

#: cap_net_raw, cap_bpf of the permitted set, cap_chown of the inheritable one.
SETS = (1 << 13, 1, 1 << 7, 0)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (
            struct.pack("<5I", 0x02000001, *SETS),
            LentCapabilities(permitted=1 << 13 | 1 << 39, inheritable=1, effective=True),
        ),
        (
            struct.pack("<6I", 0x03000000, *SETS, 100_000),
            LentCapabilities(permitted=1 << 13 | 1 << 39, inheritable=1, effective=False, owner=100_000),
        ),
        (
            struct.pack("<3I", 0x01000001, *SETS[:2]),
            LentCapabilities(permitted=1 << 13, inheritable=1, effective=True),
        ),
    ],
)
def test_the_capabilities_of_a_file_are_those_of_each_revision(value: bytes, found: LentCapabilities) -> None:
    assert capabilities(value) == found


@pytest.mark.parametrize(
    "value",
    [b"", b"\1\0\0", struct.pack("<5I", 0x03000001, *SETS), struct.pack("<6I", 0x02000001, *SETS, 0), bytes(20)],
)
def test_what_is_of_no_revision_or_of_the_length_of_another_one_is_none(value: bytes) -> None:
    assert capabilities(value) is None


def test_an_interpreter_is_named_by_the_first_line_of_a_script() -> None:
    assert interpreter_line(b"#! /usr/bin/env  python3\nprint()\n") == [b"/usr/bin/env", b"python3"]
    assert interpreter_line(b"#!\n/bin/sh") == interpreter_line(b"") == interpreter_line(b"\x7fELF") == []
