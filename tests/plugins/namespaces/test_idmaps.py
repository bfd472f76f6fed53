"""Which ids a private user namespace maps."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.mechanism.host import Host
from hardening.mechanism.idmaps import IdMaps, IdRange
from hardening_namespaces import idmaps
from hardening_namespaces.facts import Ranges, within
from tests.plugins.namespaces.stacks import USER, host, settings


def resolved(body: str = "", on: Host | None = None) -> IdMaps:
    found = settings(body).id_maps(on or host())
    assert found is not None
    return found


@pytest.mark.parametrize("where", ["host", "/proc/1/ns/user"])
def test_nothing_is_mapped_without_a_namespace_of_ones_own(where: str) -> None:
    assert settings(f'user = "{where}"').id_maps(host()) is None


def test_root_gets_ids_that_nobody_has() -> None:
    found = resolved()
    assert found.uids == found.gids == (IdRange(0, 0x6FFF0000, 65536),)
    assert (found.natural, found.host_root, found.limited) == ((0, 0), False, "")


def test_root_s_ids_are_none_that_subuid_gives_to_others() -> None:
    """useradd(8) gives ranges from 100000 on: the seventh user's reach into what systemd keeps for containers."""
    seventh = ((100_000 + 6 * 65536, 65536),)
    assert resolved(on=host(given=seventh)).uids == (IdRange(0, 0x6FFF0000, 65536),)
    high = resolved(on=host(given=(*seventh, (0x6FFF0000, 1), (0x6FFF8000, 0x100000))))
    assert high.uids == high.gids == (IdRange(0, 0x6FFE0000, 65536),)
    first = resolved(on=host(given=((0x90000, 0x70000000),)))
    assert first.uids == (IdRange(0, 0x80000, 65536),)
    assert idmaps.free(seventh) == ((100_000 + 7 * 65536, 0x70000000 - 100_000 - 7 * 65536),)


def test_root_with_a_range_in_subuid_uses_it() -> None:
    found = resolved(on=host(subuids=((7_000_000, 65536),), subgids=((8_000_000, 65536),)))
    assert (found.uids[0].outside, found.gids[0].outside) == (7_000_000, 8_000_000)


def test_root_of_a_nested_namespace_gives_what_it_has_besides_root() -> None:
    nested = ((0, 1), (1, 65536))
    found = resolved(on=host(own_uids=nested, own_gids=nested))
    assert (found.uids, found.host_root) == ((IdRange(0, 1, 65536),), False)
    small = resolved(on=host(own_uids=((0, 1000),), own_gids=((0, 1000),)))
    assert small.uids == (IdRange(0, 1, 999),)
    assert "999 ids" in small.limited


def test_root_of_a_namespace_with_one_id_has_no_other_to_give() -> None:
    found = resolved(on=host(own_uids=((0, 1),), own_gids=((0, 1),)))
    assert found.uids == (IdRange(0, 0, 1),)
    assert found.host_root
    assert found.limited


@pytest.mark.parametrize("kind", ["keep-id", "root"])
def test_root_that_stays_root_has_other_ids_beside(kind: str) -> None:
    found = resolved(f'id_map = "{kind}"')
    assert found.uids == (IdRange(0, 0, 1), IdRange(1, 0x6FFF0000, 65535))
    assert (found.host_root, found.limited) == (True, "")


def test_an_ordinary_user_keeps_their_id_among_the_subordinate_ones() -> None:
    found = resolved(on=host(USER))
    assert found.uids == (IdRange(0, 100_000, 1000), IdRange(1000, 1000, 1), IdRange(1001, 101_000, 64_535))
    assert found.natural == (USER, USER)
    assert found == resolved('id_map = "keep-id"', host(USER))


def test_root_inside_is_the_user_outside() -> None:
    found = resolved('id_map = "root"', host(USER))
    assert found.uids == (IdRange(0, USER, 1), IdRange(1, 100_000, 65_535))
    assert found.natural == (0, 0)


def test_one_id() -> None:
    found = resolved('id_map = "one-id"', host(USER))
    assert (found.uids, found.gids, found.limited) == ((IdRange(USER, USER, 1),), (IdRange(USER, USER, 1),), "")


@pytest.mark.parametrize(
    ("facts", "why"),
    [({"newuidmap": False}, "newuidmap"), ({"subuids": ()}, "/etc/subuid"), ({"subgids": ()}, "/etc/subgid")],
)
@pytest.mark.parametrize("kind", ["auto", "keep-id", "root"])
def test_without_helper_or_ranges_one_id_is_mapped_and_that_is_said(
    kind: str, facts: dict[str, object], why: str
) -> None:
    found = resolved(f'id_map = "{kind}"', host(USER, **facts))
    assert [item.size for item in (*found.uids, *found.gids)] == [1, 1]
    assert why in found.limited


def test_an_explicit_map_decides() -> None:
    found = resolved('uid_map = ["3:100000:9"]\ngid_map = ["4:100000:9"]', host(USER))
    assert (found.uids, found.gids, found.natural) == ((IdRange(3, 100_000, 9),), (IdRange(4, 100_000, 9),), (3, 4))


def test_the_other_side_of_an_id() -> None:
    maps = IdMaps((IdRange(0, 100, 10), IdRange(20, 5, 1)), (IdRange(0, 7, 1),), (0, 0))
    assert [maps.outside(uid) for uid in (0, 9, 10, 20, 21)] == [100, 109, None, 5, None]
    assert [maps.outside_gid(gid) for gid in (0, 1)] == [7, None]


@pytest.mark.parametrize(
    ("body", "uid", "needed"),
    [("", USER, True), ('id_map = "one-id"', USER, False), ("", 0, False),
     ('uid_map = ["0:5:1"]\ngid_map = ["0:5:1"]', USER, True)],
)  # fmt: skip
def test_when_the_helpers_are_needed(body: str, uid: int, needed: bool) -> None:
    on = host(uid)
    assert resolved(body, on).needs_helpers(on) is needed


ranges = st.lists(st.tuples(st.integers(100_000, 2**31), st.integers(1, 70_000)), max_size=4).map(
    lambda pairs: tuple((start + 100_000 * index, size) for index, (start, size) in enumerate(sorted(pairs)))
)


@given(uid=st.integers(1, 2**31), subordinate=ranges, kind=st.sampled_from(["auto", "keep-id", "root", "one-id"]))
def test_no_id_is_mapped_twice_and_only_ids_of_the_user(uid: int, subordinate: Ranges, kind: str) -> None:
    found = resolved(f'id_map = "{kind}"', host(uid, subuids=subordinate, subgids=subordinate))
    ordered = sorted(found.uids)
    for first, second in itertools.pairwise(ordered):
        assert first.inside + first.size <= second.inside
    for item in found.uids:
        assert within(item, subordinate) or (item.outside, item.size) == (uid, 1)
    assert found.outside(found.natural[0]) == uid


@given(sizes=st.lists(st.integers(1, 70_000), min_size=1, max_size=4))
def test_ranges_are_used_to_the_last_id_or_the_limit(sizes: list[int]) -> None:
    subordinate = tuple((10_000_000 + 100_000 * index, size) for index, size in enumerate(sizes))
    found = resolved(on=host(0, subuids=subordinate, subgids=subordinate))
    assert sum(item.size for item in found.uids) == min(sum(sizes), idmaps.RANGE)
