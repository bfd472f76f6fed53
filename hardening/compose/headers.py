"""What is wrong with the headers of a stack, and what is worth saying of them: tables, exceptions, rules of findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from hardening.base.text import nearest
from hardening.compose.fold import Resolved
from hardening.errors import Gathering, HardeningError, ProfileError
from hardening.mechanism.findings import EXPIRING, IDLE_REQUIREMENT, PLACEHOLDER, UNUSED, Finding, Gate, Severity, gates
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import REQUIREMENT, Family, Leaf, Scalar, Setting
from hardening.profile.exemption import Exemption, is_placeholder
from hardening.profile.layers import TABLES, Stack
from hardening.profile.source import Origin

#: How many days before its end an exception is told of.
SOON = 30

if TYPE_CHECKING:
    from hardening.compose.rules import RuleRegistry


def wrong_headers(stack: Stack, mechanisms: Sequence[Mechanism[Any]], today: date) -> Iterable[HardeningError]:
    """Tables that nobody owns, exceptions that have expired or name nothing, and rules that nobody has."""
    yield from _unknown_tables(stack, mechanisms)
    yield from _unusable_exceptions(stack, mechanisms, today)
    each = Gathering()
    found = each.attempt(lambda: gates(stack.layers))
    yield from each.problems
    if found and any(gate.rules for gate in found):
        from hardening.compose.rules import RuleRegistry, by_name  # few layers name any

        registry = RuleRegistry(mechanisms)
        yield from _unknown_rules(found, registry)
        yield from _idle_rules(by_name(found, registry))


def told_of(
    stack: Stack, mechanisms: Sequence[Mechanism[Any]], leaves: Mapping[Leaf, Resolved], today: date
) -> Iterable[Finding]:
    """Exceptions that permit nothing, give no reason or end soon, and requirements that decide nothing."""
    yield from _unused_exceptions(stack, leaves)
    yield from _unreasoned(stack)
    yield from _expiring(stack, today)
    yield from _idle_requirements(mechanisms, leaves)


def unchanged_until(stack: Stack, today: date) -> date | None:
    """The last day on which the exceptions of a stack come to the same, and the same is told of them; None for ever. Of one
    that ends soon each day tells something else. Nor is it later than the last day of its signatures."""
    ends = [item.expires for layer in stack.layers for item in layer.exceptions if item.expires is not None]
    days = [max(today, end - timedelta(days=SOON + 1)) for end in ends]
    return min([*days, *([stack.until] if stack.until is not None else [])], default=None)


def _unknown_tables(stack: Stack, mechanisms: Sequence[Mechanism[Any]]) -> Iterable[HardeningError]:
    names = [mechanism.name for mechanism in mechanisms]
    installed = f"installed mechanisms: {', '.join(sorted(names))}"
    for layer in stack.layers:
        for known, tables in ((TABLES, layer.tables), ((), layer.limits)):
            for key, node in tables.items():
                if key not in names:
                    hint = nearest(key, (*names, *known)) or installed
                    yield node.error("no plugin owns this table", hint=hint)


def _unknown_rules(found: Sequence[Gate], registry: RuleRegistry) -> Iterable[HardeningError]:
    """Rules of findings that cannot be meant. One whose owner is no mechanism may be of a plugin that only inspects."""
    from hardening.compose.rules import LINT

    yield from _named_twice(found, registry)
    for gate, rule in [(each, rule) for each in found for rule in each.rules]:
        whole = registry.whole(rule)
        owner, _, name = whole.partition("/")
        text, hint = "there is no such rule", None
        if owner == LINT:
            text = "no run has findings of lint, so that this would refuse none"
            hint = "remove this, and gate on `hardening lint --fail-on note` (or warning, error)"
        elif not name:
            hint = registry.nearest(rule)
        elif owner not in registry.owners:
            hint = nearest(owner, registry.owners)
            hint = hint and hint.replace('"?', f'/{name}"?')
        elif (known := registry.of(owner)) and registry.find(whole) is None:
            near = nearest(name, known)
            names = ", ".join(f"{owner}/{item}" for item in sorted(known))
            hint = near.replace('"', f'"{owner}/', 1) if near else f"the rules of {owner} are {names}"
        if hint is not None:
            yield ProfileError(f'{gate.table}.rules."{rule}": {text}', origin=gate.line(rule), hint=hint)


def _named_twice(found: Sequence[Gate], registry: RuleRegistry) -> Iterable[HardeningError]:
    """Rules of which one layer speaks by their id and by their name."""
    for gate in found:
        known: dict[str, str] = {}
        for rule in gate.rules:
            other = known.setdefault(registry.whole(rule), rule)
            if other != rule:
                text = f'{gate.table}.rules."{rule}": it is {other}, which this layer names at {gate.line(other)}'
                yield ProfileError(text, origin=gate.line(rule), hint="remove one of them")


def _idle_rules(all_gates: Sequence[Gate]) -> Iterable[HardeningError]:
    """Rules that a layer takes out of what it refuses, where it refuses nothing: it cannot be meant, for no layer lifts what
    another refuses."""
    for gate in all_gates:
        for rule, least in gate.rules.items():
            if least is None and gate.refuse is None:
                others = (item.line(rule) for item in all_gates if item.least(rule) is not None)
                line = next(others, None)
                yield ProfileError(
                    f'{gate.table}.rules."{rule}": this excepts a rule from what this layer refuses, and it refuses '
                    "nothing",
                    origin=gate.places[rule],
                    hint=f"no layer lifts what {line} refuses: remove this, and have that line changed"
                    if line is not None
                    else 'set refuse = "error" (or "warning", "note") above, or remove it',
                )


def _unusable_exceptions(stack: Stack, mechanisms: Sequence[Mechanism[Any]], today: date) -> Iterable[HardeningError]:
    for layer in stack.layers:
        for exception in layer.exceptions:
            if exception.expires is not None and exception.expires < today:
                yield ProfileError(
                    f"the exception for {exception.setting} ended on {exception.expires}, its last day",
                    origin=exception.ends or exception.origin,
                    hint="remove the loosening, or renew the exception after a review",
                )
            name = exception.setting.split(".")[0]
            owner = next((mechanism for mechanism in mechanisms if mechanism.name == name), None)
            if owner is None or not find_leaves(owner, exception.setting):
                yield ProfileError(
                    f'the exception names "{exception.setting}", which is not a setting',
                    origin=exception.named or exception.origin,
                    hint=_nearest_setting(exception.setting, owner, mechanisms),
                )


def _nearest_setting(name: str, owner: Mechanism[Any] | None, mechanisms: Sequence[Mechanism[Any]]) -> str:
    """A hint at what an exception can name."""
    table, _, below = name.partition(".")
    if owner is None:
        found = nearest(table, [mechanism.name for mechanism in mechanisms])
    else:
        family = owner.schema.settings.get(below)
        if isinstance(family, Family):
            member = next(iter((*family.examples, *family.default)), "NAME")
            return f'name the one in it that it is for, such as "{name}.{member}"'
        found = nearest(below or table, list(owner.schema.settings))
        found = found.replace('"', f'"{table}.', 1) if found is not None else None
    return found or 'name a leaf, such as "rootfs.read_only" or "capabilities.NET_RAW"'


def find_leaves(mechanism: Mechanism[Any], name: str) -> list[tuple[Setting, str]]:
    """The settings and members that a full name (``rootfs.volumes./data``, ``seccomp.@debug``) means."""
    _, _, below = name.partition(".")
    found = [mechanism.schema.find(part) for part in mechanism.expand(below)] if below else []
    return [hit for hit in found if hit is not None and (isinstance(hit[0], Scalar) or hit[1])]


def _unused_exceptions(stack: Stack, leaves: Mapping[Leaf, Resolved]) -> Iterable[Finding]:
    if not any(layer.exceptions and not layer.shipped for layer in stack.layers):
        return
    tables = {exception.setting.partition(".")[0] for layer in stack.layers for exception in layer.exceptions}
    steps = (step for leaf, resolved in leaves.items() if leaf.mechanism in tables for step in resolved.steps)
    used = {id(step.exception) for step in steps if step.exception is not None}
    for layer in stack.layers:
        for exception in layer.exceptions:
            # Of one that is shipped, a limit before it may have cut the need.
            if id(exception) not in used and not layer.shipped:
                text = "permits nothing: no value of its layer needs it"
                yield _finding(UNUSED, Severity.WARNING, exception, text, "remove it")


def _unreasoned(stack: Stack) -> Iterable[Finding]:
    for exception in (exception for layer in stack.layers for exception in layer.exceptions):
        if is_placeholder(exception.reason):
            text = f'has "{exception.reason}" for a reason'
            hint = "write why this is needed: whoever reviews it asks"
            yield _finding(PLACEHOLDER, Severity.WARNING, exception, text, hint)


def _expiring(stack: Stack, today: date) -> Iterable[Finding]:
    for exception in (exception for layer in stack.layers for exception in layer.exceptions):
        if exception.expires is not None and (days := (exception.expires - today).days) <= SOON:
            when = "today" if days == 0 else f"in {days} day{'s' * (days != 1)}"
            text = f"ends {when}: its last day is {exception.expires}, after which the stack does not compose any more"
            hint = "renew it after a review, or remove the loosening"
            yield _finding(EXPIRING, Severity.NOTE, exception, text, hint, exception.ends)


def _finding(
    rule: str, severity: Severity, exception: Exemption, text: str, hint: str, origin: Origin | None = None
) -> Finding:
    """A finding about an exception, at its beginning where it has no ``origin`` of its own."""
    message = f"the exception for {exception.setting} {text}"
    return Finding(rule, severity, message, exception.setting, str(origin or exception.origin), hint)


def _idle_requirements(mechanisms: Sequence[Mechanism[Any]], leaves: Mapping[Leaf, Resolved]) -> Iterable[Finding]:
    for mechanism in mechanisms:
        resolved = leaves[Leaf(mechanism.name, REQUIREMENT.name)]
        if not mechanism.may_fall_short and resolved.value != REQUIREMENT.default:
            yield Finding(
                IDLE_REQUIREMENT,
                Severity.WARNING,
                f"{mechanism.name} is as strict as ever: it asks nothing of a host that might not give it",
                leaf=f"{mechanism.name}.{REQUIREMENT.name}",
                origin=str(resolved.origin),
                hint="remove it; permissions are set in the table itself",
            )
