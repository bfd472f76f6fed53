"""The laws have teeth: each deliberately wrong order, merge or declaration breaks the law that is there to catch it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest

from hardening.compose.fold import Fold
from hardening.mechanism import host
from hardening.mechanism.kinds import Ceiling, Exact, Flag
from hardening.mechanism.mechanism import Mechanism, Option, Reading
from hardening.mechanism.schema import Members, Statement, family, scalar
from hardening.plugin import plugins
from hardening.profile.source import Node
from hardening.testing.laws import Case, check_kind, check_mechanism, check_stack, random_stacks
from tests.support.thirdparty.acme_quota import Quota

HOST = host.plain()
INSTALLED = plugins.load().mechanisms


def _laws(broken: Sequence[Any]) -> set[str]:
    return {item.law.partition(" (")[0] for item in broken}


# --- orders -----------------------------------------------------------------------------------------------------------


class LooserMeet(Ceiling):
    def intersect(self, a: int, b: int) -> int:
        return max(a, b)


class AlwaysAtMost(Ceiling):
    def is_no_looser_than(self, a: int, b: int) -> bool:
        return True


class NeverAtMost(Ceiling):
    def is_no_looser_than(self, a: int, b: int) -> bool:
        return a < b


class NoOrder(Ceiling):
    """0 <= 1 <= 4096 <= the top, but nothing further apart."""

    def is_no_looser_than(self, a: int, b: int) -> bool:
        ranks = list(self.samples())
        return 0 <= ranks.index(b) - ranks.index(a) < 2


class TooStrictMeet(Ceiling):
    def intersect(self, a: int, b: int) -> int:
        return self.low


class OneSidedMeet(Exact[str]):
    def intersect(self, a: str, b: str) -> str | None:
        return a


class NoMeet(Ceiling):
    """Knows a meet only of neighbours."""

    def intersect(self, a: int, b: int) -> int | None:  # type: ignore[override]
        ranks = list(self.samples())
        return min(a, b) if abs(ranks.index(a) - ranks.index(b)) < 2 else None


class ForgetfulDump(Ceiling):
    def dump(self, value: int) -> object:
        return self.low


class UnreadableDump(Ceiling):
    def dump(self, value: int) -> object:
        return str(value)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (LooserMeet(), "intersect is a lower bound"),
        (AlwaysAtMost(), "antisymmetric"),
        (NeverAtMost(), "reflexive"),
        (NoOrder(), "transitive"),
        (TooStrictMeet(), "intersect is the greatest lower bound"),
        (TooStrictMeet(), "intersect is idempotent"),
        (OneSidedMeet(Node.string, "a word", None, ("a", "b")), "intersect is commutative"),
        (NoMeet(), "intersect is associative"),
        (ForgetfulDump(), "what is dumped is parsed to the same"),
        (UnreadableDump(), "what is dumped can be parsed"),
        (Exact(Node.string, "a word", "", ("",)), "samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_wrong_order_breaks_its_law(kind: Any, law: str) -> None:
    assert law in _laws(check_kind(kind))


# --- merges -----------------------------------------------------------------------------------------------------------


def _last_wins(self: Fold, layer: Any, said: Statement, exception: Any) -> None:
    self.value, self.origin = said.value, said.origin


def _first_is_the_measure(self: Fold, layer: Any, said: Statement, exception: Any) -> None:
    """Compares with what the first layer said, not with the value so far."""
    first = self.__dict__.setdefault("first", said.value)
    if self.kind.is_no_looser_than(said.value, first):
        self.value, self.origin = said.value, said.origin
    elif exception is None:
        raise self._loosening(layer, said)


_honest = Fold._say


def _equal_is_refused(self: Fold, layer: Any, said: Statement, exception: Any) -> None:
    if self.origin is not None and self.kind.is_no_looser_than(self.value, said.value):
        raise self._loosening(layer, said)
    _honest(self, layer, said, exception)


def _ignore_limit(self: Fold, layer: Any, said: Statement) -> None:
    """Leaves the limit out."""


def _raise_to_limit(self: Fold, layer: Any, said: Statement) -> None:
    """Takes a limit for a value."""
    self.limit = said
    self.value, self.origin = said.value, said.origin


def _loosest_limit(self: Fold, layer: Any, said: Statement) -> None:
    """Lets a later limit lift an earlier one."""
    self.limit = said


def _first_limit_wins(self: Fold, layer: Any, said: Statement) -> None:
    """Forgets the limits of later layers."""
    self.limit = self.limit or said
    if self.origin is not None and not self.kind.is_no_looser_than(self.value, self.limit.value):
        self.value, self.origin = self._intersect_values(self.limit, self.value, self.origin), said.origin


MERGES: list[tuple[str, Callable[..., None], str]] = [
    ("_say", _last_wins, "later layers only tighten"),
    ("_say", _first_is_the_measure, "associative"),
    ("_say", _equal_is_refused, "idempotent"),
    ("_ratchet", _ignore_limit, "limits hold"),
    ("_ratchet", _raise_to_limit, "monotone in limits"),
    ("_ratchet", _loosest_limit, "limits hold"),
    ("_ratchet", _first_limit_wins, "limits commute"),
]


@pytest.mark.sampled("mutant")  # which is one of the core's, whose merge every mechanism has
@pytest.mark.parametrize("mechanism", [Quota(), *INSTALLED], ids=lambda mechanism: mechanism.name)
@pytest.mark.parametrize(("method", "mutant", "law"), MERGES, ids=[mutant.__name__ for _, mutant, _ in MERGES])
def test_wrong_merge_breaks_its_law(
    mechanism: Mechanism[Any], method: str, mutant: Any, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fold, method, mutant)
    others = [other for other in INSTALLED if other.name in mechanism.after]
    facts = host.probe([mechanism, *others])
    # One stack at a time: most mutants are caught by the first ones.
    found = (_laws(check_stack(mechanism, facts, cases, others)) for cases in random_stacks(mechanism, 240))
    assert any(law in laws for laws in found)


@pytest.mark.parametrize("mechanism", [Quota(), *INSTALLED], ids=lambda mechanism: mechanism.name)
def test_a_complete_layer_that_states_nothing_breaks_its_law(
    mechanism: Mechanism[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fold, "_complete", lambda self, layer, said: None)
    others = [other for other in INSTALLED if other.name in mechanism.after]
    facts = host.probe([mechanism, *others])
    stacks = ([Case(complete=True), Case({(setting, member): value})] for setting, member, value in mechanism.samples())
    found = (_laws(check_stack(mechanism, facts, stack, others)) for stack in stacks)
    assert any("complete layers close" in laws for laws in found)


def test_merge_that_depends_on_more_than_the_stack_is_not_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = itertools.cycle((True, False, False))

    def sometimes(self: Fold, layer: Any, said: Statement, exception: Any) -> None:
        if next(turn):
            _honest(self, layer, said, exception)

    monkeypatch.setattr(Fold, "_say", sometimes)
    assert "deterministic" in _laws(check_mechanism(Quota(), HOST))


# --- declarations -----------------------------------------------------------------------------------------------------


@attrs.frozen
class LaxDefault:
    files: int = scalar(Ceiling(), 10, "How many files may be made.")


@attrs.frozen
class LaxRest:
    colours: Members[bool] = family(Flag(strict=False), rest=True, absent=False, help="Colours.", examples=("red",))


@attrs.frozen
class Undocumented:
    files: int = scalar(Ceiling(), 0, " ")


@attrs.frozen
class WithoutExamples:
    colours: Members[bool] = family(Flag(strict=False), rest=False, absent=False, help="Colours.")


@pytest.mark.parametrize(
    ("settings", "law"),
    [
        (LaxDefault, "defaults are strict"),
        (LaxRest, "defaults are strict"),
        (Undocumented, "every setting is documented"),
        (WithoutExamples, "samples"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_wrong_declaration_breaks_its_law(settings: type, law: str) -> None:
    class Wrong(Quota):
        settings_type = settings

        def options(self) -> Sequence[Option]:
            return ()

    assert law in _laws(check_mechanism(Wrong(), HOST))


class SaysTwice(Quota):
    def statements(self, table: Node, reading: Reading) -> Any:
        for statement in super().statements(table, reading):
            yield statement
            yield statement


class Forgets(Quota):
    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return {key: value for key, value in super().dump(values).items() if key != "files"}


class WritesWhatItCannotRead(Quota):
    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return {**super().dump(values), "sise": 1}


class OptionForNothing(Quota):
    def options(self) -> Sequence[Option]:
        return (Option(("--files",), "fils", "Wrong."),)


@pytest.mark.parametrize(
    ("mechanism", "law"),
    [
        (SaysTwice(), "a layer says a leaf once"),
        (Forgets(), "what is dumped says the same"),
        (WritesWhatItCannotRead(), "what is dumped can be read"),
        (OptionForNothing(), "options say settings"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Mechanism) else "",
)
def test_wrong_mechanism_breaks_its_law(mechanism: Mechanism[Any], law: str) -> None:
    assert law in _laws(check_mechanism(mechanism, HOST))


def test_sample_plugin_is_lawful() -> None:
    assert check_mechanism(Quota(), HOST) == []
    for setting in Quota().schema.fields.values():
        assert check_kind(setting.kind) == []
