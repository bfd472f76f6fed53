"""`hardening/compare/difference.py` agrees with a second reading of what settings permit, limits leave and compiled filters
answer; a wrong order would be seen."""

from __future__ import annotations

from typing import Any

import pytest

from hardening.mechanism.kinds import Ceiling, Kind
from hardening_process.kinds import RlimitKind, below
from hardening_rootfs.volumes import VolumeKind
from hardening_seccomp import bpf
from hardening_secrets.settings import UseKind
from tests.hardening.compare import measure
from tests.hardening.compare.measure import Batch, installed, judged
from tests.support.sample import is_whole


@pytest.mark.parametrize("mechanism", installed()[0])
def test_orders_and_deeds_agree_on_pairs_of_stacks(mechanism: str, pytestconfig: pytest.Config) -> None:
    numbers, size = (range(4), 24) if is_whole(pytestconfig) else (range(1), 6)
    for number in numbers:
        row = judged(Batch(mechanism, number, size))
        assert row.wrong == []
        assert row.counts["tighter"] == row.counts["looser"]
        assert row.counts["pairs"]


@pytest.mark.parametrize(
    ("setting", "kind", "wrong"),
    [
        ("process.rlimits", RlimitKind, lambda self, a, b: below(a.hard, b.hard)),
        ("rootfs.volumes", VolumeKind, lambda self, a, b: a is None or b is not None),
        ("rootfs.shm_size", Ceiling, lambda self, a, b: a == b),
        ("secrets.given", UseKind, lambda self, a, b: a == b or a is None or b is not None),
    ],
)
def test_a_wrong_order_is_seen(
    setting: str, kind: type[Kind[Any]], wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mechanism, _, name = setting.partition(".")
    batch = Batch(mechanism, 1, 10, (name,))
    assert not judged(batch).wrong
    monkeypatch.setattr(kind, "is_no_looser_than", wrong)
    assert judged(batch).wrong


def test_a_wrong_order_of_limits_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch("scan", 0, 10)
    assert not judged(batch).wrong
    monkeypatch.setattr(Kind, "is_loosest", lambda self, value: False)
    assert {line.partition(":")[0].endswith(", limits") for line in judged(batch).wrong} == {True}


def test_a_filter_that_answers_something_else_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    allowing = (bpf.Instruction(bpf.RET_K, 0, 0, 0x7FFF0000),)
    monkeypatch.setattr(measure, "_program", lambda found: allowing)
    row = judged(Batch("seccomp", 1, 8, ("",)))
    assert row.counts["by BPF"]
    assert {line.partition(":")[0].endswith(", by BPF") for line in row.wrong} == {True}
