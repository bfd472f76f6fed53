"""The laws that composition keeps, as checks that authors of mechanisms can run. No test framework is needed.

    assert not check_kind(MyKind())
    assert not check_mechanism(MyMechanism(), probe([MyMechanism()]))

Each check returns the laws that it found broken, with the values that show it. `check_stack` holds one stack of layers
against the laws; feed it from a generator of your own for a wider search.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

import attrs
import tomli_w

from hardening.base.values import frozen
from hardening.compose.composition import Composition, compose
from hardening.errors import HardeningError, ProfileError
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Mechanism, Reading
from hardening.mechanism.schema import WILDCARD, Family, Leaf, Scalar, Setting
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.testing.kinds import Broken, check_kind, document, equivalent

__all__ = [
    "NOTHING",
    "Broken",
    "Case",
    "Values",
    "attempt",
    "check_kind",
    "check_mechanism",
    "check_stack",
    "equivalent",
    "random_case",
    "random_stacks",
    "to_layer",
]

Values = Mapping[tuple[str, str], Any]

NOTHING: Values = MappingProxyType({})
#: Exceptions have no end in the generated layers; the day is fixed so that a run can be repeated.
_TODAY = date(2000, 1, 1)


@frozen
class Case:
    """One generated layer: what it says, its limits, the leaves that it has exceptions for, and whether it is complete, or
    a profile of an installed package."""

    statements: Values = NOTHING
    limits: Values = NOTHING
    exceptions: frozenset[tuple[str, str]] = frozenset()
    complete: bool = False
    shipped: bool = False


def check_mechanism(
    mechanism: Mechanism[Any], host: Host, others: Sequence[Mechanism[Any]] = (), *, stacks: int = 60, seed: int = 0
) -> list[Broken]:
    """The laws of one mechanism: its declarations, its dump, and ``stacks`` random stacks of its samples.

    ``others`` are the mechanisms that it names in ``after``. The same ``seed`` makes the same stacks.
    """
    broken = [*_declarations(mechanism), *_dumps(mechanism, Reading(host, {}))]
    composed = 0
    for cases in random_stacks(mechanism, stacks, seed):
        broken += check_stack(mechanism, host, cases, others)
        composed += isinstance(attempt(mechanism, host, cases, others), Composition)
    if composed < stacks // 8:
        broken.append(Broken("samples", f"only {composed} of {stacks} random stacks compose: too few to tell"))
    return list(dict.fromkeys(broken))


def random_stacks(mechanism: Mechanism[Any], stacks: int, seed: int = 0) -> Iterator[list[Case]]:
    """Stacks of three random cases of a mechanism's samples, one in four with a complete layer at its bottom."""
    chance = random.Random(seed)  # noqa: S311
    samples = mechanism.samples()
    names = sorted({setting for setting, _, _ in samples})
    for number in range(stacks):
        # A few settings a stack, so that its layers speak of the same ones.
        chosen = set(chance.sample(names, min(3, len(names))))
        cases = [random_case([statement for statement in samples if statement[0] in chosen], chance) for _ in range(3)]
        if number % 4 == 3:
            cases[0] = attrs.evolve(cases[0], complete=True)
        yield cases


def random_case(samples: Sequence[tuple[str, str, Any]], chance: random.Random) -> Case:
    """A layer that says some of the samples, limits others, and has exceptions for half of what it says."""

    def some(most: int) -> Values:
        picked = chance.sample(samples, min(chance.randint(0, most), len(samples)))
        return {(setting, member): value for setting, member, value in picked}

    said = some(4)
    limits = some(2) if chance.random() < 0.5 else NOTHING
    exceptions = frozenset(key for key in said if chance.random() < 0.6)
    return Case(said, limits, exceptions)


def check_stack(
    mechanism: Mechanism[Any], host: Host, cases: Sequence[Case], others: Sequence[Mechanism[Any]] = ()
) -> list[Broken]:
    """Hold one stack against the laws. A stack that does not compose breaks none."""
    laws = _StackLaws(mechanism, host, tuple(_usable(mechanism, case) for case in cases), tuple(others))
    return list(laws.broken())


def _usable(mechanism: Mechanism[Any], case: Case) -> Case:
    """The case without limits that mean nothing: those of neutral settings, and open ends of lists.

    Nor with exceptions for ``*`` where members stand side by side: such a one is none for the members that earlier layers
    name, and a flattened layer no longer tells which those were.
    """
    settings = mechanism.schema.settings
    limits = {key: value for key, value in case.limits.items() if not settings[key[0]].kind.unordered}
    for name, _ in list(limits):
        setting = settings[name]
        if not isinstance(setting, Scalar) and setting.listed:
            limits[name, WILDCARD] = setting.absent
    said = case.exceptions & case.statements.keys()
    exceptions = frozenset(key for key in said if key[1] != WILDCARD or _descends(settings[key[0]]))
    return attrs.evolve(case, limits=limits, exceptions=exceptions)


@frozen
class _StackLaws:
    mechanism: Mechanism[Any]
    host: Host
    cases: tuple[Case, ...]
    others: tuple[Mechanism[Any], ...]

    def broken(self) -> Iterator[Broken]:
        composed = self.compose(self.cases)
        if isinstance(composed, ProfileError):
            if str(self.compose(self.cases)) != str(composed):
                yield Broken("deterministic", f"two errors for one stack: {composed}")
            return
        yield from self.differences("deterministic", composed, self.cases)
        yield from self.differences("idempotent", composed, (*self.cases, self.cases[-1]))
        yield from self.differences("idempotent once flattened", composed, (self.flat(self.cases, composed),))
        yield from self.associative(composed)
        yield from self.downwards(composed)
        yield from self.limited(composed)
        yield from self.limits_commute()

    def compose(self, cases: Sequence[Case]) -> Composition | ProfileError:
        return attempt(self.mechanism, self.host, cases, self.others)

    def flat(self, cases: Sequence[Case], composed: Composition) -> Case:
        """Several layers as one: what they come to, with all their limits and exceptions."""
        exceptions = frozenset(key for case in cases for key in case.exceptions)
        return Case(composed.stated(self.mechanism.name), composed.limits(self.mechanism.name), exceptions)

    def associative(self, composed: Composition) -> Iterator[Broken]:
        if self.shielding():
            return
        for start, end in itertools.combinations(range(len(self.cases) + 1), 2):
            part = self.cases[start:end]
            if not 1 < len(part) < len(self.cases) or (start and any(case.complete for case in part)):
                continue  # a complete layer speaks of what is unstated before it, which the part alone does not know
            inner = self.compose(part)
            if isinstance(inner, ProfileError):
                yield Broken(
                    "associative", f"layers {start + 1} to {end} compose in their stack, but not alone: {inner}"
                )
                continue
            flattened = (*self.cases[:start], self.flat(part, inner), *self.cases[end:])
            yield from self.differences(f"associative (layers {start + 1} to {end})", composed, flattened)

    def downwards(self, composed: Composition) -> Iterator[Broken]:
        """Without an exception for it, nothing is looser than any layer says, of it or of what stands above it."""
        excepted = {key for case in self.cases for key in case.exceptions}
        keys = _keys(self.mechanism, composed)
        for number, case in enumerate(self.cases, 1):
            for key in dict.fromkeys([*case.statements, *(key for key in keys if _descends(self.setting(key)))]):
                kind, chain = self.setting(key).kind, self.chain(key)
                said = [case.statements[name] for name in chain if name in case.statements]
                result = _at(self.mechanism, composed, key).value
                if (
                    not said
                    or not excepted.isdisjoint(chain)
                    or kind.unordered
                    or kind.is_no_looser_than(result, said[0])
                ):
                    continue
                text = f"{self.name(key)}: {kind.show(result)}, where layer {number} has {kind.show(said[0])}"
                yield Broken("later layers only tighten", text)
            if case.complete:
                yield from self.completed(composed, number, excepted)

    def completed(self, composed: Composition, number: int, excepted: set[tuple[str, str]]) -> Iterator[Broken]:
        """Nothing is looser than its strict default, of which no layer up to a complete one says anything."""
        for key in _keys(self.mechanism, composed):
            setting, resolved = self.setting(key), _at(self.mechanism, composed, key)
            chain = {(key[0], name) for name in (setting.chain(key[1]) if isinstance(setting, Family) else ("",))}
            said = any(not chain.isdisjoint(case.statements) for case in self.cases[:number])
            if said or not excepted.isdisjoint(chain) or setting.kind.unordered or setting.kind.identity:
                continue
            default = setting.default if isinstance(setting, Scalar) else setting.default.get(key[1], setting.rest)
            if resolved.limit_origin and setting.kind.intersect(resolved.limit, default) is None:
                continue  # a limit that excludes the default leaves its own value
            if not setting.kind.is_no_looser_than(resolved.value, default):
                text = f"{self.name(key)}: {resolved.shown}, where layer {number} is complete"
                yield Broken("complete layers close", text)

    def limits_commute(self) -> Iterator[Broken]:
        """The order of limits does not matter, nor whether they stand before shipped profiles or after them."""
        limits = [Case(limits=case.limits) for case in self.cases if case.limits]
        said = [attrs.evolve(case, limits=NOTHING, shipped=True) for case in self.cases]
        after = self.compose((*said, *limits))
        if not limits or isinstance(after, ProfileError):
            return
        for order in itertools.permutations(limits):
            for cases in ((*order, *said), (*said, *order)):
                yield from self.differences("limits commute", after, cases)

    def shielding(self) -> bool:
        """Whether a layer has an exception for a member above others. It loosens that one, and leaves those below that were
        named before as strict as what was said of all; one layer that stands for several cannot say both."""
        excepted = {key for case in self.cases for key in case.exceptions}
        named = {key for case in self.cases for key in (*case.statements, *case.limits)}
        return any(not excepted.isdisjoint(self.chain(key)[1:]) for key in named)

    def setting(self, key: tuple[str, str]) -> Setting:
        return self.mechanism.schema.settings[key[0]]

    def chain(self, key: tuple[str, str]) -> list[tuple[str, str]]:
        """The leaf, and those that stand above it."""
        setting = self.setting(key)
        if isinstance(setting, Scalar) or setting.above is None:
            return [key]
        return [(key[0], name) for name in setting.chain(key[1])]

    def limited(self, composed: Composition) -> Iterator[Broken]:
        """Limits hold, whichever layer sets them, and one more never makes anything looser."""
        for case in self.cases:
            yield from self.beyond(composed, case)
        for key in sorted({key for case in self.cases for key in case.statements}):
            for limit in self.more_limits(key):
                for cases in ((limit, *self.cases), (*self.cases, limit)):
                    under = self.compose(cases)
                    if not isinstance(under, ProfileError):
                        yield from self.beyond(under, limit)
                        yield from self.looser(composed, under)

    def more_limits(self, key: tuple[str, str]) -> Iterator[Case]:
        """The default of a leaf, and what the last layer says of it, as limits."""
        setting = self.mechanism.schema.settings[key[0]]
        if setting.kind.unordered:
            return
        default = setting.default if isinstance(setting, Scalar) else setting.default.get(key[1], setting.rest)
        last = next(case.statements[key] for case in reversed(self.cases) if key in case.statements)
        for value in [default] if last == default else [default, last]:
            yield _usable(self.mechanism, Case(limits={key: value}))

    def beyond(self, composed: Composition, case: Case) -> Iterator[Broken]:
        """What is beyond a layer's limit of it, or of what stands above it."""
        keys = [key for key in _keys(self.mechanism, composed) if _descends(self.setting(key))]
        for key in dict.fromkeys([*case.limits, *keys]):
            limits = [case.limits[name] for name in self.chain(key) if name in case.limits]
            kind, resolved = self.setting(key).kind, _at(self.mechanism, composed, key)
            if limits and not kind.is_no_looser_than(resolved.value, limits[0]):
                yield Broken("limits hold", f"{self.name(key)}: {resolved.shown} is beyond {kind.show(limits[0])}")

    def looser(self, before: Composition, after: Composition) -> Iterator[Broken]:
        for key in _keys(self.mechanism, before, after):
            kind = self.mechanism.schema.settings[key[0]].kind
            old, new = _at(self.mechanism, before, key), _at(self.mechanism, after, key)
            if not kind.unordered and not kind.is_no_looser_than(new.value, old.value):
                text = f"{self.name(key)}: {old.shown} becomes {new.shown} under one more limit"
                yield Broken("monotone in limits", text)

    def differences(self, law: str, composed: Composition, cases: Sequence[Case]) -> Iterator[Broken]:
        other = self.compose(cases)
        if isinstance(other, ProfileError):
            yield Broken(law, f"the equal stack does not compose: {other}")
            return
        for key in _keys(self.mechanism, composed, other):
            kind = self.mechanism.schema.settings[key[0]].kind
            a, b = _at(self.mechanism, composed, key), _at(self.mechanism, other, key)
            limits = (a.limit, b.limit) if a.limit_origin and b.limit_origin else None
            alike = bool(a.limit_origin) == bool(b.limit_origin) and (not limits or equivalent(kind, *limits))
            if not equivalent(kind, a.value, b.value) or a.stated != b.stated or not alike:
                yield Broken(law, f"{self.name(key)}: {_summary(a)} against {_summary(b)}")

    def name(self, key: tuple[str, str]) -> str:
        return str(Leaf(self.mechanism.name, *key))


def _descends(setting: Setting) -> bool:
    """Whether a setting is a family whose members stand below one another."""
    return not isinstance(setting, Scalar) and setting.above is not None


def _summary(resolved: Any) -> str:
    stated = "stated" if resolved.stated else "by default"
    return f"{resolved.shown} ({stated}{', at most ' + resolved.limit_shown if resolved.limit_origin else ''})"


def _keys(mechanism: Mechanism[Any], *compositions: Composition) -> list[tuple[str, str]]:
    leaves = dict.fromkeys(leaf for composed in compositions for leaf in composed.leaves)
    return [(leaf.setting, leaf.member) for leaf in leaves if leaf.mechanism == mechanism.name]


def _at(mechanism: Mechanism[Any], composed: Composition, key: tuple[str, str]) -> Any:
    """What a leaf came to, named or not."""
    return composed.at(mechanism, *key)


def attempt(
    mechanism: Mechanism[Any], host: Host, cases: Sequence[Case], others: Sequence[Mechanism[Any]]
) -> Composition | ProfileError:
    """What a stack composes to, or why it does not."""
    stack = Stack(tuple(to_layer(mechanism, case, f"layer{number}") for number, case in enumerate(cases, 1)))
    try:
        return compose(stack, [mechanism, *others], host, _TODAY)
    except HardeningError as error:
        return error if isinstance(error, ProfileError) else ProfileError(str(error))


def to_layer(mechanism: Mechanism[Any], case: Case, name: str) -> Layer:
    """A generated case as a layer, by way of TOML text."""
    data: dict[str, Any] = {"complete": True} if case.complete else {}
    if case.statements:
        data[mechanism.name] = mechanism.dump(case.statements)
    if case.limits:
        data["limits"] = {mechanism.name: mechanism.dump(case.limits)}
    if case.exceptions:
        data["exceptions"] = [
            {"setting": str(mechanism.leaf(*key)), "reason": "generated"} for key in sorted(case.exceptions)
        ]
    layer = parse_layer(document(name, tomllib.loads(tomli_w.dumps(data))))
    return attrs.evolve(layer, shipped=case.shipped)


def _declarations(mechanism: Mechanism[Any]) -> Iterator[Broken]:
    samples = mechanism.samples()
    for setting in mechanism.schema.settings.values():
        name = str(mechanism.leaf(setting.name))
        if not setting.help.strip() or not setting.kind.grammar().strip():
            yield Broken("every setting is documented", f"{name} lacks its help or its grammar")
        yield from _strict(name, setting)
        if not isinstance(setting, Scalar) and not any(
            said == setting.name and member != WILDCARD for said, member, _ in samples
        ):
            yield Broken("samples", f"{name} has no sample with a member: declare `examples`")
    for option in mechanism.options():
        names = (option.key, *mechanism.expand(option.key))
        if all(mechanism.schema.find(name) is None for name in names):
            yield Broken("options say settings", f"{option.flags[0]} says {option.key}, which is not a setting")


def _strict(name: str, setting: Setting) -> Iterator[Broken]:
    """No default may be looser than some sample, unless its declaration says why: unstated settings are strict."""
    if setting.lenient:
        return
    if isinstance(setting, Scalar):
        defaults: Iterable[Any] = [setting.default]
    else:
        defaults = [*setting.default.values(), setting.rest]
    kind = setting.kind
    for default, sample in itertools.product(defaults, kind.samples() if not kind.unordered else ()):
        if kind.is_no_looser_than(sample, default) and not kind.is_no_looser_than(default, sample):
            yield Broken("defaults are strict", f"{name}: {kind.show(sample)} is stricter than {kind.show(default)}")


def _dumps(mechanism: Mechanism[Any], reading: Reading) -> Iterator[Broken]:
    """What is dumped says the same, for each sample alone; and no leaf is given twice."""
    for setting, member, value in mechanism.samples():
        kind = mechanism.schema.settings[setting].kind
        name = mechanism.leaf(setting, member)
        layer = to_layer(mechanism, Case({(setting, member): value}), "sample")
        try:
            statements = list(mechanism.statements(layer.tables[mechanism.name], reading)) if layer.tables else []
        except HardeningError as error:
            yield Broken("what is dumped can be read", f"{name}: {kind.show(value)}: {error}")
            continue
        found = {(statement.setting, statement.member): statement.value for statement in statements}
        if len(found) != len(statements):
            yield Broken("a layer says a leaf once", f"{name}: {kind.show(value)}")
        key = (setting, member) if (setting, member) in found else (setting, WILDCARD)
        if key not in found or not equivalent(kind, found[key], value):
            shown = kind.show(found[key]) if key in found else "nothing"
            yield Broken("what is dumped says the same", f"{name}: {kind.show(value)} comes back as {shown}")
