"""The smallest loosening of a leaf, as a layer to paste and as options; each is composed, and held against the host and the
mechanisms, before it is offered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from hardening.assemble.enforcement import is_typed
from hardening.assemble.pipeline import check
from hardening.base.text import is_utf8
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.compose.implied import compose_here
from hardening.errors import HardeningError, HostError
from hardening.mechanism.denial import Cause, PathAnswer, SystemCall, Way
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.kinds import Choice, Flag, Kind
from hardening.mechanism.mechanism import Mechanism, Reading
from hardening.profile import toml_text as toml
from hardening.profile.exemption import WHY
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Node, command_line
from hardening.why.attempt import REFUSED, Attempt, Pending, pending
from hardening.why.loosening import Loosening, merged

COMMAND_LINE = "command line"
#: Whether a composition that would run permits what somebody wants.
Opens: TypeAlias = Callable[[Composition], bool]


def smallest(
    attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, opens: Opens | None = None
) -> Loosening | None:
    """The smallest loosening of a leaf that ``opens`` what is wanted, or None where its values have no order that matters to
    security."""
    kind = entry.kind
    if kind.unordered:
        return None
    looser = _looser(kind, entry, kind.candidates(entry.value))
    if not looser:
        return None
    within = [value for value in looser if not entry.limit_origin or kind.is_no_looser_than(value, entry.limit)]
    if not within:
        return _forbidden(entry)
    return _first(attempt, mechanism, entry, _offers(attempt, mechanism, entry, within), opens=opens)


def steps(attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved) -> Iterator[tuple[str, Composition | str]]:
    """Each of the smallest looser values of a leaf, in words, with the composition that has it and an exception for it, or
    why nothing does: what people write where that is all there is, and else one part of the value after the other."""
    kind = entry.kind
    if kind.unordered:
        return
    smallest = [*_least(attempt, mechanism, entry, _looser(kind, entry, kind.steps(entry.value)))]
    for value, data, _ in smallest or [*_written(mechanism, entry)][:1]:
        after = composed(attempt, _excepted((entry,), {mechanism.name: data}))
        if isinstance(after, HardeningError):
            yield kind.show(value), after.message
        elif _reaches(mechanism, entry, after, value):
            yield kind.show(value), after


def of_path(attempt: Attempt, mechanism: Mechanism[Any], path: str, answer: PathAnswer) -> Loosening | None:
    """The first way past an answer about a path after which the same is answered with no `no` any more; where there is none,
    why the last one is refused."""

    def opens(after: Composition) -> bool:
        context = check(after, attempt.host, None)
        answers = mechanism.of_path(after.settings[mechanism.name], context, path)
        return any(item.asked == answer.asked and not item.denied for item in answers)

    return first(attempt, answer.leaf, answer.ways, opens)


def of_cause(attempt: Attempt, mechanism: Mechanism[Any], cause: Cause, call: SystemCall) -> Loosening | None:
    """The first way past the cause of a denial after which the mechanism says the same no more, and names no leaf that it
    did not name before; where there is none, why the last one is refused."""

    def causes(composition: Composition) -> list[Cause]:
        context = check(composition, attempt.host, None)
        return [*mechanism.denied(composition.settings[mechanism.name], context, call)]

    before: set[str] = set()

    def opens(after: Composition) -> bool:
        before.update(before or (item.leaf for item in causes(attempt.composition)))
        return all(item.leaf in before and (item.leaf, item.what) != (cause.leaf, cause.what) for item in causes(after))

    return first(attempt, cause.leaf, cause.ways, opens)


def first(attempt: Attempt, decides: str, ways: Iterable[Way], opens: Opens | None = None) -> Loosening | None:
    """The first of several ways past what a leaf ``decides`` that composes, runs and ``opens`` what is wanted; where there
    is none, why the last one is refused. None without any way."""
    found: Loosening | None = None
    tried = False
    for way in ways:
        if way.also:
            found = _at_once(attempt, decides, way, opens) or found
            if found is not None and not found.barrier:
                return found
            tried = True
            continue
        if not is_utf8(way.leaf):  # the name of a file need not be
            found = found or Loosening(barrier="no profile can name it, which is UTF-8")
            continue
        for mechanism, entry in named(attempt.composition, way.leaf):
            tried = True
            if way.value is None:
                offer = smallest(attempt, mechanism, entry, opens)
            elif entry.limit_origin and not entry.kind.is_no_looser_than(way.value, entry.limit):
                offer = _forbidden(entry)
            else:
                data = mechanism.dump({(entry.leaf.setting, entry.leaf.member): way.value})
                others = [other for _, other in named(attempt.composition, decides)]
                offer = _first(attempt, mechanism, entry, [(way.value, data, True)], *others, opens=opens)
            found = offer or found
        if found is not None and not found.barrier:
            break
    return found or (Loosening(barrier="no single setting does it") if tried else None)


def _at_once(attempt: Attempt, decides: str, way: Way, opens: Opens | None) -> Loosening | None:
    """A way of several leaves, each of which composes by itself."""
    parts: list[Loosening] = []
    for one in (attrs.evolve(way, also=()), *way.also):
        part = first(attempt, decides, [one])
        if part is None or part.barrier:
            return part
        parts.append(part)
    found = merged(parts)
    after = composed(attempt, found.tables, found.replaces) if opens is not None else None
    return found if opens is None or (isinstance(after, Composition) and opens(after)) else None


def named(composition: Composition, name: str) -> Iterator[tuple[Mechanism[Any], Resolved]]:
    """The leaf of a full name that a mechanism gives, which is not read as what people write (`SRC:DST`), and whose it
    is."""
    owner, _, below = name.partition(".")
    mechanism = composition.mechanism(owner)
    if mechanism is None:
        return
    setting, member = mechanism.schema.find(below) or (None, "")
    if setting is not None and member:
        leaf = mechanism.leaf(setting.name, member)
        yield mechanism, attrs.evolve(composition.at(mechanism, setting.name, member), leaf=leaf)
        return
    for entry in composition.meant(name)[:1]:
        yield mechanism, entry


def _first(
    attempt: Attempt,
    mechanism: Mechanism[Any],
    entry: Resolved,
    offers: Iterable[tuple[Any, Mapping[str, Any], bool]],
    *others: Resolved,
    opens: Opens | None = None,
) -> Loosening | None:
    """The first of several values of a leaf that runs and ``opens`` what is wanted, with an exception for the leaf or for
    ``others`` where it needs that; else why the first one is refused."""
    kind = entry.kind
    replaces = (entry.origin,) if is_typed(attempt.composition, entry) else ()
    barrier: Loosening | None = None
    for value, data, least in offers:
        table = {mechanism.name: data}
        refusal: HardeningError | None = None
        permitted = [(), (entry,), *((other,) for other in others), (entry, *others)]
        for tables in (_excepted(leaves, table) for leaves in dict.fromkeys(permitted)) if data else ():
            after = composed(attempt, tables, replaces)
            if isinstance(after, HardeningError):
                refusal = after
                continue
            if not _reaches(mechanism, entry, after, value):
                continue
            refusal = refusal_of(attempt, after)
            if refusal is None and (opens is None or opens(after)):
                found = _loosening(mechanism, kind.show(value), tables)
                return attrs.evolve(found, example=not least, replaces=replaces)
            break
        if refusal is not None:
            barrier = barrier or _refused(kind.show(value), refusal)
    return barrier


def _offers(
    attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, looser: Sequence[Any]
) -> Iterator[tuple[Any, Mapping[str, Any], bool]]:
    """Values to try, with TOML data that says them, and whether no other value is smaller: first what people write, then
    the smallest that there are."""
    yield from _written(mechanism, entry)
    yield from _least(attempt, mechanism, entry, looser)


def _written(mechanism: Mechanism[Any], entry: Resolved) -> Iterator[tuple[Any, Mapping[str, Any], bool]]:
    kind = entry.kind
    for value, data in mechanism.permissions(entry.leaf):
        if _is_looser(kind, value, entry.value) and (
            not entry.limit_origin or kind.is_no_looser_than(value, entry.limit)
        ):
            yield value, data, False


def _least(
    attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, looser: Sequence[Any]
) -> Iterator[tuple[Any, Mapping[str, Any], bool]]:
    kind = entry.kind
    for value in _minimal(kind, looser):
        # Only these kinds give every value that they have as a sample.
        least = value == entry.limit or isinstance(kind, Flag | Choice)
        data = mechanism.dump({(entry.leaf.setting, entry.leaf.member): value})
        if _says(attempt, mechanism, entry, data):
            yield value, data, least


def _says(attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, data: Mapping[str, Any]) -> bool:
    """Whether a table says something of a leaf: a value that holds its member's name, as a sample does, may say another."""
    table = Node(data, (mechanism.name,), command_line({mechanism.name: data}, {}))
    reading = Reading(attempt.host, attempt.composition.composed)
    try:
        said = list(mechanism.statements(table, reading))
    except HardeningError:
        return True  # why it cannot be read is the barrier
    return any(mechanism.leaf(one.setting, one.member) == entry.leaf for one in said)


def permit(attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, said: Pending) -> Loosening | None:
    """What would permit a refused say: an exception beside it, in its own layer."""
    kind = entry.kind
    if said.outcome != REFUSED:
        return None
    if entry.limit_origin and not kind.is_no_looser_than(said.statement.value, entry.limit):
        return _forbidden(entry)
    table = {mechanism.name: mechanism.dump({(entry.leaf.setting, entry.leaf.member): said.statement.value})}
    after = composed(attempt, _excepted((entry,), table))
    refusal = refusal_of(attempt, after) if isinstance(after, Composition) else None
    if refusal is not None:
        return _refused(said.said, refusal)
    found = _loosening(mechanism, said.said, _excepted((entry,), table))
    if said.layer == COMMAND_LINE:
        # The say is already there: only its exception is missing.
        return attrs.evolve(found, tables={}, options=found.options[:2])
    # No option permits what a file says: the exception must stand beside it.
    return attrs.evolve(found, options=())


def typed(attempt: Attempt) -> Sequence[Loosening]:
    """What permits each loosening that was typed on the command line and that no exception there stands beside; empty where
    a stack is refused for anything else."""
    if len(attempt.pending) != 1 or not attempt.pending[0].document.typed:
        return ()
    layer, composition = attempt.pending[0], attempt.composition
    reading = Reading(attempt.host, composition.composed)
    found: list[Loosening] = []
    for mechanism in composition.mechanisms:
        table = layer.tables.get(mechanism.name)
        try:
            statements = [*mechanism.statements(table, reading)] if table is not None else []
        except HardeningError:
            return ()
        for one in statements:
            leaf = mechanism.leaf(one.setting, one.member)
            entry = attrs.evolve(composition.at(mechanism, one.setting, one.member), leaf=leaf)
            said = next(pending(attempt, mechanism, entry), None)
            if said is None or said.outcome != REFUSED:
                continue
            way = permit(attempt, mechanism, entry, said)
            if way is None or way.barrier:
                return ()
            # A layer that permits it says it, too.
            stated = {mechanism.name: mechanism.dump({(one.setting, one.member): one.value})}
            found.append(attrs.evolve(way, tables=_excepted((entry,), stated)))
    return found


def _looser(kind: Kind[Any], entry: Resolved, candidates: Sequence[Any]) -> list[Any]:
    known = [*([entry.limit] if entry.limit_origin else []), *candidates]
    return [candidate for candidate in known if _is_looser(kind, candidate, entry.value)]


def _is_looser(kind: Kind[Any], value: Any, than: Any) -> bool:
    return kind.is_no_looser_than(than, value) and not kind.is_no_looser_than(value, than)


def _minimal(kind: Kind[Any], values: Sequence[Any]) -> list[Any]:
    """The values without another one strictly below them."""
    return [value for value in values if not any(_is_looser(kind, value, other) for other in values)]


def _excepted(entries: Iterable[Resolved], table: Mapping[str, Any]) -> dict[str, Any]:
    exceptions = [{"setting": str(entry.leaf), "reason": WHY} for entry in entries]
    return {"exceptions": exceptions, **table} if exceptions else dict(table)


def composed(
    attempt: Attempt, tables: Mapping[str, Any], replaces: Collection[str] = ()
) -> Composition | HardeningError:
    """The composition with one more layer and without some options of the command line, or why that is refused."""
    composition = attempt.composition
    try:
        layers = [
            parse_layer(layer.document.without(replaces)) if replaces and layer.document.typed else layer
            for layer in composition.stack.layers
        ]
        stack = Stack((*layers, parse_layer(command_line(tables, {}))))
        return compose_here(stack, composition.mechanisms, attempt.host, attempt.today, attempt.offer)
    except HardeningError as error:
        return error.problems[0]


def _reaches(mechanism: Mechanism[Any], entry: Resolved, after: Composition, value: Any) -> bool:
    found = after.at(mechanism, entry.leaf.setting, entry.leaf.member)
    return bool(entry.kind.is_no_looser_than(value, found.value))


def refusal_of(attempt: Attempt, after: Composition) -> HardeningError | None:
    """Why the host or a mechanism would refuse to run a composition, where it would not refuse it as it is."""
    found = _obstacles(after, attempt.host)
    if not found:
        return None
    before = {problem.message for problem in _obstacles(attempt.composition, attempt.host)}
    return next((problem for problem in found if problem.message not in before), None)


def _obstacles(composition: Composition, host: Host) -> Sequence[HardeningError]:
    try:
        context = check(composition, host, None)
        for mechanism in composition.mechanisms:
            mechanism.contribute(composition.settings[mechanism.name], context, Fragment(mechanism.name))
    except HardeningError as error:
        return error.problems
    return ()


def _forbidden(entry: Resolved) -> Loosening:
    """What a limit on a leaf forbids."""
    return Loosening(
        barrier=f"the limit {entry.limit_shown} at {entry.limit_origin} forbids it: no exception lifts a limit"
    )


def _refused(shown: str, refusal: HardeningError) -> Loosening:
    remedy = f"; {refusal.hint}" if refusal.hint else ""
    barrier = f"with {shown} nothing would run: {refusal.message}{remedy}"
    return Loosening(barrier=barrier, is_out_of_reach=isinstance(refusal, HostError))


def _loosening(mechanism: Mechanism[Any], shown: str, tables: Mapping[str, Any]) -> Loosening:
    options: list[str] = []
    for name, value in tables.items():
        if name == "exceptions":
            options += (word for exception in value for word in _permission(exception))
            continue
        for path, item in toml.flat(value):
            options += _options(mechanism, path, item) or ["--set", f"{toml.dotted((name, *path))}={toml.inline(item)}"]
    return Loosening(shown, tables, tuple(options))


def _options(mechanism: Mechanism[Any], path: tuple[str, ...], items: object) -> list[str]:
    """An option of the mechanism's own that says each of several texts; nothing where there is none."""
    flags = [option.flags for option in mechanism.options() if option.multiple and option.key == toml.dotted(path)]
    if not flags or not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return []
    return [word for item in items for word in (min(flags[0], key=len), item)]


def _permission(exception: Mapping[str, str]) -> list[str]:
    if "=" in exception["setting"]:
        return ["--set", f"exceptions={toml.inline([exception])}"]
    return ["--exception", f"{exception['setting']}={exception['reason']}"]
