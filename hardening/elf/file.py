"""What an ELF file says of itself (elf(5), System V ABI): libraries, symbols, relocations, and where its functions begin.

Files are hostile. Headers are read by pyelftools, tables by their sizes as a whole; what points outside of the file, or is
larger than a bound, makes it invalid.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from hardening.base.values import frozen
from hardening.elf.extra import required
from hardening.elf.malformed import InvalidElf, Stream, TooMuchCode, each, reading

#: Bytes of a file, and of its code; segments, symbols, relocations and functions in one; libraries that one names.
LARGEST, CODE = 1 << 30, 1 << 28
SEGMENTS, SYMBOLS, RELOCATIONS, FUNCTIONS, NEEDED = 256, 2_000_000, 8_000_000, 4_000_000, 1000
#: Bytes of code for each function that is described, from which on only what was linked in is, as C is in Go's programs:
#: most files have some hundred.
SPARSE = 1 << 14
#: Bytes of a string: of a path, of a name of C++.
_STRING = 1 << 16
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
#: R_*_RELATIVE and R_*_IRELATIVE, whose addend is an address; and those that put a symbol's address into a slot.
_RELATIVE = {"x86_64": (8, 37), "aarch64": (1027, 1032)}
_OF_SYMBOL = {"x86_64": (1, 6, 7), "aarch64": (257, 1025, 1026)}
_COPY = {"x86_64": 5, "aarch64": 1024}
_FUNCTION, _INDIRECT_FUNCTION, _UNDEFINED = 2, 10, 0
#: Global symbols without a type, and of data and functions; those of threads have no address, and weak ones may be left out.
_FIRM = frozenset({(1, 0), (1, 1), (1, 2)})
_DF_1_PIE = 0x08000000
#: `.eh_frame_hdr` with a table that can be searched: relative to the header, four bytes a field (LSB, exception frames).
_TABLE = b"\x01\x1b\x03\x3b"


@frozen
class Symbol:
    """A symbol that others can use: its address, and the size of what is there."""

    address: int
    size: int


@frozen(eq=False)
class ElfFile:
    """One file. ``machine`` is named as `uname -m` does; ``entry`` is where it begins. ``interpreter`` is the dynamic
    linker, ``needed`` are libraries, ``rpath`` and ``runpath`` where they are looked for, as they stand there; ``soname`` is
    what those who need it call it.

    ``exports`` are the symbols it has for others, by name, ``imports`` those that it wants of others, ``required`` those of
    them without which it is not loaded. ``slots`` are
    addresses of pointers to symbols, ``pointers`` those of pointers to its own addresses, sorted. ``functions`` are the
    addresses where functions begin, sorted; ``initial`` are those that run without being called. ``code`` are its
    executable segments by their address, ``absolute`` says that its addresses are fixed. ``data`` are all segments.
    ``has_frames``: the functions are described, but for single ones.
    """

    machine: str
    entry: int
    is_program: bool
    interpreter: str
    needed: Sequence[str]
    soname: str
    rpath: Sequence[str]
    runpath: Sequence[str]
    exports: Mapping[str, Sequence[Symbol]]
    imports: frozenset[str]
    required: frozenset[str]
    slots: Mapping[int, str]
    pointers: Sequence[tuple[int, int]]
    functions: Sequence[int]
    initial: Sequence[int]
    code: Sequence[tuple[int, memoryview]]
    data: Sequence[tuple[int, memoryview]]
    absolute: bool
    has_frames: bool

    @property
    def is_static(self) -> bool:
        """Whether it runs without a dynamic linker."""
        return self.is_program and not self.interpreter and not self.needed

    def function(self, address: int) -> int | None:
        """The beginning of the function that an address lies in."""
        index = bisect_right(self.functions, address)
        return self.functions[index - 1] if index else None


def read(descriptor: int, size: int) -> ElfFile:
    """The ELF file that a descriptor has open. Raises `InvalidElf`, and `HostError` without the extra."""
    if size < 64:
        raise InvalidElf("it is too short")
    if size > LARGEST:
        raise InvalidElf(f"it is larger than {LARGEST} bytes")
    return parse(memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ)))


def parse(data: memoryview) -> ElfFile:
    """The ELF file with these bytes. Raises `InvalidElf`, and `HostError` without the extra."""
    if bytes(data[:7]) != b"\x7fELF\x02\x01\x01":
        raise InvalidElf("it is no ELF file of 64 bits, little-endian")
    elf_file = required("elftools.elf.elffile")
    with reading():
        elf = elf_file.ELFFile(Stream(data))
    return _Reader(data, elf).file()


class _Reader:
    """Reads the tables of one file."""

    def __init__(self, data: memoryview, elf: Any) -> None:
        self._data, self._elf = data, elf
        machine = _MACHINES.get(elf["e_machine"])
        if machine is None:
            raise InvalidElf(f"its machine is not known here ({elf['e_machine']})")
        self._machine = machine
        self._segments: list[tuple[int, memoryview]] = []
        self._code: list[tuple[int, memoryview]] = []
        self._tags: dict[str, list[int]] = {}
        self._dynamic: Any = None
        self._interpreter, self._frames = "", (0, memoryview(b""))
        self._marked: dict[int, bool] = {}
        if elf["e_phnum"] > SEGMENTS:
            raise InvalidElf("it has too many segments")
        for segment in each(elf.iter_segments()):
            self._segment(segment)
        # Of segments that overlap, the same bytes would be looked at again and again.
        if sum(len(content) for _, content in self._segments) > LARGEST:
            raise InvalidElf("its segments are larger than it")
        if sum(len(content) for _, content in self._code) > CODE:
            raise TooMuchCode

    def _segment(self, segment: Any) -> None:
        offset, size, address = segment["p_offset"], segment["p_filesz"], segment["p_vaddr"]
        if segment["p_type"] in ("PT_LOAD", "PT_INTERP", "PT_GNU_EH_FRAME") and offset + size > len(self._data):
            raise InvalidElf("a segment reaches over its end")
        content = self._data[offset : offset + size]
        if segment["p_type"] == "PT_LOAD":
            self._segments.append((address, content))
            if segment["p_flags"] & 1:
                self._code.append((address, content))
        elif segment["p_type"] == "PT_INTERP":
            self._interpreter = _string(content, 0)
        elif segment["p_type"] == "PT_GNU_EH_FRAME":
            self._frames = (address, content)
        elif segment["p_type"] == "PT_DYNAMIC":
            self._dynamic = segment
            for number, tag in enumerate(each(segment.iter_tags())):
                if number > 10 * NEEDED:
                    raise InvalidElf("its dynamic section has no end")
                self._tags.setdefault(tag.entry.d_tag, []).append(tag.entry.d_val)

    def file(self) -> ElfFile:
        symbols = list(self._dynamic_symbols())
        exports: dict[str, list[Symbol]] = {}
        functions = set(self._framed())
        has_frames = len(functions) * SPARSE > sum(len(content) for _, content in self._code)
        for name, info, section, address, size in symbols:
            if section != _UNDEFINED and address:
                exports.setdefault(name, []).append(Symbol(address, size))
                if info & 15 in (_FUNCTION, _INDIRECT_FUNCTION):
                    functions.add(address)
        functions.update(self._named_functions())
        functions.update(
            address for address in (self._elf["e_entry"], self._tag("DT_INIT"), self._tag("DT_FINI")) if address
        )
        if len(functions) > FUNCTIONS:
            raise InvalidElf("it has too many functions")
        slots, pointers = self._relocated(symbols)
        absolute = self._elf["e_type"] == "ET_EXEC"
        pointers += self._fixed_pointers(functions) if absolute else []
        pointers.sort()
        strings = self._strings()
        return ElfFile(
            machine=self._machine,
            entry=self._elf["e_entry"],
            is_program=absolute or bool(self._interpreter) or self._is_pie(),
            interpreter=self._interpreter,
            needed=self._named("DT_NEEDED", strings),
            soname="".join(self._named("DT_SONAME", strings)[:1]),
            rpath=self._named("DT_RPATH", strings),
            runpath=self._named("DT_RUNPATH", strings),
            exports=MappingProxyType(exports),
            imports=frozenset(name for name, _, section, _, _ in symbols if section == _UNDEFINED and name),
            required=frozenset(
                name
                for name, info, section, _, _ in symbols
                if section == _UNDEFINED and name and (info >> 4, info & 15) in _FIRM
            ),
            slots=MappingProxyType(slots),
            pointers=pointers,
            functions=sorted(functions),
            initial=self._initial(pointers),
            code=self._code,
            data=self._segments,
            absolute=absolute,
            has_frames=has_frames,
        )

    def _is_pie(self) -> bool:
        return bool(self._tag("DT_FLAGS_1") & _DF_1_PIE)

    def _tag(self, name: str) -> int:
        return self._tags.get(name, [0])[0]

    def _at(self, address: int, size: int) -> memoryview:
        """What the file has at an address. Raises `InvalidElf` where that is not all of it."""
        for start, content in self._segments:
            if start <= address < start + len(content):
                piece = content[address - start : address - start + size]
                if len(piece) == size:
                    return piece
        raise InvalidElf("a table lies outside of it")

    def _strings(self) -> memoryview:
        return self._at(self._tag("DT_STRTAB"), self._tag("DT_STRSZ")) if self._tag("DT_STRSZ") else memoryview(b"")

    def _named(self, tag: str, strings: memoryview) -> tuple[str, ...]:
        offsets = self._tags.get(tag, [])
        if len(offsets) > NEEDED:
            raise InvalidElf("it names too many libraries")
        return tuple(_string(strings, offset) for offset in offsets)

    def _dynamic_symbols(self) -> Iterator[tuple[str, int, int, int, int]]:
        """Name, type, section, value and size of each dynamic symbol."""
        if self._dynamic is None or not self._tag("DT_SYMTAB"):
            return
        # The hash table knows only of those that others can use.
        used = (info >> 32 for _, info, _ in self._relocations)
        with reading():
            exported = self._dynamic.num_symbols()
        count = max(exported, 1 + max(used, default=0))
        if not 0 <= count <= SYMBOLS:
            raise InvalidElf("it has too many symbols")
        table = self._at(self._tag("DT_SYMTAB"), 24 * count)
        yield from _symbols(table, self._strings())

    def _named_functions(self) -> Iterator[int]:
        """Functions of the symbol table that strip(1) takes away."""
        with reading():
            sections = self._elf.num_sections()
        for section in each(self._elf.iter_sections("SHT_SYMTAB")):
            offset, size, link = section["sh_offset"], section["sh_size"], section["sh_link"]
            if size > 24 * SYMBOLS or offset + size > len(self._data) or link >= sections:
                raise InvalidElf("invalid table of symbols")
            for info, part, address in _values(self._data[offset : offset + size - size % 24]):
                if info & 15 == _FUNCTION and part != _UNDEFINED and address:
                    yield address

    def _framed(self) -> Iterator[int]:
        """Functions that have a frame description, which nearly all that compilers make have."""
        start, table = self._frames
        if bytes(table[:4]) != _TABLE:
            return
        count = int.from_bytes(table[8:12], "little")
        if count > FUNCTIONS or 12 + 8 * count > len(table):
            raise InvalidElf("invalid table of frames")
        for place, description in struct.iter_unpack("<ii", table[12 : 12 + 8 * count]):
            # What returns from a signal is described from one byte before it on, for those who look up who called.
            yield start + place + self._is_of_signal(start + description)

    def _is_of_signal(self, description: int) -> bool:
        """Whether the common part of a frame description has the letter that marks one of a signal (LSB, exception
        frames)."""
        (back,) = struct.unpack("<I", self._at(description + 4, 4))
        common = description + 4 - back
        if common not in self._marked:
            (length,) = struct.unpack("<I", self._at(common, 4))
            text = bytes(self._at(common + 9, min(max(length - 5, 0), 16)))
            self._marked[common] = b"S" in text.partition(b"\0")[0]
        return self._marked[common]

    def _relocated(
        self, symbols: Sequence[tuple[str, int, int, int, int]]
    ) -> tuple[dict[int, str], list[tuple[int, int]]]:
        slots: dict[int, str] = {}
        pointers: list[tuple[int, int]] = []
        for place, info, addend in self._relocations:
            kind, index = info & 0xFFFFFFFF, info >> 32
            if kind in _RELATIVE[self._machine]:
                pointers.append((place, addend))
            elif kind in _OF_SYMBOL[self._machine] or kind == _COPY[self._machine]:
                name, _, section, address, _ = symbols[index]
                slots[place] = name
                if section != _UNDEFINED:
                    pointers.append((place, address))
        pointers += [(place, int.from_bytes(self._at(place, 8), "little")) for place in self._packed()]
        return slots, pointers

    @cached_property
    def _relocations(self) -> list[tuple[int, int, int]]:
        """Place, type with symbol, and addend of each relocation that is written out."""
        found: list[tuple[int, int, int]] = []
        for start, size in (("DT_RELA", "DT_RELASZ"), ("DT_JMPREL", "DT_PLTRELSZ")):
            length = self._tag(size)
            if length > 24 * RELOCATIONS:
                raise InvalidElf("it has too many relocations")
            if length:
                found += struct.iter_unpack("<QQq", self._at(self._tag(start), length - length % 24))
        return found

    def _packed(self) -> Iterator[int]:
        """The places of relative relocations in their packed form (DT_RELR)."""
        length = self._tag("DT_RELRSZ")
        if length > 8 * RELOCATIONS:
            raise InvalidElf("it has too many relocations")
        base = 0
        for (word,) in struct.iter_unpack("<Q", self._at(self._tag("DT_RELR"), length - length % 8) if length else b""):
            if not word & 1:
                yield word
                base = word + 8
                continue
            yield from (base + 8 * bit for bit in range(63) if word >> (bit + 1) & 1)
            base += 8 * 63

    def _fixed_pointers(self, functions: set[int]) -> list[tuple[int, int]]:
        """Words of a file with fixed addresses that are those of functions: it needs no relocations for them."""
        code = {start for start, _ in self._code}
        return [
            (start + at, value)
            for start, content in self._segments
            if start not in code and not start % 8
            for at, (value,) in zip(
                range(0, len(content) & ~7, 8), struct.iter_unpack("<Q", content[: len(content) & ~7]), strict=True
            )
            if value in functions
        ]

    def _initial(self, pointers: Sequence[tuple[int, int]]) -> list[int]:
        """What the dynamic linker calls by itself: initialisers and finalisers."""
        spans = [
            (self._tag(f"DT_{name}"), self._tag(f"DT_{name}") + self._tag(f"DT_{name}SZ"))
            for name in ("INIT_ARRAY", "FINI_ARRAY", "PREINIT_ARRAY")
        ]
        found = [target for place, target in pointers if any(start <= place < end for start, end in spans)]
        return [*found, *(tag for tag in (self._tag("DT_INIT"), self._tag("DT_FINI")) if tag)]


def _values(table: memoryview) -> Iterator[tuple[int, int, int]]:
    for _, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", table):
        yield info, section, value


def _symbols(table: memoryview, strings: memoryview) -> Iterator[tuple[str, int, int, int, int]]:
    text = bytes(strings)
    for offset, info, _, section, value, size in struct.iter_unpack("<IBBHQQ", table):
        end = text.find(b"\0", offset, offset + _STRING)
        if end < 0:
            raise InvalidElf("a string has no end")
        yield text[offset:end].decode("ascii", "backslashreplace"), info, section, value, size


def _string(content: memoryview, offset: int) -> str:
    piece = bytes(content[offset : offset + _STRING])
    text, end, _ = piece.partition(b"\0")
    if not end:
        raise InvalidElf("a string has no end")
    return text.decode("utf-8", "surrogateescape")
