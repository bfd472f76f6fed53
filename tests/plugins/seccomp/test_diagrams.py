"""Decision diagrams: equal functions are equal values."""

from __future__ import annotations

from itertools import cycle
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening_seccomp.diagrams import (
    Diagram,
    DiagramBuilder,
    TooTangled,
    apply,
    at_least,
    constant,
    lower_halves,
    masked_equal,
    negation,
    select,
)
from hardening_seccomp.oci import read
from tests.plugins.seccomp.generate import EDGES, MASKS, vectors

edges, masks = st.sampled_from(EDGES), st.sampled_from(MASKS)


@given(vectors, edges)
def test_at_least(vector: tuple[int, ...], bound: int) -> None:
    assert at_least(1, bound).value(vector) == (vector[1] >= bound)
    assert at_least(1, bound & 0xFFFF, shift=32, width=32).value(vector) == (vector[1] >> 32 >= bound & 0xFFFF)


@given(vectors, masks, edges)
def test_masked_equal(vector: tuple[int, ...], mask: int, value: int) -> None:
    assert masked_equal(2, mask, value).value(vector) == (vector[2] & mask == value)


@given(edges, edges)
def test_equal_functions_are_equal_values(a: int, b: int) -> None:
    left, right = at_least(0, a), at_least(0, b)
    both = apply(lambda x, y: x and y, left, right)
    assert both == at_least(0, max(a, b))
    assert negation(negation(left)) == left
    assert select(left, right, constant(False)) == both


def renumbered(diagram: Diagram[bool]) -> Diagram[bool]:
    """The same function, numbered from its root anew."""
    builder: DiagramBuilder[bool] = DiagramBuilder()
    leaves = [builder.leaf(value) for value in (False, True)]
    refs: list[int] = []

    def moved(ref: int) -> int:
        return refs[ref] if ref >= 0 else leaves[diagram.leaves[~ref]]

    for bit, low, high in diagram.branches:
        refs.append(builder.branch(bit, moved(low), moved(high)))
    return builder.finish(moved(diagram.root))


@given(edges, masks, edges)
def test_what_is_made_in_one_go_is_numbered_as_by_a_builder(bound: int, mask: int, value: int) -> None:
    reached, equal = at_least(0, bound), masked_equal(1, mask, value & mask)
    half = at_least(0, bound & 0xFFFFFFFF, shift=32, width=32)
    chosen = select(equal, reached, half)
    for diagram in (reached, equal, half, chosen, select(reached, equal, constant(True))):
        assert diagram == renumbered(diagram)


@given(vectors, edges, masks, edges)
def test_select(vector: tuple[int, ...], bound: int, mask: int, value: int) -> None:
    test, then, otherwise = masked_equal(0, mask, value), at_least(1, bound), at_least(0, value)
    expected = then if test.value(vector) else otherwise
    assert select(test, then, otherwise).value(vector) == expected.value(vector)


@given(vectors, edges)
def test_lower_halves(vector: tuple[int, ...], bound: int) -> None:
    low = tuple(word & 0xFFFFFFFF for word in vector)
    assert lower_halves(at_least(3, bound)).value(vector) == at_least(3, bound).value(low)


def test_shares_add_up() -> None:
    found = at_least(0, 1 << 63).shares()
    assert found == {False: 1 << 383, True: 1 << 383}
    assert constant(1).shares() == {1: 1 << 384}
    assert masked_equal(5, 3, 1).shares()[True] == 1 << 382


def test_nowhere_and_everywhere_are_constants() -> None:
    assert at_least(0, 0) == constant(True)
    assert at_least(0, 1 << 64) == constant(False)
    assert masked_equal(0, 1, 2) == constant(False)
    assert masked_equal(0, 0, 0) == constant(True)


def test_conditions_that_are_too_tangled_are_refused_with_their_place_before_they_take_the_memory() -> None:
    picked = Random(1)
    words = [[picked.getrandbits(64) for _ in range(2)] for _ in range(600)]
    arguments = [
        {"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value & mask}
        for (mask, value), index in zip(words, cycle([0, 2, 4, 1, 3, 5]), strict=False)
    ]
    cases = [arguments[start : start + 3] for start in range(0, len(arguments), 3)]
    tangled = [{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": case} for case in cases]
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": tangled}
    with pytest.raises(TooTangled, match="too tangled") as caught:
        read(document, native="x86_64")
    assert caught.value.origin == "/linux/seccomp/syscalls (ioctl)"
    assert read({**document, "syscalls": tangled[:12]}, native="x86_64").model.rule("ioctl").branches
