"""One mechanism's part of a composition: what the layers say to it, folded leaf by leaf, and kept for stacks that share
layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.values import frozen
from hardening.compose.fold import Fold, LayerStatements, Resolved
from hardening.compose.headers import find_leaves
from hardening.errors import HardeningError, ImageError, ProfileError
from hardening.mechanism.findings import NOT_TAKEN, Finding, Severity
from hardening.mechanism.mechanism import Mechanism, Reading
from hardening.mechanism.schema import WILDCARD, Family, Leaf, Scalar, Setting, Statement
from hardening.profile.layers import Layer
from hardening.profile.source import Document, Node

if TYPE_CHECKING:
    from hardening.compose.image_defaults import ImageDefaults


@frozen(eq=False)
class MechanismPart:
    """What a stack comes to for one mechanism: its ``settings`` and leaves, or what is wrong, and what reading it noted."""

    settings: Any
    leaves: Mapping[Leaf, Resolved]
    problems: Sequence[HardeningError]
    reading: Reading


class SharedParts:
    """What earlier stacks came to, for who composes many that have layers in common: a mechanism's part is the same wherever
    the same documents speak of it, and what it asked for of other mechanisms is the same. One more layer is folded upon what
    those before it came to, and nothing of it is kept: of thousands of files each is the last layer once. Good for one
    host."""

    def __init__(self) -> None:
        self._parts: dict[tuple[object, ...], list[MechanismPart]] = {}
        self._listened: dict[tuple[object, ...], list[tuple[Reading, LayerStatements]]] = {}
        self._documents: dict[int, Document] = {}  # which live as long as their numbers are good
        self._last: Layer | None = None

    def part(self, layers: Sequence[Layer], mechanism: Mechanism[Any], reading: Reading) -> MechanismPart:
        """The part of a mechanism, composed where that is new."""
        self._last = layers[-1]
        return self._part([layer for layer in layers if _speaks(layer, mechanism)], mechanism, reading)

    def _part(self, speaking: Sequence[Layer], mechanism: Mechanism[Any], reading: Reading) -> MechanismPart:
        key = (mechanism.name, *map(_key, speaking))
        for known in self._parts.get(key, ()):
            if _answered_alike(known.reading, reading):
                return known
        before = attrs.evolve(reading, noted=[], looked=[])
        base = self._part(speaking[:-1], mechanism, before) if len(speaking) > 1 else None
        found = part(speaking, mechanism, reading, base=base, memory=self)
        if not found.problems and self._last not in speaking:
            self._parts.setdefault(key, []).append(found)
            self._documents |= {id(layer.document): layer.document for layer in speaking}
        return found

    def listen(self, layer: Layer, mechanism: Mechanism[Any], reading: Reading, place: int) -> LayerStatements:
        """What a layer says to a mechanism, read where that is new. Raises as `Mechanism.statements` does."""
        if layer is self._last:
            return _listened(layer, mechanism, reading, place)
        known = self._listened.setdefault((mechanism.name, place, _key(layer)), [])
        hit = next((entry for entry in known if _answered_alike(entry[0], reading)), None)
        if hit is None:
            alone = attrs.evolve(reading, noted=[], looked=[])
            hit = alone, _listened(layer, mechanism, alone, place)
            known.append(hit)
            self._documents[id(layer.document)] = layer.document
        before, found = hit
        reading.noted.extend(before.noted)
        reading.looked.extend(before.looked)
        reading.asked.extend(before.asked)
        return found


def _key(layer: Layer) -> tuple[object, ...]:
    return (id(layer.document), layer.shipped, layer.asked)


def _answered_alike(before: Reading, reading: Reading) -> bool:
    return all(reading.of(kind) is found for kind, found in before.asked)


def _speaks(layer: Layer, mechanism: Mechanism[Any]) -> bool:
    name = mechanism.name
    own = name in layer.tables or name in layer.limits or layer.complete is not None
    return own or any(exception.setting.startswith(f"{name}.") for exception in layer.exceptions)


def part(
    layers: Sequence[Layer],
    mechanism: Mechanism[Any],
    reading: Reading,
    offer: ImageDefaults | None = None,
    base: MechanismPart | None = None,
    memory: SharedParts | None = None,
) -> MechanismPart:
    """The part of a mechanism; ``base`` is what all layers but the last come to."""
    stating, wrong = _listen(layers, mechanism, reading, memory)
    offered = offer.taken(mechanism, reading) if offer is not None else {}
    known = base.leaves if base is not None and not base.problems else {}
    resolved, refused = fold_all(mechanism, stating, offered, known) if not wrong else ({}, [])
    refused += _bind(mechanism, resolved, reading)
    if wrong or refused:
        return MechanismPart(None, {}, [*wrong, *refused], reading)
    values = {(at.setting, at.member): one.value for at, one in resolved.items()}
    settings = mechanism.build(MappingProxyType(values))
    return MechanismPart(settings, resolved, (), reading)


def _listen(
    layers: Sequence[Layer], mechanism: Mechanism[Any], reading: Reading, memory: SharedParts | None
) -> tuple[list[LayerStatements], list[HardeningError]]:
    listen = _listened if memory is None else memory.listen
    stating: list[LayerStatements] = []
    problems: list[HardeningError] = []
    for place, layer in enumerate(layers):
        try:
            found = listen(layer, mechanism, reading, place)
        except HardeningError as error:
            problems += each_fault(layer, mechanism, reading) or [error]
            continue
        problems += _bad_limits(mechanism, found.limits.values())
        stating.append(found)
    return stating, problems


def _listened(layer: Layer, mechanism: Mechanism[Any], reading: Reading, place: int) -> LayerStatements:
    table, limit = layer.tables.get(mechanism.name), layer.limits.get(mechanism.name)
    statements = list(mechanism.statements(table, reading)) if table else []
    limits = list(mechanism.limits(limit, reading)) if limit else []
    exceptions = {
        (setting.name, member): exception
        for exception in layer.exceptions
        if exception.setting.startswith(mechanism.name + ".")
        for setting, member in find_leaves(mechanism, exception.setting)
    }
    return LayerStatements(place, layer, _by_leaf(statements), _by_leaf(limits), exceptions)


#: How many keys of a table are read each by itself, to tell what is wrong with it.
_MOST = 100


def each_fault(layer: Layer, mechanism: Mechanism[Any], reading: Reading) -> list[HardeningError]:
    """Each fault of a layer's tables: reading stops at the first, so every key is read by itself."""
    aside = attrs.evolve(reading, noted=[], looked=[])
    readers = ((mechanism.statements, layer.tables), (mechanism.limits, layer.limits))
    found = [
        fault
        for read, tables in readers
        if (table := tables.get(mechanism.name))
        for fault in _faults(read, table, aside)
    ]
    return _distinct(found)


def _faults(
    read: Callable[[Node, Reading], Iterable[Statement]], table: Node, reading: Reading, way: tuple[str, ...] = ()
) -> list[HardeningError]:
    """The faults of a table, or of what lies at a ``way`` of keys in it, with nothing else there."""
    value: object = table.raw
    for key in way:
        value = value[key] if isinstance(value, Mapping) else None
    alone = value
    for key in reversed(way):
        alone = {key: alone}
    try:
        list(read(Node(alone, table.path, table.document), reading))
    except HardeningError as error:
        keys = list(value)[:_MOST] if isinstance(value, Mapping) else []
        below = [fault for key in keys for fault in _faults(read, table, reading, (*way, key))]
        # What is wrong with keys together is not wrong with each alone, and what one lacks there it has here.
        apart = {(fault.message, str(fault.origin)) for fault in below}
        return below if {(fault.message, str(fault.origin)) for fault in error.problems} <= apart else [*error.problems]
    return []


def _by_leaf(statements: Iterable[Statement]) -> dict[tuple[str, str], Statement]:
    return {(statement.setting, statement.member): statement for statement in statements}


def _bad_limits(mechanism: Mechanism[Any], limits: Collection[Statement]) -> Iterable[HardeningError]:
    settings = mechanism.schema.settings
    closed = {statement.setting for statement in limits if statement.member == WILDCARD}
    for statement in limits:
        setting = settings[statement.setting]
        name = mechanism.leaf(statement.setting, statement.member)
        if setting.kind.unordered:
            yield ProfileError(
                f"limits.{name}: this setting has no order, so it cannot be limited",
                origin=statement.origin,
                hint=f"take it out, or set it as a value in [{mechanism.name}]",
            )
        elif statement.setting not in closed and _vacuous(setting, statement):
            yield ProfileError(
                f"limits.{name}: permitting a member limits nothing while the others are not limited",
                origin=statement.origin,
                hint="write the limit as the whole list of what may be added",
            )


def _vacuous(setting: Setting, statement: Statement) -> bool:
    """Whether a limit permits a member of a list whose other members are open: it would limit nothing."""
    if isinstance(setting, Scalar) or not setting.listed:
        return False
    return bool(statement.value != setting.absent and setting.kind.is_no_looser_than(setting.absent, statement.value))


def fold_all(
    mechanism: Mechanism[Any],
    stating: Sequence[LayerStatements],
    offered: Mapping[tuple[str, str], Statement | ImageError],
    known: Mapping[Leaf, Resolved] = MappingProxyType({}),
) -> tuple[dict[Leaf, Resolved], list[HardeningError]]:
    """Every leaf; ``known`` are those of the layers before the last: what that says nothing of is taken from there."""
    said = stating[-1].members if known and stating[-1].layer.complete is None else None
    source = f"default ({type(mechanism).__module__})"
    resolved: dict[Leaf, Resolved] = dict(known)
    problems: list[HardeningError] = []
    for setting in mechanism.schema.settings.values():
        if said is not None and setting.name not in said:
            continue
        last = said[setting.name] if said is not None else {WILDCARD}
        # All members, where the last layer says something of all of them, or of those above others.
        alone = None if WILDCARD in last or (isinstance(setting, Family) and setting.above is not None) else last
        of_members = _speakers(stating, setting.name, alone if alone is None else {*alone, WILDCARD})
        # A layer that is complete states what is unstated, and what it says of `*` goes for every member.
        general = {part: None for part in stating if part.layer.complete is not None} | of_members.get(WILDCARD, {})
        if isinstance(setting, Scalar):
            defaults = {"": setting.default}
        elif setting.above is not None and (of_members or general):
            from hardening.compose.descent import fold_family  # a stack that says nothing of such a family needs it not

            found, refused = fold_family(mechanism.name, setting, {**of_members, WILDCARD: general}, source)
            resolved |= found
            problems += refused
            continue
        else:
            named = [member for name, member in offered if name == setting.name]
            members = dict.fromkeys(alone or [*setting.default, *of_members, *named, WILDCARD])
            defaults = {member: setting.default.get(member, setting.rest) for member in members}
        for member, default in defaults.items():
            leaf = mechanism.leaf(setting.name, member)
            parts = {**general, **of_members.get(member, {})}
            entries = [part.entry(setting.name, member) for part in sorted(parts, key=lambda part: part.place)]
            try:
                decided = Fold(leaf, setting.kind).run(entries, default, source)
                offering = offered.get((setting.name, member))
                resolved[leaf] = decided if offering is None else _offered(decided, offering, default)
            except (ProfileError, ImageError) as error:
                problems.append(error)
    return resolved, _distinct(problems)


def _bind(mechanism: Mechanism[Any], resolved: dict[Leaf, Resolved], reading: Reading) -> Iterable[HardeningError]:
    """Hold the members of a family against the limits of another, which says which there may be (`Family.bound_by`): one
    that a layer states is refused, and what an image offers is not taken."""
    settings = mechanism.schema.settings
    for setting in settings.values():
        bound = settings.get(setting.bound_by) if isinstance(setting, Family) and setting.bound_by else None
        if not (isinstance(setting, Family) and isinstance(bound, Family)):
            continue
        for leaf, entry in [*resolved.items()]:
            default = setting.default.get(leaf.member, setting.rest)
            if leaf.setting != setting.name or leaf.member == WILDCARD or entry.value in (setting.absent, default):
                continue
            chain = (mechanism.leaf(bound.name, name) for name in bound.chain(leaf.member))
            limit = next((resolved[name] for name in chain if name in resolved), None)
            if limit is None or not limit.limit_origin or limit.limit != bound.absent:
                continue
            text = f"{leaf}: the limit of {mechanism.leaf(bound.name)} set at {limit.limit_origin} does not permit it"
            if entry.stated:
                yield ProfileError(
                    text,
                    origin=entry.origin,
                    hint=f"no exception lifts a limit: leave {leaf.member} out",
                    setting=str(leaf),
                )
            else:
                resolved[leaf] = attrs.evolve(entry, value=default, origin=limit.limit_origin)
                reading.noted.append(Finding(NOT_TAKEN, Severity.NOTE, text, str(leaf), entry.origin))


def _offered(found: Resolved, said: Statement | ImageError, default: Any) -> Resolved:
    """A leaf with what an image offers for it, which is at most as loose as the default
    (`hardening.compose.image_defaults`).
    Where layers have come to anything else than the default, they are right. Raises `ImageError` for what could not
    be read of it."""
    kind = found.kind
    at_default = kind.is_no_looser_than(found.value, default) and kind.is_no_looser_than(default, found.value)
    if found.stated if kind.unordered else not at_default:
        return found
    if isinstance(said, ImageError):
        raise said
    return attrs.evolve(found, value=said.value, origin=str(said.origin))


def _speakers(
    stating: Sequence[LayerStatements], setting: str, members: Collection[str] | None
) -> dict[str, dict[LayerStatements, None]]:
    """By member of a setting, all of them or these, the layers that say something of it: a leaf is folded over those alone,
    so that the time for a stack grows with what its layers say, and not with their number times the number of leaves."""
    found: dict[str, dict[LayerStatements, None]] = {}
    for part in stating:
        spoken = part.members.get(setting, ())
        for member in spoken if members is None else [member for member in members if member in spoken]:
            found.setdefault(member, {})[part] = None
    return found


def _distinct(problems: Sequence[HardeningError]) -> list[HardeningError]:
    """One problem a place: a list that says `*` goes wrong for each of its members alike."""
    seen: dict[str, HardeningError] = {}
    for problem in problems:
        seen.setdefault(f"{problem.origin} {problem.message}", problem)
    return list(seen.values())
