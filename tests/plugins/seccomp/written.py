"""Filters as people write them, in unlike forms: what each answers by itself, and its program for the kernel.

Neither the answers nor the program are made by what is tested, nor by libseccomp.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from hardening.base.linux import abi
from hardening.base.linux.libseccomp import Libseccomp
from hardening.base.values import frozen
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, LOG, Action, ActionKind
from hardening_seccomp.bpf import Instruction
from hardening_seccomp.oci import oci_architecture
from hardening_seccomp.spans import kernel_token

LIBRARY = Libseccomp.load()
NAMES = ("read", "getppid", "personality", "socket", "uname")  # the last is never named
ARCHITECTURES = ("x86_64", "x86", "x32")
#: How a layer can be written: a table with a default, docker's JSON, each with and without architectures; denials alone.
SHAPES = ("toml", "toml listed", "docker", "docker listed", "docker archMap", "partial")
EACCES = Action(ActionKind.ERRNO, 13)
#: Beyond 32 bits, and at their end, libseccomp is at its worst.
EDGES = (0xFF, 0x20000, 0xFFFFFFFF, 0x100000000, 0x100000005)
MASKS = (1, 3, 0xF, 0xFF00, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
OPERATORS = ("eq", "ne", "lt", "le", "ge", "gt", "masked_eq")
_TESTS = {"eq": int.__eq__, "ne": int.__ne__, "lt": int.__lt__, "le": int.__le__, "ge": int.__ge__, "gt": int.__gt__}


@frozen
class Condition:
    """``argument op value``; ``mask`` is that of ``masked_eq``."""

    index: int
    op: str
    value: int
    mask: int = 0

    def holds(self, arguments: Sequence[int]) -> bool:
        if self.op == "masked_eq":
            return arguments[self.index] & self.mask == self.value
        return _TESTS[self.op](arguments[self.index], self.value)

    def toml(self) -> str:
        mask = f', mask = "{self.mask:#x}"' if self.op == "masked_eq" else ""
        return f'{{ index = {self.index}, op = "{self.op}", value = {self.value}{mask}, width = 64 }}'

    def docker(self) -> dict[str, Any]:
        op = f"SCMP_CMP_{self.op.upper()}"
        if self.op == "masked_eq":
            return {"index": self.index, "value": self.mask, "valueTwo": self.value, "op": op}
        return {"index": self.index, "value": self.value, "op": op}


Entry = tuple[str, Action, tuple[Condition, ...]]


@frozen
class Written:
    """A layer in one of the forms: ``toml``, ``docker`` or ``partial``. ``listed`` are further architectures, None where the
    filter lists none; ``mapped`` writes them as an archMap."""

    form: str
    default: Action
    entries: tuple[Entry, ...]
    listed: tuple[str, ...] | None
    mapped: bool

    @property
    def architectures(self) -> Sequence[str]:
        """Those that it does not kill: a table without a default says nothing of them."""
        return ARCHITECTURES if self.form == "partial" else ("x86_64", *(self.listed or ()))

    @property
    def otherwise(self) -> Action:
        """What it answers to what it does not name."""
        return ALLOW if self.form == "partial" else self.default

    def answer(self, architecture: str, name: str, arguments: Sequence[int]) -> Action:
        """What this filter alone answers."""
        if architecture not in self.architectures:
            return KILL_PROCESS
        found = [
            action
            for named, action, conditions in self.entries
            if named == name and all(condition.holds(arguments) for condition in conditions)
        ]
        return max(found, key=lambda action: action.kind) if found else self.otherwise

    def text(self, folder: Path, number: int) -> str:
        """The layer as TOML; a docker profile is written beside it."""
        lines = ["[seccomp]", "restrict_suid_sgid = false"]
        if self.form == "docker":
            file = folder / f"docker{number}.json"
            file.write_text(json.dumps(self._docker()))
            file.chmod(0o644)
            return "\n".join([*lines, f'profile = "{file.name}"', ""])
        if self.form == "toml":
            lines.append(f'default = "{self.default}"')
        rules = [_rule(*entry) for entry in self.entries]
        lines += [f"rules = [{', '.join(rules)}]"] if rules else []
        if self.listed is not None:
            lines.append(f"architectures = {json.dumps(['native', *self.listed])}")
        return "\n".join([*lines, ""])

    def _docker(self) -> dict[str, Any]:
        data: dict[str, Any] = _named(self.default, "defaultAction", "defaultErrnoRet")
        data["syscalls"] = [
            {
                "names": [name],
                **_named(action, "action", "errnoRet"),
                "args": [condition.docker() for condition in conditions],
            }
            for name, action, conditions in self.entries
        ]
        if self.listed is not None:
            below = [oci_architecture(name) for name in self.listed]
            if self.mapped:
                data["archMap"] = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": below}]
            else:
                data["architectures"] = ["SCMP_ARCH_X86_64", *below]
        return data

    def program(self) -> bytes:
        """What it is by itself, for the kernel: entry after entry, the strictest first."""
        code = [_load(bpf.ARCHITECTURE), Instruction(bpf.JMP | bpf.JEQ, 0, 1, kernel_token(LIBRARY, "x86"))]
        x86, x86_64 = self._answers("x86"), self._answers("x86_64")
        x32 = [
            _load(bpf.NUMBER),
            Instruction(bpf.JMP | bpf.JGE, 1, 0, abi.X32_SYSCALL_BIT),
            _jump(0),
            *self._answers("x32"),
        ]
        x32[2] = _jump(len(x32) - 3)
        return bpf.encode((*code, _jump(len(x32) + len(x86_64)), *x32, *x86_64, *x86))

    def _answers(self, architecture: str) -> list[Instruction]:
        if architecture not in self.architectures:
            return [_return(KILL_PROCESS)]
        code = []
        for name, action, conditions in sorted(self.entries, key=lambda entry: -entry[1].kind):
            tests = [part for condition in conditions for part in _tested(condition, wide=architecture == "x86_64")]
            number = Instruction(bpf.JMP | bpf.JEQ, 0, MISSED, number_of(architecture, name))
            entry = [_load(bpf.NUMBER), number, *tests, _return(action)]
            code += [_missing(item, len(entry) - at - 1) for at, item in enumerate(entry)]
        return [*code, _return(self.otherwise)]


#: A jump to what follows the entry.
MISSED = 255


def number_of(architecture: str, name: str) -> int:
    token = LIBRARY.architecture(architecture)
    assert token is not None
    return LIBRARY.names(token)[name]


def _missing(item: Instruction, distance: int) -> Instruction:
    far, near = (distance if jump == MISSED else jump for jump in (item.jt, item.jf))
    return Instruction(item.code, far, near, item.k)


def _load(offset: int) -> Instruction:
    return Instruction(bpf.LD_ABS, 0, 0, offset)


def _jump(distance: int) -> Instruction:
    return Instruction(bpf.JA, 0, 0, distance)


def _return(action: Action) -> Instruction:
    return Instruction(bpf.RET_K, 0, 0, action.returned)


def _tested(condition: Condition, *, wide: bool) -> list[Instruction]:
    """Goes on where the condition holds; of the upper half of an argument only a ``wide`` architecture has any."""
    low = 16 + 8 * condition.index
    high = _load(low + 4) if wide else Instruction(bpf.LD_IMM, 0, 0, 0)
    value, mask = condition.value, condition.mask
    if condition.op == "masked_eq":
        halves = ((high, mask >> 32, value >> 32), (_load(low), mask & bpf.U32, value & bpf.U32))
        return [
            part
            for load, bits, right in halves
            for part in (
                load,
                Instruction(bpf.ALU | bpf.AND, 0, 0, bits),
                Instruction(bpf.JMP | bpf.JEQ, 0, MISSED, right),
            )
        ]
    value += condition.op in ("gt", "le")
    lower = bpf.JEQ if condition.op in ("eq", "ne") else bpf.JGE
    # Where the upper halves differ: by how many instructions it goes on behind these, which is where the condition holds.
    greater = 3 if condition.op in ("ge", "gt", "ne") else MISSED
    less = 2 if condition.op in ("lt", "le", "ne") else MISSED
    met, missed = (MISSED, 0) if condition.op in ("lt", "le", "ne") else (0, MISSED)
    return [
        high,
        Instruction(bpf.JMP | bpf.JGT, greater, 0, value >> 32),
        Instruction(bpf.JMP | bpf.JEQ, 0, less, value >> 32),
        _load(low),
        Instruction(bpf.JMP | lower, met, missed, value & bpf.U32),
    ]


def _named(action: Action, key: str, number: str) -> dict[str, Any]:
    named: dict[str, Any] = {key: f"SCMP_ACT_{action.kind.name}"}
    return named | ({number: action.data} if action.kind is ActionKind.ERRNO else {})


def _rule(name: str, action: Action, conditions: Sequence[Condition]) -> str:
    tests = ", ".join(condition.toml() for condition in conditions)
    return f'{{ names = ["{name}"], action = "{action}", args = [{tests}] }}'


def layer(shape: str, random: Random, most: int) -> Written:
    """One of a shape: up to ``most`` entries for four calls, with up to three arguments each; one comparison in seven is
    with one of the `EDGES`."""
    form, _, further = shape.partition(" ")
    partial = form == "partial"
    denials = (EPERM, EACCES, KILL_PROCESS)
    actions = denials if partial else (ALLOW, ALLOW, LOG, *denials)
    entries: list[Entry] = []
    for _ in range(random.randint(0, most)):
        # In a table without a default an answer without conditions is a statement, not a bound.
        count = random.choice((1, 1, 1, 2, 2, 3) if partial else (0, 1, 1, 1, 2, 2, 3))
        conditions = [_condition(index, random) for index in sorted(random.sample(range(3), count))]
        entries.append((random.choice(NAMES[:-1]), random.choice(actions), tuple(conditions)))
    if not partial:
        entries.append(("seccomp", ALLOW, ()))  # or no further filter could be laid over it
    listed = tuple(name for name in ARCHITECTURES[1:] if random.random() < 0.5) if further else None
    default = random.choice((ALLOW, LOG, ENOSYS, EPERM, KILL_PROCESS))
    return Written(form, default, tuple(entries), listed, further == "archMap")


def _condition(index: int, random: Random) -> Condition:
    op = random.choice(OPERATORS)
    value = random.choice(EDGES) if random.randrange(7) == 0 else random.randint(0, 9)
    if op == "masked_eq":
        mask = random.choice(MASKS)
        return Condition(index, op, value & mask, mask)
    return Condition(index, op, value)
