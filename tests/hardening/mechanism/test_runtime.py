"""Verdicts: no rejection and at least one acceptance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import HardeningError, Problems, SpecError
from hardening.mechanism.runtime import Refusal
from hardening.plugin.admission import Verdict, require_admission

_refusals = st.lists(st.builds(Refusal, st.sampled_from(["", "/a", "/b/0"]), st.sampled_from(["x", "y"])), max_size=3)
_verdicts = st.lists(st.builds(Verdict, st.sampled_from(["one", "two"]), _refusals.map(tuple)), max_size=4)


def test_silence_is_no_acceptance() -> None:
    with pytest.raises(SpecError, match="nothing accepted"):
        require_admission([])


def test_an_acceptance_is_enough_where_nobody_objects() -> None:
    require_admission([Verdict("one")])
    require_admission(iter([Verdict("one"), Verdict("two")]))


def test_a_rejection_names_the_place_the_reason_and_who_says_so() -> None:
    with pytest.raises(SpecError) as caught:
        require_admission([Verdict("one"), Verdict("crun", (Refusal("/domainname", "not read", "leave it out"),))])
    assert str(caught.value) == "config.json:/domainname: not read (crun)\nhint: leave it out"
    assert caught.value.exit_code == 2


def test_a_rejection_without_a_place_or_a_hint_has_neither() -> None:
    with pytest.raises(SpecError) as caught:
        require_admission([Verdict("one", (Refusal("", "no"),))])
    assert str(caught.value) == "no (one)"


@given(_verdicts)
def test_a_launch_is_admitted_if_somebody_accepts_and_nobody_rejects(verdicts: list[Verdict]) -> None:
    refusals = [refusal for verdict in verdicts for refusal in verdict.refusals]
    try:
        require_admission(verdicts)
        admitted, said = True, 0
    except HardeningError as error:
        admitted, said = False, len(error.problems) if isinstance(error, Problems) else 1
    assert admitted == (bool(verdicts) and all(verdict.accepts for verdict in verdicts))
    assert said == (0 if admitted else max(1, len(refusals)))


@given(_verdicts, st.randoms(use_true_random=False))
def test_the_order_of_verdicts_decides_nothing(verdicts: list[Verdict], chance: object) -> None:
    def admitted(order: list[Verdict]) -> bool:
        try:
            require_admission(order)
        except HardeningError:
            return False
        return True

    shuffled = list(verdicts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert admitted(verdicts) == admitted(shuffled)
