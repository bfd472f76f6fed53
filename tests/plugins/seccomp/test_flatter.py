"""`plugins/hardening_seccomp/compile.py`: of rules with too many cases what runs goes last, nothing becomes looser."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings

from hardening.assemble import pipeline
from hardening.base.linux.libseccomp import Libseccomp
from hardening.mechanism.findings import Severity
from hardening.mechanism.fragment import Fragment
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, KILL_PROCESS, LOG, Action, ActionKind, is_denial
from hardening_seccomp.build import token_of
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, coarser, rule_of
from hardening_seccomp.diagrams import apply
from hardening_seccomp.filters import Filter, rule_is_no_looser_than
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.notes import flattened
from hardening_seccomp.oci import PARTS, flatter, read
from hardening_seccomp.spec import contribute, filter_of
from hardening_seccomp.symbolic import meaning
from tests.plugins.seccomp import generate
from tests.support import shipped

LIBRARY = Libseccomp.load()
PODMAN = Path("/usr/share/containers/seccomp.json")


def runs_as_often(a: Rule, b: Rule) -> bool:
    return set(apply(lambda x, y: is_denial(x) == is_denial(y), a, b).leaves) == {True}


def runs_alike(a: Rule, b: Rule) -> bool:
    return all(apply(lambda x, y: is_denial(x) or x == y, a, b).leaves)


@settings(deadline=None)
@given(generate.rules(4), generate.rules(4))
def test_each_level_is_no_looser_and_what_runs_is_given_up_last(one: Rule, other: Rule) -> None:
    rule = apply(lambda a, b: a if a.is_no_looser_than(b) else b, one, other)
    for default in (ENOSYS, ALLOW, KILL_PROCESS):
        levels = flatter(rule, default)
        assert levels[0] == rule
        assert levels[-1].is_constant
        assert all(rule_is_no_looser_than(later, earlier) for earlier, later in pairwise(levels))
        parts = [coarser(rule, default, most) for most in PARTS]
        assert all(rule_is_no_looser_than(later, earlier) for earlier, later in pairwise([rule, *parts]))
        alike = [level for level in levels if runs_as_often(rule, level)]
        assert list(levels[: len(alike)]) == alike  # then a part of it is given up, and at last all
        for level in alike:
            given_up = len({leaf for leaf in level.leaves if not is_denial(leaf)}) < 2
            assert given_up or runs_alike(rule, level)


def many_denials() -> Rule:
    """Two calls that run, among denials by so many errnos that libseccomp has no room for them."""
    errnos = [
        ConditionEntry(Action(ActionKind.ERRNO, 1 + value % 90), (Comparison(0, Op.EQ, 7 * value),))
        for value in range(1, 300)
    ]
    return rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.LE, 1),)), *errnos], Action(ActionKind.ERRNO, 95))


def test_differing_errnos_are_given_up_before_what_runs() -> None:
    rule = many_denials()
    compiled = compile_filter(Filter(ENOSYS, {"getppid": rule}, frozenset({"x86_64"})), LIBRARY)
    token = token_of(LIBRARY, "x86_64")
    found = meaning(bpf.decode(compiled.program), token, LIBRARY.names(token)["getppid"])
    assert compiled.written == {"getppid": found}
    assert set(apply(lambda a, b: is_denial(a) == is_denial(b), rule, found).leaves) == {True}
    assert rule_is_no_looser_than(found, rule)
    assert read(compiled.document, native="x86_64").model.rule("getppid") == found


@pytest.mark.parametrize("profile", ["base", "default", "web", "strict"])
@pytest.mark.parametrize("architectures", ["", 'architectures = ["native"]'])
def test_podmans_profile_over_ours_runs_what_both_allow(profile: str, architectures: str, tmp_path: Path) -> None:
    layer = shipped.layer(tmp_path, "m", f'extends = ["{profile}"]\n[seccomp]\nprofile = "{PODMAN}"\n{architectures}\n')
    _, host = shipped.here()
    composition = shipped.composed([layer])
    context = pipeline.check(composition, host, None)
    model = filter_of(composition.settings["seccomp"], context)
    facts = host.of(SeccompFacts)
    compiled = compile_filter(model, facts.required_library())
    fragment = Fragment("seccomp")
    contribute(composition.settings["seccomp"], context, fragment)
    told = {item.leaf: item for item in fragment.told}
    assert set(told) == {f"seccomp.{name}" for name in compiled.written}
    program, token = bpf.decode(compiled.program), token_of(facts.required_library(), facts.native)
    for name, written in compiled.written.items():
        assert meaning(program, token, facts.required_library().names(token)[name]) == written
        assert set(apply(lambda a, b: is_denial(a) == is_denial(b), model.rule(name), written).leaves) == {True}, name
        assert told[f"seccomp.{name}"].severity is Severity.WARNING
    sockets = model.rule("socket")
    if profile != "strict":
        assert sockets.value((1, 1, 0, 0, 0, 0)) == ALLOW


def test_what_is_lost_is_said() -> None:
    rule = apply(lambda a: LOG if a == ALLOW else a, many_denials())
    levels = flatter(rule, ENOSYS)
    told = [flattened("getppid", rule, level) for level in levels[1:]]
    assert {item.severity for item in told} == {Severity.WARNING}  # also by a quiet run
    assert ["every denied call gets errno" in item.message for item in told] == [*[True] * (len(told) - 1), False]
    assert "also those that would run" in told[-1].message
    both = rule_of(
        [ConditionEntry(LOG, (Comparison(0, Op.EQ, 1),)), ConditionEntry(ALLOW, (Comparison(0, Op.EQ, 2),))], ENOSYS
    )
    assert "every call that runs gets log" in flattened("getppid", both, flatter(both, ENOSYS)[1]).message
    pairs = [Comparison(0, Op.EQ, 1), Comparison(1, Op.EQ, 2)]
    part = rule_of([ConditionEntry(ALLOW, tuple(pairs)), ConditionEntry(ALLOW, (Comparison(0, Op.EQ, 5),))], ENOSYS)
    left = coarser(part, ENOSYS, 0)
    assert left == rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, 5),))], ENOSYS)
    assert (
        "some calls that would run are denied, what is left is: allow if arg0 == 0x5"
        in flattened("getppid", part, left).message
    )
