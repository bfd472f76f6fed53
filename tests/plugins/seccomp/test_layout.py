"""The program that is laid out anew: its answers, its length and its steps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS
from hardening_seccomp.answers import AnswerReader
from hardening_seccomp.build import token_of
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter
from hardening_seccomp.layout import laid_out
from hardening_seccomp.spans import Span, overlaps, wanted
from tests.plugins.seccomp import generate

LIBRARY = Libseccomp.load()
TOKEN = token_of(LIBRARY, "x86_64")
NAMES = LIBRARY.names(TOKEN)


def steps(program: bytes, number: int, arguments: tuple[int, ...] = ()) -> int:
    return bpf.evaluate(bpf.decode(program), TOKEN, number, arguments).executed


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(0, 60) | st.just(0x40000001), generate.rules(3), min_size=1, max_size=6),
    st.sampled_from([0xC000003E, 0x80000016]),
    st.integers(0, 61) | st.sampled_from([0x40000000, 0x40000001, 0xFFFFFFFF]),
    generate.vectors,
)
def test_the_program_answers_the_spans(
    rules: dict[int, Rule], token: int, number: int, vector: tuple[int, ...]
) -> None:
    spans = _spans(rules)
    data = laid_out({token: spans})
    assert data is not None
    program = bpf.decode(data)
    assert bpf.evaluate(program, token, number, vector).action == rules.get(number, constant(EPERM)).value(vector)
    assert bpf.evaluate(program, token ^ 1, number, vector).action == KILL_PROCESS
    assert all(one == other for _, _, one, other in overlaps(AnswerReader.of(program).answers(token), spans))


def _spans(rules: dict[int, Rule]) -> list[Span]:
    """One span a number that has a rule, and what lies between."""
    edges = sorted({0} | {edge for number in rules for edge in (number, number + 1)})
    ends = [edge - 1 for edge in edges[1:]] + [bpf.U32]
    return [Span(first, last, rules.get(first, constant(EPERM))) for first, last in zip(edges, ends, strict=True)]


def test_the_kernel_takes_a_long_program_with_jumps_out_of_reach() -> None:
    rules = {
        2 * number: rule_of([ConditionEntry(ALLOW, (Comparison(number % 6, Op.EQ, number << 32 | 7),))], ENOSYS)
        for number in range(300)
    }
    data = laid_out({TOKEN: _spans(rules)})
    assert data is not None
    program = bpf.decode(data)
    assert any(item.code == bpf.JA for item in program)
    assert all(one == other for _, _, one, other in overlaps(AnswerReader.of(program).answers(TOKEN), _spans(rules)))


def test_a_program_longer_than_the_kernel_accepts_is_not_made() -> None:
    rules = {
        number: rule_of([ConditionEntry(ALLOW, (Comparison(index, Op.EQ, number),)) for index in range(2)], ENOSYS)
        for number in range(1, 700)
    }
    assert laid_out({TOKEN: _spans(rules)}) is None


def test_an_allowed_call_takes_few_steps() -> None:
    model = Filter(ENOSYS, {name: constant(ALLOW) for name in list(NAMES)[::2]}, frozenset({"x86_64"}))
    program = compile_filter(model, LIBRARY).program
    # Load, architecture, load, return, and a search among as many spans.
    most = 4 + len(wanted(model, LIBRARY)[TOKEN]).bit_length()
    assert max(steps(program, number) for number in list(NAMES.values())[::2]) <= most


@pytest.mark.parametrize(
    ("entries", "arguments", "most"),
    [
        (
            [ConditionEntry(EPERM, (Comparison(1, Op.EQ, value, width=32),)) for value in (0x5412, 0x541C)],
            (0, 0x5401),
            3,
        ),
        ([ConditionEntry(EPERM, (Comparison(0, Op.MASKED_EQ, 0, 0x7E020000),))], (0x11,), 2),
        ([ConditionEntry(EPERM, (Comparison(2, Op.GE, 1 << 40),))], (0, 0, 5), 2),
        ([ConditionEntry(EPERM, (Comparison(2, Op.EQ, 7 << 32 | 7),))], (0, 0, 7 << 32 | 7), 4),
    ],
    ids=["two requests", "a mask", "half a number", "both halves"],
)
def test_arguments_are_decided_in_few_steps(
    entries: list[ConditionEntry], arguments: tuple[int, ...], most: int
) -> None:
    """Beyond those to find the call: a load and a comparison for each half that matters."""
    model = Filter(ENOSYS, {"getppid": rule_of(entries, ALLOW)}, frozenset({"x86_64"}))
    plain = Filter(ENOSYS, {"getppid": constant(ALLOW)}, frozenset({"x86_64"}))
    ours, bare = (compile_filter(one, LIBRARY).program for one in (model, plain))
    assert steps(ours, NAMES["getppid"], arguments) - steps(bare, NAMES["getppid"]) <= most
