"""Families whose members stand below one another: what a layer says above a member, and when, counts for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardening.compose import descent
from hardening.compose.fold import Outcome
from hardening.errors import HardeningError
from hardening.mechanism import host
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.kinds import Kind
from hardening.mechanism.mechanism import Context, Mechanism, Reading, Unsupported, Violation
from hardening.mechanism.schema import WILDCARD, Leaf, Members, Statement, family
from hardening.profile.source import Node
from hardening.testing.laws import check_mechanism, check_stack, random_stacks
from tests.laws.stacks import stacks
from tests.support.sample import examples
from tests.support.texts import composed


class Locks(Kind[frozenset[str] | None]):
    """Sets of keys that are needed; None is a door that no key opens."""

    optional = True

    def parse(self, node: Node) -> frozenset[str] | None:
        return None if node.raw == "shut" else frozenset(item.string() for item in node.items())

    def is_no_looser_than(self, a: frozenset[str] | None, b: frozenset[str] | None) -> bool:
        return a is None or (b is not None and a >= b)

    def intersect(self, a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
        return None if a is None or b is None else a | b

    def grammar(self) -> str:
        return '`"shut"` or an array of keys'

    def samples(self) -> Sequence[frozenset[str] | None]:
        return (None, frozenset(), frozenset("k"), frozenset("kl"))

    def show(self, value: frozenset[str] | None) -> str:
        return "shut" if value is None else "+".join(sorted(value)) or "open"

    def dump(self, value: frozenset[str] | None) -> object:
        return "shut" if value is None else sorted(value)


def above(name: str) -> Sequence[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


@attrs.frozen
class Doors:
    rooms: Members[frozenset[str] | None] = family(
        Locks(),
        rest=None,
        absent=None,
        help="Which keys open a room.",
        examples=("a", "a/b", "a/b/c", "a/d", "e"),
        above=above,
        name="",
    )


class House(Mechanism[Doors]):
    name = "house"
    summary = "which keys open a room"
    settings_type = Doors

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        for key, node in table.members():
            setting = "" if key != "requirement" else key
            kind = self.schema.settings[setting].kind
            yield Statement(setting, "" if setting else key, kind.parse(node), node.origin)

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        found = {member: Locks().dump(value) for (setting, member), value in values.items() if not setting}
        return found | {setting: value for (setting, _), value in values.items() if setting}

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        named = [statement for statement in super().samples() if statement[:2] != ("", WILDCARD)]
        return [*named, *(("", WILDCARD, value) for value in Locks().samples())]

    def check(self, settings: Doors, context: Context) -> Iterable[Unsupported]:
        return ()

    def contribute(self, settings: Doors, context: Context, fragment: Fragment) -> None:
        return

    def tighten(
        self, settings: Doors, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        return ()


HOUSE = House()


def room(name: str, *layers: str) -> str:
    """What a room comes to, as text."""
    return composed(*layers, by=[HOUSE]).at(HOUSE, "", name).shown


@pytest.mark.parametrize(
    ("limits", "name", "limit"),
    [
        ('"a" = "shut"\n"*" = []', "a/b", None),
        ('"a" = "shut"\n"*" = []', "a/b/c", None),
        ('"a/b" = ["k"]\n"a" = "shut"', "a/b/c", frozenset("k")),
        ('"a" = "shut"\n"*" = ["k"]', "e", frozenset("k")),
        ('"a" = "shut"', "e", "none"),
    ],
)
@pytest.mark.parametrize("said", ["", '[house]\n"a/d" = "shut"'])
def test_the_limit_of_a_member_is_that_of_the_nearest_one_above(
    limits: str, name: str, limit: object, said: str
) -> None:
    composition = composed(f"[limits.house]\n{limits}", said, by=[HOUSE])
    assert composition.limit(Leaf("house", "", name), "none") == limit
    assert composition.limit(Leaf("elsewhere", "", name), "none") == "none"


OPEN_A = '[house]\n"a" = []'
SHUT = '[house]\n"*" = "shut"'


def exception(name: str) -> str:
    return f'[[exceptions]]\nsetting = "house.{name}"\nreason = "why"\n'


def test_the_nearest_named_member_above_decides() -> None:
    layer = '[house]\n"*" = "shut"\n"a" = ["k"]\n"a/b" = []'
    assert [room(name, layer) for name in ("e", "a", "a/d", "a/b", "a/b/c")] == ["shut", "k", "k", "open", "open"]


def test_what_nobody_says_of_anything_is_strict() -> None:
    assert room("a/b") == "shut"
    assert room("e", OPEN_A) == "shut"


def test_a_narrower_looser_say_needs_an_exception() -> None:
    with pytest.raises(HardeningError, match=r"house.a: open is looser than shut, set at a.toml:2"):
        room("a", SHUT, OPEN_A)
    assert room("a", SHUT, f"{exception('a')}{OPEN_A}") == "open"


def test_a_later_broader_say_loosens_nothing_below() -> None:
    assert room("a/b", '[house]\n"a/b" = "shut"', OPEN_A) == "shut"
    assert room("a", '[house]\n"a/b" = "shut"', OPEN_A) == "open"


def test_not_even_with_an_exception_for_what_is_broader() -> None:
    """Whoever has named a member meant it: an exception has to name it too."""
    layers = ('[house]\n"a" = "shut"\n"a/b" = "shut"', f"{exception('a')}{OPEN_A}")
    assert room("a/d", *layers) == "open"
    assert room("a/b", *layers) == "shut"
    assert room("a/b/c", *layers) == "shut"


def test_a_later_broader_say_tightens_all_below() -> None:
    assert room("a", OPEN_A, SHUT) == "shut"
    assert room("a/b/c", '[house]\n"a/b/c" = ["k"]', '[house]\n"a" = ["l"]') == "k+l"


def test_within_a_layer_the_nearest_name_counts() -> None:
    assert room("a/b", '[house]\n"a/b" = []', '[house]\n"*" = "shut"\n"a" = ["k"]') == "k"


def test_a_complete_layer_states_what_is_above_all() -> None:
    with pytest.raises(HardeningError, match="open is looser than shut"):
        room("a", "complete = true", OPEN_A)
    assert room("a", OPEN_A, "complete = true") == "open"


def test_limits_hold_for_all_below() -> None:
    limit = '[limits.house]\n"a" = ["k"]'
    assert room("a/b", OPEN_A, limit) == "k"
    assert room("e", '[house]\n"e" = []', limit) == "open"
    with pytest.raises(HardeningError, match=r"exceeds the limit k set at a\.toml:2"):
        room("a/b", limit, '[house]\n"a/b" = []')
    # A member that is only limited keeps to what is above it, with the limit.
    assert room("a", '[house]\n"*" = []', limit) == "k"
    assert room("a", limit, '[house]\n"*" = ["l"]') == "k+l"
    assert room("a", limit, SHUT) == "shut"
    assert room("a", limit, "complete = true") == "shut"


def test_a_narrower_limit_stands_beside_a_broader_one_of_the_same_layer_only() -> None:
    layer = '[limits.house]\n"a" = "shut"\n"a/b" = []'
    assert room("a/b", '[house]\n"a/b" = []', layer) == "open"
    assert room("a/b", '[house]\n"a/b" = []', layer, '[limits.house]\n"a" = ["k"]') == "k"


def test_the_history_begins_above() -> None:
    found = composed(SHUT, f"{exception('a')}{OPEN_A}", '[house]\n"a/b" = ["k"]', by=[HOUSE])
    steps = found.leaves[Leaf("house", "", "a/b")].steps
    assert [(step.layer, step.said, step.outcome) for step in steps] == [
        ("a", "shut", Outcome.STATED),
        ("b", "open", Outcome.EXCEPTED),
        ("c", "k", Outcome.TIGHTENED),
    ]


def test_a_member_begins_with_what_was_said_above_it_before() -> None:
    layers = ('[house]\n"*" = []', '[house]\n"a" = ["k"]', SHUT)
    steps = composed(*layers, by=[HOUSE]).leaves[Leaf("house", "", "a")].steps
    assert [(step.said, step.value) for step in steps] == [("open", "open"), ("k", "k"), ("shut", "shut")]


def test_one_problem_is_told_once() -> None:
    layers = (SHUT, '[house]\n"a" = []\n"a/b" = []\n"e" = []')
    with pytest.raises(HardeningError) as caught:
        composed(*layers, by=[HOUSE])
    lines = [line for line in str(caught.value).splitlines() if ": house." in line]
    assert [line.split(": ")[1] for line in lines] == ["house.a", "house.e"]


# --- laws, and that they have teeth --------------------------------------------------------------------------------------


def test_it_is_lawful() -> None:
    assert check_mechanism(HOUSE, host.plain(), stacks=120) == []


@given(data=st.data())
@settings(max_examples=examples(100))
def test_any_stack_is_lawful(data: st.DataObject) -> None:
    assert check_stack(HOUSE, host.plain(), data.draw(stacks(HOUSE))) == []


_HONEST = descent._nearest


def _own_say_only(statements: Any, setting: str, chain: Any) -> Any:
    """Forgets what a layer says above a member."""
    return _HONEST(statements, setting, chain[:1]) if len(chain) > 1 else None


def _widest(statements: Any, setting: str, chain: Any) -> Any:
    """Takes what a layer says of all before what it says of the nearest."""
    return _HONEST(statements, setting, tuple(reversed(chain)))


def _free(folds: Any, chain: Any, before: Any = None) -> Any:
    """Lets the first say of a member be free, whatever was said above it."""
    return None


MUTANTS = [("_nearest", _own_say_only), ("_nearest", _widest), ("_state", _free)]


@pytest.mark.parametrize(("function", "mutant"), MUTANTS, ids=[mutant.__name__ for _, mutant in MUTANTS])
def test_a_wrong_fold_breaks_a_law(function: str, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, function, mutant)
    # One stack at a time: each is caught by one of the first ones.
    assert any(check_stack(HOUSE, host.plain(), cases) for cases in random_stacks(HOUSE, 240))
