"""Maps of ids as the kernel shows them, read in both directions."""

from __future__ import annotations

import pytest

from hardening.mechanism.idmaps import IdRange, inside, outside, parse

MAP = "         0     100000       1000\n1000 1000 1\n1001 101000 64535\n"


def test_the_kernel_s_map_is_read() -> None:
    assert parse(MAP) == (IdRange(0, 100_000, 1000), IdRange(1000, 1000, 1), IdRange(1001, 101_000, 64_535))
    assert parse("") == ()


@pytest.mark.parametrize("text", ["0 0", "0 0 1 1", "a b c"])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"values to unpack|invalid literal"):
        parse(text)


def test_ids_are_mapped_back() -> None:
    wanted = {100_000: 0, 1000: 1000, 101_000: 1001, 0: None, 99_999: None}
    assert {number: inside(parse(MAP), number) for number in wanted} == wanted


def test_ids_are_mapped_to_the_outside() -> None:
    wanted = {0: 100_000, 999: 100_999, 1000: 1000, 1001: 101_000, 65_536: None}
    assert {number: outside(parse(MAP), number) for number in wanted} == wanted
