"""How long a run may take, once others have succeeded."""

from __future__ import annotations

from hardening.why.patience import Patience


def test_a_run_has_less_time_once_one_has_succeeded_and_never_more() -> None:
    whole = Patience(60.0)
    assert [whole.seconds(), whole.seconds(unseen=True)] == [60.0, 60.0]
    seen = whole.after(2.0)
    assert [seen.seconds(), seen.seconds(unseen=True)] == [9.0, 5.0]
    assert seen.after(1.0, unseen=True).seconds(unseen=True) == 5.0  # 6 where no other was known
    assert whole.after(1.0, unseen=True).seconds(unseen=True) == 6.0
    assert seen.after(50.0) == seen
    assert whole.after(50.0).seconds() == 60.0


def test_no_less_is_asked_than_the_least_nor_anything_of_what_may_take_for_ever() -> None:
    assert Patience(60.0, least=5.0).after(0.5).seconds(unseen=True) == 5.0
    assert Patience(None).after(1.0).seconds() is None
