"""Intersection of filters, held against the compiled programs and against the kernel's own stacking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp import bpf, filters
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, LOG, Action, ActionKind, stricter
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import apply, constant
from hardening_seccomp.filters import Filter, intersect, is_no_looser_than, violations
from tests.plugins.seccomp import generate, kernel
from tests.support.features import require
from tests.support.sample import examples

LIBRARY = Libseccomp.load()
NATIVE = LIBRARY.native()
ARCHITECTURE = next(name for name in ("x86_64", "aarch64") if LIBRARY.architecture(name) == NATIVE)
NAMES = LIBRARY.names(NATIVE)
ENOENT, E2BIG = Action(ActionKind.ERRNO, 2), Action(ActionKind.ERRNO, 7)
#: A number that no system call has, to see the default action.
UNKNOWN = 1000
VECTORS = [
    (0, 0, 0, 0, 0, 0),
    (1, 1, 0, 0, 0, 0),
    (5, 7, 0, 0, 0, 0),
    (0xFFFFFFFF, 2, 0, 0, 0, 0),
    (0x100000000, 5, 0, 0, 0, 0),
    (0x100000005, 0x20000, 0, 0, 0, 0),
    ((1 << 64) - 1, (1 << 63) - 1, 0, 0, 0, 0),
]

Meet = Callable[[Filter, Filter], Filter]


def one(rule: Rule, default: Action = ALLOW) -> Filter:
    """A filter of one harmless system call, getppid; a strict default leaves the others alone."""
    rules = {name: constant(ALLOW) for name in NAMES} if default != ALLOW else {}
    return Filter(default, {**rules, "getppid": rule}, frozenset({ARCHITECTURE}))


def disagreements(layers: Sequence[Filter], combine: Meet = intersect) -> list[str]:
    """Where the composed filter answers otherwise than the single filters stacked in the kernel, and than the model."""
    composed = layers[0]
    for layer in layers[1:]:
        composed = combine(composed, layer)
    singles = [compile_filter(layer, LIBRARY) for layer in layers]
    whole = compile_filter(composed, LIBRARY)
    if whole.written or any(single.written for single in singles):
        return []  # told as a finding: nothing exact to compare
    calls = [(NAMES["getppid"], vector) for vector in VECTORS] + [(UNKNOWN, VECTORS[0])]
    stacked = kernel.answers(NAMES["seccomp"], [single.program for single in singles], calls)
    alone = kernel.answers(NAMES["seccomp"], [whole.program], calls)
    program = bpf.decode(whole.program)
    evaluated = [kernel.expected(bpf.evaluate(program, NATIVE, *call).action) for call in calls]
    # The kernel itself answers an unknown number that the filter lets through.
    evaluated[-1] = "ENOSYS" if evaluated[-1] == kernel.RAN else evaluated[-1]
    return [
        f"{call}: stacked {a}, composed {b}, evaluated {c}"
        for call, a, b, c in zip(calls, stacked, alone, evaluated, strict=True)
        if not a == b == c
    ]


@settings(deadline=None, max_examples=examples(25))
@given(generate.rules(), generate.rules())
def test_two_filters_meet_as_the_kernel_stacks_them(a: Rule, b: Rule) -> None:
    require("seccomp")
    assert disagreements([one(a), one(b)]) == []


@settings(deadline=None, max_examples=examples(10))
@given(generate.rules(most=2), generate.rules(most=2), generate.rules(most=2))
def test_three_filters_meet_as_the_kernel_stacks_them(a: Rule, b: Rule, c: Rule) -> None:
    require("seccomp")
    assert disagreements([one(a), one(b), one(c)]) == []


def test_defaults_meet_as_the_kernel_stacks_them() -> None:
    require("seccomp")
    rule = rule_of([ConditionEntry(EPERM, (Comparison(0, Op.GE, 5),))], LOG)
    assert disagreements([one(rule), one(constant(ALLOW), E2BIG)]) == []
    assert disagreements([one(constant(ALLOW), ENOENT), one(rule, E2BIG)]) == []


LOW = rule_of([ConditionEntry(ENOENT, (Comparison(0, Op.LE, 5),))], ALLOW)
HIGH = rule_of([ConditionEntry(E2BIG, (Comparison(1, Op.GE, 5),))], ALLOW)


def _later_wins(earlier: Action, later: Action) -> Action:
    return later


def _earlier_of_equals(earlier: Action, later: Action) -> Action:
    return stricter(later, earlier)


def _looser(earlier: Action, later: Action) -> Action:
    return earlier if stricter(earlier, later) == later else later


@pytest.mark.parametrize("wrong", [_later_wins, _earlier_of_equals, _looser])
def test_a_wrong_merge_is_noticed(wrong: Callable[[Action, Action], Action], monkeypatch: pytest.MonkeyPatch) -> None:
    require("seccomp")
    assert disagreements([one(LOW), one(HIGH)]) == []
    monkeypatch.setattr(filters, "rule_intersect", lambda a, b: apply(wrong, a, b))
    assert disagreements([one(LOW), one(HIGH)]) != []


def test_a_merge_that_forgets_conditions_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    require("seccomp")
    monkeypatch.setattr(filters, "rule_intersect", lambda a, b: constant(stricter(max(a.leaves), max(b.leaves))))
    with pytest.raises(TypeError):
        intersect(one(LOW), one(HIGH))
    monkeypatch.setattr(filters, "rule_intersect", lambda a, b: a)
    assert disagreements([one(LOW), one(HIGH)]) != []


@settings(deadline=None)
@given(generate.rules(), generate.rules(), generate.vectors)
def test_meet_is_the_stricter_action_everywhere(a: Rule, b: Rule, vector: tuple[int, ...]) -> None:
    met = filters.rule_intersect(a, b)
    assert met.value(vector) == stricter(a.value(vector), b.value(vector))
    assert filters.rule_is_no_looser_than(met, a)
    assert filters.rule_is_no_looser_than(met, b)
    assert filters.rule_intersect(a, a) == a


@settings(deadline=None)
@given(generate.rules(), generate.rules(), generate.vectors)
def test_at_most_is_exact(a: Rule, b: Rule, vector: tuple[int, ...]) -> None:
    if filters.rule_is_no_looser_than(a, b):
        assert a.value(vector).is_no_looser_than(b.value(vector))
    else:
        assert filters.rule_intersect(a, b) != a


def test_architectures_and_flags() -> None:
    a = Filter(ENOSYS, {}, frozenset({"x86_64", "x86"}), frozenset({"log", "spec-allow"}))
    b = Filter(EPERM, {"read": constant(ALLOW)}, frozenset({"x86_64", "x32"}), frozenset())
    met = intersect(a, b)
    assert met.architectures == {"x86_64"}
    assert met.flags == {"log"}
    assert met.default == EPERM
    assert is_no_looser_than(met, a)
    assert is_no_looser_than(met, b)
    assert not is_no_looser_than(b, a)
    assert violations(b, a) == ("read",)
    assert violations(Filter(ALLOW), b) == ("*",)
