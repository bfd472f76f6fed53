"""Compilation: what libseccomp builds means what the model says, or the stricter side is taken and told."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, LOG
from hardening_seccomp.build import build, token_of
from hardening_seccomp.compile import compile_filter, differences
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter, rule_is_no_looser_than
from hardening_seccomp.layout import laid_out
from hardening_seccomp.oci import emit
from hardening_seccomp.spans import KILLED, kernel_token, wanted
from hardening_seccomp.symbolic import meaning
from tests.plugins.seccomp import generate
from tests.support.sample import examples

LIBRARY = Libseccomp.load()
PLAIN = Filter(
    ENOSYS, {"read": constant(ALLOW), "write": constant(LOG), "mount": constant(EPERM)}, frozenset({"x86_64"})
)
#: Rules that libseccomp 2.6.0 merges wrongly (GHSA-4q85-33p6-j5g6), and one on which it loops.
MERGED = rule_of(
    [ConditionEntry(ALLOW, (Comparison(0, Op.LE, 1),)), ConditionEntry(LOG, (Comparison(0, Op.GE, 0x100000005),))],
    ENOSYS,
)
LOOPING = rule_of(
    [
        ConditionEntry(LOG, (Comparison(2, Op.EQ, 7),)),
        ConditionEntry(ALLOW, (Comparison(0, Op.GE, 0x100000000), Comparison(2, Op.EQ, 0x100000007))),
    ],
    ENOSYS,
)


@settings(deadline=None, max_examples=examples(15))
@given(generate.rules(3), st.sampled_from([("x86_64",), ("x86_64", "x86"), ("aarch64",)]), generate.vectors)
def test_the_program_means_the_model(rule: Rule, names: tuple[str, ...], vector: tuple[int, ...]) -> None:
    model = Filter(ENOSYS, {"getppid": rule}, frozenset(names))
    compiled = compile_filter(model, LIBRARY)
    program = bpf.decode(compiled.program)
    token = token_of(LIBRARY, names[0])
    number = LIBRARY.names(token)["getppid"]
    wanted = compiled.written.get("getppid", rule)
    assert bpf.evaluate(program, token, number, vector).action == wanted.value(vector)
    assert meaning(program, token, number) == wanted
    assert rule_is_no_looser_than(wanted, rule)


@pytest.mark.parametrize("rule", [MERGED, LOOPING], ids=["merged", "looping"])
def test_known_faults_of_the_library_do_not_get_through(rule: Rule) -> None:
    compiled = compile_filter(Filter(ENOSYS, {"getppid": rule}, frozenset({"x86_64"})), LIBRARY)
    token = token_of(LIBRARY, "x86_64")
    found = meaning(bpf.decode(compiled.program), token, LIBRARY.names(token)["getppid"])
    assert found == compiled.written.get("getppid", rule)
    assert rule_is_no_looser_than(found, rule)


@pytest.mark.parametrize("other", ["x32", "mipsel64n32", "aarch64"])
def test_arguments_of_architectures_with_32_bit_pointers_are_compared(other: str) -> None:
    """libseccomp compares their lower halves alone, though the token of n32 and x32 has the bit of 64."""
    rule = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.NE, 40),))], EPERM)
    compiled = compile_filter(Filter(ENOSYS, {"socket": rule}, frozenset({"x86_64", other})), LIBRARY)
    assert not compiled.written


def test_a_program_that_differs_is_noticed() -> None:
    program = build(emit(PLAIN).document, LIBRARY, tree=True)
    assert differences(wanted(PLAIN, LIBRARY), program, LIBRARY) == frozenset()
    looser = Filter(
        ENOSYS, {**PLAIN.rules, "write": constant(EPERM), "reboot": constant(KILL_PROCESS)}, frozenset({"x86_64"})
    )
    assert differences(wanted(looser, LIBRARY), program, LIBRARY) == {"write", "reboot"}
    other = wanted(Filter(EPERM, PLAIN.rules, frozenset({"x86_64"})), LIBRARY)
    assert "*" in differences(other, program, LIBRARY)
    (token, spans), *_ = wanted(PLAIN, LIBRARY).items()
    killed = {token: [attrs.evolve(one, rule=KILLED) if one.first == bpf.U32 else one for one in spans]}
    assert differences(wanted(PLAIN, LIBRARY), laid_out(killed) or b"", LIBRARY) == frozenset()
    more = wanted(Filter(ENOSYS, PLAIN.rules, frozenset({"x86_64", "aarch64"})), LIBRARY)
    assert "*" in differences(wanted(PLAIN, LIBRARY), laid_out(more) or b"", LIBRARY)


def test_other_architectures_are_killed() -> None:
    program = bpf.decode(compile_filter(PLAIN, LIBRARY).program)
    assert bpf.evaluate(program, token_of(LIBRARY, "x86"), 3).action == KILL_PROCESS
    assert bpf.evaluate(program, token_of(LIBRARY, "aarch64"), 63).action == KILL_PROCESS
    assert bpf.evaluate(program, token_of(LIBRARY, "x86_64"), 0x40000000).action == KILL_PROCESS


@pytest.mark.parametrize("narrow", ["x86", "x32"])
@pytest.mark.parametrize("comparison", [Comparison(0, Op.GE, 1 << 32), Comparison(0, Op.EQ, (1 << 32) + 5)])
def test_32_bit_architectures_never_get_more_than_the_rule(comparison: Comparison, narrow: str) -> None:
    """libseccomp cuts 64-bit numbers to their lower half there, which would turn `>= 2**32` into `>= 0`."""
    rule = rule_of([ConditionEntry(ALLOW, (comparison,))], EPERM)
    compiled = compile_filter(Filter(ENOSYS, {"getppid": rule}, frozenset({"x86_64", narrow})), LIBRARY)
    program = bpf.decode(compiled.program)
    number = LIBRARY.names(token_of(LIBRARY, narrow))["getppid"]
    assert bpf.evaluate(program, kernel_token(LIBRARY, narrow), number, (5,)).action == EPERM


def test_x32_has_the_token_of_x86_64() -> None:
    assert kernel_token(LIBRARY, "x32") == token_of(LIBRARY, "x86_64")
    both = Filter(ENOSYS, PLAIN.rules, frozenset({"x86_64", "x32"}))
    program = bpf.decode(compile_filter(both, LIBRARY).program)
    assert bpf.evaluate(program, token_of(LIBRARY, "x86_64"), 0x40000000).action == ALLOW


@pytest.mark.parametrize("names", [("x86_64",), ("x86_64", "x86", "x32"), ("aarch64", "arm"), ("ppc64le",), ("x32",)])
def test_every_combination_of_architectures_is_proved_and_is_what_libseccomp_answers(names: tuple[str, ...]) -> None:
    rule = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.GE, 5), Comparison(2, Op.EQ, 1)))], EPERM)
    model = Filter(ENOSYS, {**PLAIN.rules, "getppid": rule, "cacheflush": rule}, frozenset(names))
    spans = wanted(model, LIBRARY)
    document = emit(model).document
    for program in (laid_out(spans), *(build(document, LIBRARY, tree=tree) for tree in (True, False))):
        assert program is not None
        assert differences(spans, program, LIBRARY) == frozenset()


def test_a_filter_longer_than_the_kernel_accepts_becomes_stricter_and_says_so() -> None:
    names = list(LIBRARY.names(token_of(LIBRARY, "x86_64")))[:60]
    rule = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, value * 3),)) for value in range(120)], EPERM)
    compiled = compile_filter(Filter(ENOSYS, dict.fromkeys(names, rule), frozenset({"x86_64"})), LIBRARY)
    assert set(compiled.written) == set(names)
    assert len(compiled.program) // 8 <= bpf.MAX_INSTRUCTIONS
