"""The comparison of verdicts can be measured; how long they take is not for a test to say."""

from __future__ import annotations

from tests.bench.verifying import measured


def test_it_measures_both_on_every_transport() -> None:
    found = measured(2)
    assert [(transport, who.partition(",")[0]) for transport, who, _ in found] == [
        ("dir", "hardening"), ("dir", "skopeo"), ("docker", "hardening"), ("docker", "skopeo"),
    ]  # fmt: skip
    assert all(spent.wall > 0 and spent.cpu > 0 for _, _, spent in found)
