"""The smallest ELF files: machine code, and what the tables say of it, made without a compiler for any machine."""

from __future__ import annotations

import struct

MACHINES = {"x86_64": 62, "aarch64": 183}
_BASE, _HEADER, _SEGMENT = 0x400000, 64, 56
_EXECUTABLE, _LOAD, _READ_EXECUTE = 2, 1, 5


def program(code: bytes, machine: str = "x86_64", entry: int = 0) -> bytes:
    """A static program with fixed addresses, which begins ``entry`` bytes into its code."""
    start = _HEADER + _SEGMENT
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01", _EXECUTABLE, MACHINES[machine], 1, _BASE + start + entry, _HEADER, 0, 0,
        _HEADER, _SEGMENT, 1, 64, 0, 0,
    )  # fmt: skip
    size = start + len(code)
    segment = struct.pack("<IIQQQQQQ", _LOAD, _READ_EXECUTE, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code


def words(*instructions: int) -> bytes:
    """Instructions of aarch64."""
    return struct.pack(f"<{len(instructions)}I", *instructions)
