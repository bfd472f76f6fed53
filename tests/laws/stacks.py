"""Stacks of generated layers, drawn from a mechanism's own samples."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hardening.mechanism.mechanism import Mechanism
from hardening.testing.laws import NOTHING, Case


@st.composite
def cases(draw: st.DrawFn, mechanism: Mechanism[Any]) -> Case:
    """One layer: up to five says, up to three limits, exceptions for some of what it says."""
    samples = st.sampled_from(list(mechanism.samples()))
    statements = {(setting, member): value for setting, member, value in draw(st.lists(samples, max_size=5))}
    limits = {(setting, member): value for setting, member, value in draw(st.lists(samples, max_size=3))}
    excepted = draw(st.sets(st.sampled_from(sorted(statements)))) if statements else set()
    complete = draw(st.integers(0, 3)) == 3
    return Case(statements, limits if draw(st.booleans()) else NOTHING, frozenset(excepted), complete)


def stacks(mechanism: Mechanism[Any]) -> st.SearchStrategy[list[Case]]:
    """Two to four layers."""
    return st.lists(cases(mechanism), min_size=2, max_size=4)
