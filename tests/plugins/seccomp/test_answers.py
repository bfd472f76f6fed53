"""What a program answers to every number is what the evaluator finds, for every argument vector."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.errors import SpecError
from hardening_seccomp import bpf
from hardening_seccomp.answers import AnswerReader
from tests.plugins.seccomp import generate

X86_64 = 0xC000003E
S390X = 0x80000016
I = bpf.Instruction  # noqa: E741
CODES = [bpf.LD_ABS, bpf.JA, *(bpf.JMP | op for op in (bpf.JEQ, bpf.JGT, bpf.JGE))]
CONSTANTS = [0, 1, 5, 0xF0, 0x40000000, X86_64, 0xFFFFFFFE, 0xFFFFFFFF]
NUMBERS = sorted({edge + step & bpf.U32 for edge in CONSTANTS for step in (-1, 0, 1)})


@st.composite
def comparing(draw: st.DrawFn) -> bpf.Program:
    """Programs that load the number, the architecture and arguments, and compare them."""
    size = draw(st.integers(1, 16))
    found = [I(bpf.LD_ABS, 0, 0, draw(st.sampled_from([0, 4, 16])))]
    for left in range(size, 0, -1):
        code = draw(st.sampled_from(CODES))
        reach = st.integers(0, left)
        offset = st.sampled_from([0, 0, 0, 4, 16, 20, 28])
        k = draw(offset if code == bpf.LD_ABS else reach if code == bpf.JA else st.sampled_from(CONSTANTS))
        found.append(I(code, draw(reach), draw(reach), k))
    return (*found, I(bpf.RET_K, 0, 0, 0x50001), I(bpf.RET_K, 0, 0, 0x7FFF0000))


@settings(deadline=None)
@given(comparing(), st.sampled_from([X86_64, S390X]), st.sampled_from(NUMBERS), generate.vectors)
def test_answers_are_evaluations(program: bpf.Program, arch: int, number: int, vector: tuple[int, ...]) -> None:
    bpf.validate(program)
    spans = AnswerReader.of(program).answers(arch)
    assert (spans[0].first, spans[-1].last) == (0, 0xFFFFFFFF)
    assert all(one.last + 1 == other.first and one.rule != other.rule for one, other in itertools.pairwise(spans))
    span = next(span for span in spans if number <= span.last)
    assert span.rule.value(vector) == bpf.evaluate(program, arch, number, vector).action


def test_all_architectures_that_are_told_apart_are_known() -> None:
    program = (
        I(bpf.LD_ABS, 0, 0, 4),
        I(bpf.JMP | bpf.JEQ, 0, 1, X86_64),
        I(bpf.RET_K, 0, 0, 0x7FFF0000),
        I(bpf.RET_K, 0, 0, 0x80000000),
    )
    assert AnswerReader.of(program).architectures == [0, X86_64, X86_64 + 1]


@pytest.mark.parametrize(
    "instruction",
    [I(bpf.ALU | bpf.AND, 0, 0, 7), I(bpf.JMP | bpf.JSET, 0, 0, 7), I(bpf.JMP | bpf.JEQ | bpf.FROM_X, 0, 0, 0)],
    ids=["masks", "tests bits", "compares with X"],
)
def test_programs_that_do_more_than_compare_numbers_are_refused(instruction: bpf.Instruction) -> None:
    program = (I(bpf.LD_ABS, 0, 0, 0), instruction, I(bpf.RET_K, 0, 0, 0))
    with pytest.raises(SpecError, match="cannot be proved"):
        AnswerReader.of(program).answers(X86_64)
