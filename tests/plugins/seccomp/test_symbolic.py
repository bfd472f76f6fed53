"""The meaning of a program is what the evaluator finds, for every argument vector."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.errors import SpecError
from hardening_seccomp import bpf
from hardening_seccomp.symbolic import meaning
from tests.plugins.seccomp import generate

X86_64 = 0xC000003E
S390X = 0x80000016
I = bpf.Instruction  # noqa: E741
CODES = [bpf.LD_ABS, bpf.ALU | bpf.AND, bpf.JA, *(bpf.JMP | op for op in (bpf.JEQ, bpf.JGT, bpf.JGE, bpf.JSET))]
CONSTANTS = [0, 1, 5, 0xF0, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


@st.composite
def comparing(draw: st.DrawFn) -> bpf.Program:
    size = draw(st.integers(1, 14))
    found = [I(bpf.LD_ABS, 0, 0, 0)]
    for left in range(size, 0, -1):
        code = draw(st.sampled_from(CODES))
        reach = st.integers(0, left - 1)
        offset = st.sampled_from([0, 4, *range(16, 64, 4)])
        k = draw(offset if code == bpf.LD_ABS else reach if code == bpf.JA else st.sampled_from(CONSTANTS))
        found.append(I(code, draw(reach), draw(reach), k))
        if draw(st.booleans()):
            continue
    return (*found, I(bpf.RET_K, 0, 0, 0x50001), I(bpf.RET_K, 0, 0, 0x7FFF0000))


@settings(deadline=None)
@given(comparing(), st.sampled_from([X86_64, S390X]), generate.vectors)
def test_meaning_is_evaluation(program: bpf.Program, arch: int, vector: tuple[int, ...]) -> None:
    bpf.validate(program)
    assert meaning(program, arch, 39).value(vector) == bpf.evaluate(program, arch, 39, vector).action


def test_programs_that_compute_are_refused() -> None:
    with pytest.raises(SpecError, match="cannot be proved"):
        meaning((I(bpf.LD_ABS, 0, 0, 16), I(bpf.ALU | bpf.ADD, 0, 0, 1), I(bpf.RET_A, 0, 0, 0)), X86_64, 0)
    with pytest.raises(SpecError, match="cannot be proved"):
        meaning((I(bpf.LD_ABS, 0, 0, 8), I(bpf.JMP | bpf.JEQ, 0, 0, 1), I(bpf.RET_K, 0, 0, 0)), X86_64, 0)
