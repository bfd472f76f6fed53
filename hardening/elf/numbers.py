"""The number of a system call, or the argument of a function that makes one, found by following it backwards."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from hardening.base.values import frozen
from hardening.elf.extra import required
from hardening.elf.file import ElfFile
from hardening.elf.malformed import TooMuchCode

T = TypeVar("T")
#: Bytes of a function that is looked at, and steps back from a place.
LONGEST, STEPS = 1 << 18, 20_000
#: Places of one file that are looked at: what code refers to, instructions that are taken apart, steps back. It is a count,
#: and no time, so that the answer is the same on each host; Node.js takes a tenth of it.
EFFORT = 40_000_000
#: What an instruction with its operands costs, by the time of a place.
_WHOLE = 8
#: No kernel has a system call with a number from here on.
NUMBERS = 2048
#: Where a value is: in a register, by its widest name, or (``[rsp]``) so many bytes above where one points.
Location = tuple[str, int]

#: The widest name of each register, by the names of its parts.
_FAMILIES = {
    part: f"r{name}"
    for name, parts in {
        **{f"{one}x": (f"e{one}x", f"{one}x", f"{one}l", f"{one}h") for one in "abcd"},
        **{two: (f"e{two}", two, f"{two}l") for two in ("si", "di", "bp", "sp")},
        **{str(number): tuple(f"r{number}{width}" for width in "dwb") for number in range(8, 16)},
    }.items()
    for part in parts
}
_ARM_FAMILIES = {**{f"w{number}": f"x{number}" for number in range(31)}, "fp": "x29", "lr": "x30"}


#: What jumps begin with that are no calls.
_JUMPS = ("j", "b.", "cb", "tb", "loop", "notrack j", "bnd j")


@frozen
class Convention:
    """How a machine calls: the register of a system call's number, the stack pointer, what a called function may change,
    and the bytes that a call itself puts on the stack."""

    number: str
    stack: str
    changed: frozenset[str]
    pushed: int
    families: Mapping[str, str]
    calls: frozenset[str]
    ends: frozenset[str]
    system_call: str

    def jump(self, mnemonic: str, operands: str) -> tuple[int | None, bool] | None:
        """Where a jump leads, None where that is looked up, and whether what stands after it may run as well; None for what
        is no jump."""
        if mnemonic in self.calls or not (mnemonic.startswith(_JUMPS) or mnemonic in ("b", "br")):
            return None
        last = operands.rpartition(",")[2].strip(" #")
        return int(last, 16) if last.startswith("0x") else None, mnemonic not in self.ends


_CONVENTIONS = {
    "x86_64": Convention(
        "rax",
        "rsp",
        frozenset({"rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11"}),
        8,
        _FAMILIES,
        frozenset({"call"}),
        frozenset({"jmp", "ret", "ud2", "hlt", "notrack jmp", "bnd jmp", "repz ret", "rep ret"}),
        "syscall",
    ),
    "aarch64": Convention(
        "x8",
        "sp",
        frozenset(f"x{number}" for number in range(19)),
        0,
        _ARM_FAMILIES,
        frozenset({"bl", "blr"}),
        frozenset({"b", "br", "ret", "udf", "brk"}),
        "svc",
    ),
}


@attrs.define
class Effort:
    """What has been looked at of one file."""

    places: int = 0

    def spend(self, places: int = 1) -> None:
        """Count some more. Raises `TooMuchCode`."""
        self.places += places
        if self.places > EFFORT:
            raise TooMuchCode

    def each(self, parts: Iterable[T], places: int = 1) -> Iterator[T]:
        """The parts, each counted as so many places. Raises `TooMuchCode`."""
        for part in parts:
            self.spend(places)
            yield part


@attrs.define
class Traced:
    """What a place may hold: constants, what the function got from its caller, and whether something else may be."""

    constants: set[int] = attrs.Factory(set)
    parameters: set[Location] = attrs.Factory(set)
    computed: bool = False

    def add(self, other: Traced) -> None:
        self.constants |= other.constants
        self.parameters |= other.parameters
        self.computed |= other.computed


class Tracer:
    """Follows values in the functions of one file."""

    def __init__(self, elf: ElfFile, effort: Effort) -> None:
        self._effort = effort
        capstone = required("capstone")
        self._elf, self.convention = elf, _CONVENTIONS[elf.machine]
        arch = (
            (capstone.CS_ARCH_X86, capstone.CS_MODE_64)
            if elf.machine == "x86_64"
            else (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        )
        self._disassembler = capstone.Cs(*arch)
        self._disassembler.detail = True
        self._disassembler.skipdata = True
        self._register, self._constant, self._memory = capstone.CS_OP_REG, capstone.CS_OP_IMM, capstone.CS_OP_MEM
        self._bodies: dict[int, _Body] = {}
        self._begun: dict[int, set[int]] = {}

    def number(self, at: int) -> Traced | None:
        """The numbers of the system call at an address; None where there is no such instruction."""
        body = self._body(at)
        item = body.items.get(at) if body is not None else None
        if body is None or item is None or item.mnemonic != self.convention.system_call:
            return None
        return self._follow(body, at, (self.convention.number, 0))

    def argument(self, at: int, location: Location) -> Traced | None:
        """What the call or jump at an address gives at the ``location`` where the function it leads to looks for it; None
        where there is no such instruction."""
        body = self._body(at)
        item = body.items.get(at) if body is not None else None
        if body is None or item is None:
            return None
        if location[0] == f"[{self.convention.stack}]" and item.mnemonic in self.convention.calls:
            location = location[0], location[1] - self.convention.pushed
        return self._follow(body, at, location)

    def is_instruction(self, at: int) -> bool:
        """Whether an instruction begins at an address, counted from where its function does."""
        start = self._elf.function(at)
        if start is not None and start not in self._begun:
            self._begun[start] = {found[0] for found in self.instructions(start)}
        return start is not None and at in self._begun[start]

    def instructions(self, start: int) -> Sequence[tuple[int, int, str, str]]:
        """The instructions of a function: address, size, mnemonic and operands of each. Raises `TooMuchCode`."""
        self._disassembler.detail = False
        try:
            return list(self._decoded(start, lite=True))
        finally:
            self._disassembler.detail = True

    def _body(self, at: int) -> _Body | None:
        start = self._elf.function(at)
        if start is None:
            return None
        if start not in self._bodies:
            self._bodies[start] = _Body(self._decoded(start), start, self.convention)
        return self._bodies[start]

    def _decoded(self, start: int, *, lite: bool = False) -> Iterator[Any]:
        index = bisect_right(self._elf.functions, start)
        end = self._elf.functions[index] if index < len(self._elf.functions) else start + LONGEST
        for base, content in self._elf.code:
            if base <= start < base + len(content):
                piece = content[start - base : min(end - base, start - base + LONGEST)]
                decode = self._disassembler.disasm_lite if lite else self._disassembler.disasm
                yield from self._effort.each(decode(bytes(piece), start), 1 if lite else _WHOLE)

    def _follow(self, body: _Body, at: int, location: Location) -> Traced:
        """The values of a location right before an instruction."""
        found = Traced()
        seen = {(at, location)}
        pending = [(at, location)]
        while pending:
            place, wanted = pending.pop()
            self._effort.spend()
            if len(seen) > STEPS:
                found.computed = True
                break
            before = body.before(place)
            # What nothing leads to is padding, or the end of a jump through a table: what that found is found elsewhere.
            if place == body.start and self._is_parameter(wanted):
                found.parameters.add(wanted)
            for item in before:
                for said in self._undone(item, wanted):
                    if isinstance(said, int):
                        if 0 <= said < NUMBERS:
                            found.constants.add(said)
                        else:
                            found.computed = True
                    elif said is None:
                        found.computed = True
                    elif (item.address, said) not in seen:
                        seen.add((item.address, said))
                        pending.append((item.address, said))
        if not (found.constants or found.parameters):
            found.computed = True
        return found

    def _is_parameter(self, location: Location) -> bool:
        """Whether a caller can say what a location holds: not what functions keep for others, nor their own variables."""
        base, offset = location
        return base in self.convention.changed or (
            base == f"[{self.convention.stack}]" and offset >= self.convention.pushed
        )

    def _undone(self, item: Any, wanted: Location) -> Sequence[Location | int | None]:
        """Where the value of a location was before an instruction, or what it is; None for what is computed, nothing where
        no program looks for it: what a call leaves in a register is no number of a system call."""
        convention = self.convention
        if not item.id:  # bytes that are no instruction
            return (None,)
        mnemonic, operands = item.mnemonic, item.operands
        base, offset = wanted
        is_memory = base.startswith("[")
        if mnemonic in convention.calls:
            return (wanted,) if is_memory or base not in convention.changed else ()
        if is_memory:
            return self._of_stack(item, mnemonic, operands, base.strip("[]"), offset)
        written = {self._name(item, number) for number in item.regs_access()[1]}
        if mnemonic == convention.system_call:
            written |= {"rax", "rcx", "r11"} if convention.pushed else {"x0"}
        if base not in written:
            return (wanted,)
        return self._of_register(item, mnemonic, operands, base)

    def _of_register(self, item: Any, mnemonic: str, operands: Any, wanted: str) -> Sequence[Location | int | None]:
        stack = self.convention.stack
        if mnemonic == "pop":
            return ((f"[{stack}]", 0),)
        if len(operands) < 2 or self._name(item, operands[0].reg) != wanted:
            return (None,)
        first, second = operands[0], operands[1]
        if mnemonic in ("xor", "sub", "eor") and second.type == self._register:
            same = self._name(item, second.reg) == self._name(item, operands[-1 if len(operands) > 2 else 0].reg)
            return (0,) if same else (None,)
        if mnemonic.startswith("cmov"):
            return ((wanted, 0), self._value(item, second))
        if mnemonic == "csel":
            return (self._value(item, second), self._value(item, operands[2]))
        if mnemonic in _MOVES and getattr(first, "size", 8) in (0, 4, 8):
            return (self._value(item, second),)
        return (None,)

    def _of_stack(
        self, item: Any, mnemonic: str, operands: Any, base: str, offset: int
    ) -> Sequence[Location | int | None]:
        stack, here = self.convention.stack, f"[{base}]"
        if base == stack:
            if mnemonic == "push":
                return (self._value(item, operands[0]),) if offset == 0 else ((here, offset - 8),)
            if mnemonic == "pop":
                return ((here, offset + 8),)
            if mnemonic in ("sub", "add") and self._name(item, operands[0].reg) == stack:
                amount = operands[-1]
                if amount.type != self._constant:
                    return (None,)
                return ((here, offset + (amount.imm if mnemonic == "add" else -amount.imm)),)
            if mnemonic == "lea" and self._name(item, operands[0].reg) == stack:
                memory = operands[1].mem
                same = self._name(item, memory.base) == stack and not memory.index
                return ((here, offset + memory.disp),) if same else (None,)
        if mnemonic in ("mov", "str") and len(operands) == 2:
            target, value = operands if mnemonic == "mov" else reversed(operands)
            if target.type == self._memory:
                memory = target.mem
                hit = self._name(item, memory.base) == base and not memory.index and memory.disp == offset
                if hit and not getattr(item, "writeback", False):
                    return (self._value(item, value),)
                return ((here, offset),)
            if target.type == self._register and self._name(item, target.reg) == base != stack:
                from_stack = value.type == self._register and self._name(item, value.reg) == stack
                return ((f"[{stack}]", offset),) if from_stack else (None,)
        written = {self._name(item, number) for number in item.regs_access()[1]}
        return (None,) if base in written and mnemonic not in ("push", "pop") else ((here, offset),)

    def _value(self, item: Any, operand: Any) -> Location | int | None:
        """What an operand means before its instruction."""
        if operand.type == self._constant:
            return int(operand.imm)
        if operand.type == self._register:
            name = self._name(item, operand.reg)
            return 0 if name in ("wzr", "xzr") else (name, 0)
        memory = operand.mem
        base = self._name(item, memory.base)
        if base in (self.convention.stack, "rbp", "x29") and not memory.index and not getattr(memory, "segment", 0):
            return (f"[{base}]", int(memory.disp))
        return None

    def _name(self, item: Any, register: int) -> str:
        name = str(item.reg_name(register) or "")
        return self.convention.families.get(name, name)


#: Instructions whose first operand becomes the second one; numbers are small, so that their width does not matter.
_MOVES = frozenset({"mov", "movabs", "movsxd", "movzx", "movsx", "movz", "ldr", "ldur", "uxtw", "sxtw"})


class _Body:
    """The instructions of a function, by address, and which ones run before each."""

    def __init__(self, decoded: Iterable[Any], start: int, convention: Convention) -> None:
        self.start = start
        self.items: dict[int, Any] = {}
        self._before: dict[int, list[Any]] = {}
        jumps: list[tuple[int, Any]] = []
        last: Any = None
        for item in decoded:
            self.items[item.address] = item
            if last is not None and last.mnemonic not in convention.ends:
                self._before.setdefault(item.address, []).append(last)
            jump = convention.jump(item.mnemonic, item.op_str)
            if jump is not None and jump[0] is not None:
                jumps.append((jump[0], item))
            last = item
        for target, item in jumps:
            if target in self.items:
                self._before.setdefault(target, []).append(item)

    def before(self, address: int) -> list[Any]:
        """The instructions after which the one at an address runs."""
        return self._before.get(address, [])
