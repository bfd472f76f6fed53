"""What an ELF file says of itself, and files that say it wrong."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from hardening.elf import file
from hardening.elf.extra import required
from hardening.elf.malformed import InvalidElf
from hardening.errors import HostError
from tests.support import elfwriter, elves

CODE = b"\xb8\x27\0\0\0\x0f\x05\xc3"


def parsed(data: bytes) -> file.ElfFile:
    return file.parse(memoryview(data))


def test_libraries_symbols_and_the_dynamic_linker_are_read(tmp_path: Path) -> None:
    source = "#include <unistd.h>\nint shown(void) { return getppid(); }\nint main(void) { return shown(); }"
    flags = ("-rdynamic", "-Wl,-rpath,$ORIGIN/lib", "-Wl,--enable-new-dtags")
    found = parsed(elves.compiled(tmp_path, source, *flags).read_bytes())
    assert found.needed == ("libc.so.6",)
    assert found.runpath == ("$ORIGIN/lib",)
    assert found.interpreter.startswith("/lib")
    assert {"getppid", "__libc_start_main"} <= found.imports
    (symbol,) = found.exports["shown"]
    assert symbol.address in found.functions
    assert found.is_program
    assert not found.is_static


def test_a_static_program_is_known_for_one() -> None:
    found = parsed(elfwriter.program(CODE))
    assert (found.is_program, found.is_static, found.absolute) == (True, True, True)
    assert found.machine == "x86_64"


@pytest.mark.parametrize(("size", "known"), [(64, True), (file.SPARSE * 10, False)])
def test_functions_of_c_in_a_program_of_something_else_do_not_describe_it(
    tmp_path: Path, size: int, known: bool
) -> None:
    """Go links its C library in, and describes its own code otherwise."""
    source = f'__asm__(".text; .globl code; code: .skip {size}, 0x90; ret");\nint main(void) {{ return 0; }}'
    assert parsed(elves.compiled(tmp_path, source).read_bytes()).has_frames == known


def test_pointers_of_a_program_with_fixed_addresses_are_found_whatever_its_sizes(tmp_path: Path) -> None:
    for size in range(1, 9):
        source = f"const char text[{size}] = {{1}}; int main(void) {{ return text[0]; }} int (*call)(void) = main;"
        found = parsed(elves.compiled(tmp_path, source, "-no-pie", "-rdynamic").read_bytes())
        assert found.absolute
        (call,), (main,) = found.exports["call"], found.exports["main"]
        assert (call.address, main.address) in found.pointers


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"#!/bin/sh\n" + bytes(64), "no ELF file"),
        (elfwriter.program(CODE).replace(b"\x3e\0", b"\x28\0", 1), "machine"),
        (elfwriter.program(CODE)[:100], "malformed"),
        (elfwriter.program(CODE)[:-4], "over its end"),
    ],
    ids=["script", "machine", "headers", "segment"],
)
def test_what_is_no_elf_file_is_refused_in_words(data: bytes, message: str) -> None:
    with pytest.raises(InvalidElf, match=message):
        parsed(data)


def test_a_table_of_frames_that_is_cut_off_is_refused() -> None:
    """Its size stands in the program header (elf(5), p_filesz)."""
    data = bytearray(Path("/usr/bin/true").read_bytes())
    size = data.index(struct.pack("<I", 0x6474E550)) + 32
    data[size : size + 8] = struct.pack("<Q", 6)
    with pytest.raises(InvalidElf, match="invalid table of frames"):
        parsed(bytes(data))


def test_a_fault_of_our_own_is_not_taken_for_a_malformed_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file.ElfFile, "__init__", lambda self, **values: [][0])
    with pytest.raises(IndexError):
        parsed(elfwriter.program(CODE))


def test_the_remedy_for_the_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(HostError) as caught:
        required("capstone")
    assert "pip install 'hardening[elf]'" in str(caught.value)
