"""Medians, fits and turns."""

from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.samples import Fit, Summary, in_turns


def test_quartiles() -> None:
    assert Summary.of([4.0]) == Summary(4.0, 4.0, 4.0, 1)
    assert Summary.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Summary(3.0, 2.0, 4.0, 5)


@given(st.floats(0.1, 3), st.floats(1e-6, 1e3))
def test_a_power_law_is_found_again(exponent: float, factor: float) -> None:
    fit = Fit.of({n: factor * n**exponent for n in (1, 10, 100, 1000)})
    assert math.isclose(fit.exponent, exponent, rel_tol=1e-6)
    assert math.isclose(fit.at(50), factor * 50**exponent, rel_tol=1e-6)


def test_a_constant_part_makes_the_exponent_smaller_never_larger() -> None:
    assert Fit.of({n: 1 + 0.01 * n for n in (10, 100, 1000, 10000)}).exponent < 1


def test_a_curve_that_is_worse_than_linear_is_seen() -> None:
    assert Fit.of({n: n * math.log(n) for n in (10, 100, 1000, 10000)}).exponent > 1.05


def test_one_point_has_no_exponent() -> None:
    with pytest.raises(ValueError, match="at least two"):
        Fit.of({10: 1.0})


def test_everybody_has_every_turn_and_the_first_rounds_do_not_count() -> None:
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turns({name: partial(measure, name) for name in "abc"}, 2, warm=1)
    assert "".join(order) == "abcbcacab"
    assert found == {"a": [6.0, 8.0], "b": [4.0, 9.0], "c": [5.0, 7.0]}
