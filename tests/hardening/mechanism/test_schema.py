from __future__ import annotations

from typing import Any

import attrs
import pytest

from hardening.errors import HardeningError, ProfileError
from hardening.mechanism.kinds import Ceiling, Flag
from hardening.mechanism.schema import (
    WILDCARD,
    Leaf,
    Members,
    Schema,
    Statement,
    dump_table,
    family,
    listing,
    read_family,
    read_table,
    scalar,
)
from hardening.profile.source import Document, Node
from tests.support.texts import document, said


def _letter(node: Node) -> str:
    name = node.string()
    if len(name) != 1:
        raise node.error(f'"{name}" is not a letter')
    return name


@attrs.frozen
class Settings:
    size: int = scalar(Ceiling(0, 9), 0, "A size.")
    inner: int = scalar(Ceiling(0, 9), 0, "Below a table.", name="below.inner")
    letters: Members[bool] = family(
        Flag(strict=False), rest=False, absent=False, help="Letters.", read_member=_letter,
        read_item=lambda node: (_letter(node), True),
    )  # fmt: skip
    sizes: Members[int] = family(
        Ceiling(0, 9), rest=0, absent=0, help="Sizes.", read_member=_letter, name="below.sizes"
    )


SCHEMA = Schema.of(Settings)


def statements(text: str) -> list[Statement]:
    table = document(text).root.get("m")
    assert table is not None
    return list(read_table(SCHEMA, table))


def values(text: str) -> dict[tuple[str, str], Any]:
    return {(statement.setting, statement.member): statement.value for statement in statements(text)}


def wrong(text: str) -> str:
    with pytest.raises(ProfileError) as caught:
        statements(text)
    return str(caught.value)


def test_a_leaf_is_named_by_its_parts() -> None:
    assert str(Leaf("rootfs", "volumes", "/data")) == "rootfs.volumes./data"
    assert str(Leaf("rootfs", "read_only")) == "rootfs.read_only"
    assert str(Leaf("capabilities", "", "NET_RAW")) == "capabilities.NET_RAW"


def test_every_setting_has_its_name_and_the_core_s_own_stands_beside_them() -> None:
    assert list(SCHEMA.settings) == ["size", "below.inner", "letters", "below.sizes", "requirement"]


def test_a_say_knows_its_line() -> None:
    (size, inner) = statements("[m]\nsize = 3\n\n[m.below]\ninner = 4\n")
    assert (size.setting, size.value, str(size.origin)) == ("size", 3, "profile.toml:2")
    assert (inner.setting, inner.value, str(inner.origin)) == ("below.inner", 4, "profile.toml:5")


def test_an_array_names_its_members_and_makes_all_others_absent() -> None:
    assert values('[m]\nletters = ["a", "b"]') == {
        ("letters", WILDCARD): False, ("letters", "a"): True, ("letters", "b"): True,
    }  # fmt: skip
    assert values("[m]\nletters = []") == {("letters", WILDCARD): False}


def test_add_and_drop_say_only_what_they_name() -> None:
    assert values('[m]\nletters.add = ["a"]\nletters.drop = ["b"]') == {("letters", "a"): True, ("letters", "b"): False}


def test_an_element_stands_on_its_own_line() -> None:
    origins = [str(statement.origin) for statement in statements('[m]\nletters = [\n  "a",\n  "b",\n]')]
    assert origins == ["profile.toml:2", "profile.toml:3", "profile.toml:4"]


def test_a_table_of_members_may_say_everything_else() -> None:
    assert values('[m.below.sizes]\na = 1\n"*" = 0') == {("below.sizes", "a"): 1, ("below.sizes", WILDCARD): 0}


def test_one_value_is_a_list_on_the_command_line() -> None:
    table = said({"letters": {"add": "a"}}, "m")
    assert [(statement.member, statement.value) for statement in read_table(SCHEMA, table)] == [("a", True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[m]\nsise = 1", 'profile.toml:2: m.sise: unknown key\nhint: did you mean "size"?'),
        ("[m]\nx = 1", "unknown key\nhint: the keys here are below, letters, requirement, size"),
        ("[m.below]\nx = 1", "m.below.x: unknown key\nhint: the keys here are inner, sizes"),
        ("[m]\nbelow = 1", "m.below: an integer where a table is expected"),
        ("[m]\nsize = 10", "profile.toml:2: m.size: 10 is out of range"),
        ('[m]\nletters = "a"', "m.letters: a string where an array is expected"),
        ('[m]\nletters = ["ab"]', 'm.letters[0]: "ab" is not a letter'),
        ('[m]\nletters.set = ["a"]', "m.letters.set: unknown key\nhint: a list is changed with `add` and `drop`"),
        ('[m]\nletters.add = ["a"]\nletters.drop = ["a"]', "profile.toml:3: m.letters.drop[0]: a is already set at"),
        ("[m.below.sizes]\nab = 1", '"ab" is not a letter'),
        ("[m]\nbelow.sizes = [1]", "m.below.sizes: an array where a table is expected"),
        ('[m]\nrequirement = "maybe"', "none of required, best-effort"),
    ],
)
def test_wrong_tables_are_refused_in_words(text: str, message: str) -> None:
    assert message in wrong(text)


def test_keys_of_a_mechanism_s_own_are_left_to_it_and_named_among_those_there_are() -> None:
    table = said({"size": 3, "short": 1}, "m")
    assert [statement.setting for statement in read_table(SCHEMA, table, own=("short",))] == ["size"]
    with pytest.raises(ProfileError) as caught:
        list(read_table(SCHEMA, said({"x": 1}, "m"), own=("short",)))
    assert caught.value.hint == "the keys here are below, letters, requirement, short, size"


def test_a_listing_names_what_is_looser_or_stricter_in_it() -> None:
    listed, restricted = (
        listing(_letter, "Letters.", restricts=restricts, default=("a",)) for restricts in (False, True)
    )
    for field, strictest in ((listed, False), (restricted, True)):
        found = field.metadata["setting"]
        assert (dict(found.default), found.rest, found.absent) == ({"a": True}, False, False)
        assert found.kind.intersect(True, False) is strictest
        assert found.listed


def test_a_name_twice_with_one_meaning_is_no_contradiction() -> None:
    assert values('[m]\nletters = ["a", "a"]') == {("letters", WILDCARD): False, ("letters", "a"): True}


@pytest.mark.parametrize(
    ("name", "setting", "member"),
    [
        ("size", "size", ""),
        ("below.inner", "below.inner", ""),
        ("letters", "letters", ""),
        ("letters.a", "letters", "a"),
        ("below.sizes.a.b", "below.sizes", "a.b"),
        ("letters.*", "letters", "*"),
    ],
)
def test_names_are_found(name: str, setting: str, member: str) -> None:
    found = SCHEMA.find(name)
    assert found is not None
    assert (found[0].name, found[1]) == (setting, member)


@pytest.mark.parametrize("name", ["", "siz", "size.a", "below", "letters.", "below.x"])
def test_what_is_no_name_is_not_found(name: str) -> None:
    assert SCHEMA.find(name) is None


def test_a_family_without_a_name_owns_the_table() -> None:
    @attrs.frozen
    class Nameless:
        size: int = scalar(Ceiling(), 0, "A size.")
        members: Members[bool] = family(Flag(strict=False), rest=False, absent=False, help="All.", name="")

    schema = Schema.of(Nameless)
    hit = schema.find("NET_RAW")
    assert hit is not None
    assert (hit[0].name, hit[1]) == ("", "NET_RAW")
    assert (schema.find("size") or (None,))[0] is schema.fields["size"]


def test_members_answer_for_what_is_not_named() -> None:
    members = Members({"a": 1, "b": 2}, 0)
    assert (members["a"], members["z"]) == (1, 0)
    assert members.having(2) == ("b",)


@pytest.mark.parametrize(
    "text",
    [
        "[m]\nsize = 3\nbelow.inner = 4",
        '[m]\nletters = ["a", "b"]',
        '[m]\nletters.add = ["a"]\nletters.drop = ["b"]',
        '[m.below.sizes]\na = 1\n"*" = 0',
        '[m]\nrequirement = "best-effort"',
    ],
)
def test_what_is_dumped_says_the_same(text: str) -> None:
    said_once = values(text)
    table = Node(dump_table(SCHEMA, said_once), ("m",), document(text))
    assert {
        (statement.setting, statement.member): statement.value for statement in read_table(SCHEMA, table)
    } == said_once


def test_a_value_for_every_member_of_a_table_means_nothing() -> None:
    """A table names its members; `*` can only say that there are no others."""
    table = family(Ceiling(), rest=0, absent=0, help="x").metadata["setting"]
    setting = attrs.evolve(table, name="t")
    open_ended = Document("p", None, {"*": 1}, {})
    with pytest.raises(ProfileError, match="for every t there is"):
        list(read_family(setting, open_ended.root))
    closed = Document("p", None, {"*": 0}, {})
    assert [statement.member for statement in read_family(setting, closed.root)] == ["*"]


def test_everything_that_is_wrong_with_a_table_is_told_at_once() -> None:
    with pytest.raises(HardeningError) as refused:
        statements("[m]\nsise = 1\nsize = 'x'\nletters = ['a', 'bc', 1]\nbelow.sizes = {a = 1, b = 'x', cd = 2}")
    places = [str(error).partition(": ")[0] for error in refused.value.problems]
    assert places == ["profile.toml:2", "profile.toml:3", *["profile.toml:4"] * 2, *["profile.toml:5"] * 2]
