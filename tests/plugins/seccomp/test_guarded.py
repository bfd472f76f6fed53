"""libseccomp in a child: results come back, faults do not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import SpecError
from hardening_seccomp import guarded
from hardening_seccomp.actions import ALLOW, ENOSYS, LOG
from hardening_seccomp.build import build
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, rule_of
from hardening_seccomp.filters import Filter
from hardening_seccomp.guarded import programs, suspects
from hardening_seccomp.oci import emit

LIBRARY = Libseccomp.load()
ORDERED = rule_of(
    [ConditionEntry(ALLOW, (Comparison(0, Op.LE, 1),)), ConditionEntry(LOG, (Comparison(0, Op.GE, 9),))], ENOSYS
)
SINGLE = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.LE, 1),))], ENOSYS)


def test_only_delicate_rules_are_suspect() -> None:
    model = Filter(ENOSYS, {"getppid": ORDERED, "getpid": SINGLE}, frozenset({"x86_64"}))
    assert suspects(emit(model).document) == {"getppid"}


def test_the_child_builds_what_we_build() -> None:
    document = emit(Filter(ENOSYS, {"getppid": ORDERED}, frozenset({"x86_64"}))).document
    found = programs(document, LIBRARY)
    assert found is not None
    assert found.tree == build(document, LIBRARY, tree=True)
    assert found.chain == build(document, LIBRARY, tree=False)


def test_a_library_that_never_comes_back_is_given_up() -> None:
    """libseccomp 2.6.1 is repaired, and builds the same."""
    document = emit(Filter(ENOSYS, {}, frozenset({"x86_64"}))).document
    high, seven = {"index": 0, "value": 1 << 32, "op": "SCMP_CMP_GE"}, {"index": 2, "value": 7, "op": "SCMP_CMP_EQ"}
    low = {"index": 0, "value": (1 << 32) - 1, "op": "SCMP_CMP_LE"}
    other = {"index": 2, "value": 0x100000007, "op": "SCMP_CMP_EQ"}
    document["syscalls"] = [
        {"names": ["getppid"], "action": "SCMP_ACT_LOG", "args": [low, seven]},
        {"names": ["getppid"], "action": "SCMP_ACT_LOG", "args": [high, seven]},
        {"names": ["getppid"], "action": "SCMP_ACT_ALLOW", "args": [high, other]},
    ]
    found = programs(document, LIBRARY, seconds=0.4)
    if LIBRARY.version < (2, 6, 1):
        assert found is None
    else:
        assert found is not None
        assert found.tree == build(document, LIBRARY, tree=True)


def test_errors_come_back_as_errors() -> None:
    document = emit(Filter(ENOSYS, {"getppid": ORDERED}, frozenset({"x86_64"}))).document
    document["syscalls"][0]["args"] = [{"index": 9, "value": 0, "op": "SCMP_CMP_LE"}]
    with pytest.raises(SpecError, match="index"):
        programs(document, LIBRARY)


@pytest.mark.parametrize(("busy", "built"), [(False, True), (True, False)])
def test_time_in_which_others_run_does_not_count(busy: bool, built: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load builds the same program as an idle one: a wait is longer than the limit, work is not."""
    both = guarded._both

    def late(document: Mapping[str, Any], library: Libseccomp) -> guarded.Programs:
        while busy:
            pass
        time.sleep(0.5)
        return both(document, library)

    monkeypatch.setattr(guarded, "_both", late)
    document = emit(Filter(ENOSYS, {"getppid": ORDERED}, frozenset({"x86_64"}))).document
    assert (programs(document, LIBRARY, seconds=0.4) is not None) == built
