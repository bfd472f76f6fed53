"""The program that the native launcher installs: the answers of libseccomp's, in as few instructions a call as we can.

libseccomp asks one number after the other, and every condition of a rule by itself. Here numbers with equal answers are
spans, found by halving, and the conditions are one decision. The result is proved like libseccomp's own (`compile`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from hardening.base.values import frozen
from hardening_seccomp import bpf
from hardening_seccomp.actions import KILL_PROCESS
from hardening_seccomp.decisions import Decisions, Node, Return, Test, chosen
from hardening_seccomp.spans import Span

_REACH = 250  # of a conditional jump: 255, less what is put between it and its targets


def laid_out(wanted: Mapping[int, Sequence[Span]]) -> bytes | None:
    """The program that answers the spans of each token, asked in their order, and kills the process for any other; None
    where it would be longer than the kernel accepts."""
    node: Node = Return(KILL_PROCESS.returned)
    for token, spans in reversed(list(wanted.items())):
        decisions = Decisions(bool(token & bpf.LITTLE_ENDIAN))
        node = Test(
            bpf.ARCHITECTURE,
            bpf.JEQ,
            token,
            chosen(bpf.NUMBER, [(span.first, decisions.rule(span.rule)) for span in spans]),
            node,
        )
    writer = _Writer()
    writer.place(node, loaded=None)
    program = writer.program()
    return bpf.encode(program) if len(program) <= bpf.MAX_INSTRUCTIONS else None


@frozen(eq=False)
class _Writer:
    """Writes a program from its end: an instruction is known by how many follow it, and jumps only go to those."""

    _code: list[bpf.Instruction] = attrs.field(factory=list)
    _placed: dict[tuple[Node, bool], int] = attrs.field(factory=dict)

    def program(self) -> bpf.Program:
        return tuple(reversed(self._code))

    def place(self, node: Node, *, loaded: int | None) -> int:
        """Where the instructions of a node begin that follow with the word at offset ``loaded`` in the accumulator."""
        if isinstance(node, Return):
            return self._once(node, loads=False)
        return self._once(node, loads=loaded != node.offset)

    def _once(self, node: Node, *, loads: bool) -> int:
        key = (node, loads)
        if key not in self._placed:
            if isinstance(node, Return):
                self._code.append(bpf.Instruction(bpf.RET_K, 0, 0, node.value))
            else:
                self._test(node, loads=loads)
            self._placed[key] = len(self._code) - 1
        return self._placed[key]

    def _test(self, node: Test, *, loads: bool) -> None:
        after = None if node.masks else node.offset
        far, near = (self.place(target, loaded=after) for target in (node.then, node.otherwise))
        far, near = self._within_reach(far), self._within_reach(near)
        here = len(self._code)
        code = bpf.JMP | node.operation
        self._code.append(bpf.Instruction(code, here - far - 1, here - near - 1, node.k))
        if node.masks:
            self._code.append(bpf.Instruction(bpf.ALU | bpf.AND, 0, 0, node.mask))
        if loads:
            self._code.append(bpf.Instruction(bpf.LD_ABS, 0, 0, node.offset))

    def _within_reach(self, target: int) -> int:
        """The target, or else a copy of its return, or a jump to it, right here."""
        distance = len(self._code) - target - 1
        if distance <= _REACH:
            return target
        found = self._code[target]
        jump = bpf.Instruction(bpf.JA, 0, 0, distance)
        self._code.append(found if found.code == bpf.RET_K else jump)
        return len(self._code) - 1
