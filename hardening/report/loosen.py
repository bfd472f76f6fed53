"""The smallest loosening of a leaf, as a layer to paste and as options; each is composed before it is offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import attrs

from hardening.compose import compose
from hardening.errors import HardeningError
from hardening.fold import Resolved
from hardening.kinds import Choice, Flag, Kind
from hardening.layers import Stack, parse_layer
from hardening.mechanism import Mechanism
from hardening.report import toml
from hardening.report.attempt import REFUSED, Attempt, Pending
from hardening.schema import REST
from hardening.source import command_line

REASON = "why this is needed"
COMMAND_LINE = "command line"


@attrs.frozen
class Loosening:
    """How to make one leaf looser: ``toml`` to paste, or ``options``, arguments for the command line; either may be
    empty. Where nothing does it, both are, and ``barrier`` says why not. With ``example`` there are other ways, which no
    order puts above or below this one."""

    shown: str = ""
    toml: str = ""
    options: tuple[str, ...] = ()
    barrier: str = ""
    example: bool = False


def smallest(attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, today: date) -> Loosening | None:
    """The smallest loosening of a leaf, or None where its values have no order that matters to security."""
    kind = mechanism.schema.settings[entry.leaf.setting].kind
    if kind.neutral:
        return None
    looser = list(_looser(kind, entry))
    if not looser:
        return None
    within = [value for value in looser if not entry.limit_origin or kind.at_most(value, entry.limit)]
    if not within:
        return Loosening(
            barrier=f"the limit {entry.limit_shown} at {entry.limit_origin} forbids it: no exception lifts a limit"
        )
    for value, data, least in _offers(mechanism, entry, within):
        table = {mechanism.name: data}
        for tables in (table, _excepted(entry, table)):
            if _works(attempt, mechanism, entry, tables, value, today):
                return attrs.evolve(_loosening(kind.show(value), tables), example=not least)
    return None


def _offers(
    mechanism: Mechanism[Any], entry: Resolved, looser: Sequence[Any]
) -> Iterator[tuple[Any, Mapping[str, Any], bool]]:
    """Values to try, with TOML data that says them, and whether no other value is smaller: first what people write, then
    the smallest that there are."""
    kind = mechanism.schema.settings[entry.leaf.setting].kind
    usual = mechanism.permission(entry.leaf)
    if usual is not None and usual[0] in looser:
        yield *usual, False
    for value in _minimal(kind, looser):
        # Only these kinds give every value that they have as a sample.
        least = value == entry.limit or isinstance(kind, Flag | Choice)
        yield value, mechanism.dump({(entry.leaf.setting, entry.leaf.member): value}), least


def permit(mechanism: Mechanism[Any], entry: Resolved, said: Pending) -> Loosening | None:
    """What would permit a refused say: an exception beside it, in its own layer."""
    kind = mechanism.schema.settings[entry.leaf.setting].kind
    if said.outcome != REFUSED:
        return None
    if entry.limit_origin and not kind.at_most(said.say.value, entry.limit):
        return Loosening(
            barrier=f"the limit {entry.limit_shown} at {entry.limit_origin} forbids it: no exception lifts a limit"
        )
    table = {mechanism.name: mechanism.dump({(entry.leaf.setting, entry.leaf.member): said.say.value})}
    found = _loosening(said.said, _excepted(entry, table))
    if said.layer == COMMAND_LINE:
        # The say is already there: only its exception is missing.
        return attrs.evolve(found, toml="", options=found.options[:2])
    # No option permits what a file says: the exception must stand beside it.
    return attrs.evolve(found, options=())


def _looser(kind: Kind[Any], entry: Resolved) -> Iterator[Any]:
    value = entry.value
    if isinstance(value, int) and not isinstance(value, bool):
        doubled = 2 * value if value else 1
        candidates = [min(doubled, entry.limit) if isinstance(entry.limit, int) else doubled]
    else:
        candidates = [*([entry.limit] if entry.limit_origin else []), *kind.samples()]
    for candidate in candidates:
        if kind.at_most(value, candidate) and not kind.at_most(candidate, value):
            yield candidate


def _minimal(kind: Kind[Any], values: Sequence[Any]) -> list[Any]:
    """The values without another one strictly below them."""
    return [
        value
        for value in values
        if not any(kind.at_most(other, value) and not kind.at_most(value, other) for other in values)
    ]


def _excepted(entry: Resolved, table: Mapping[str, Any]) -> dict[str, Any]:
    return {"exceptions": [{"setting": str(entry.leaf), "reason": REASON}], **table}


def _works(
    attempt: Attempt, mechanism: Mechanism[Any], entry: Resolved, tables: Mapping[str, Any], value: Any, today: date
) -> bool:
    composition = attempt.composition
    if not tables[mechanism.name]:
        return False
    kind = mechanism.schema.settings[entry.leaf.setting].kind
    try:
        layer = parse_layer(command_line(tables, {}))
        after = compose(Stack((*composition.stack.layers, layer)), composition.mechanisms, attempt.host, today)
    except HardeningError:
        return False
    # A member that no layer names has the value of all others.
    found = after.leaves.get(entry.leaf) or after.leaves[mechanism.leaf(entry.leaf.setting, REST)]
    return kind.at_most(value, found.value)


def _loosening(shown: str, tables: Mapping[str, Any]) -> Loosening:
    lines: list[str] = []
    options: list[str] = []
    for name, value in tables.items():
        if name == "exceptions":
            lines += [
                "[[exceptions]]",
                *(f"{toml.key(key)} = {toml.inline(item)}" for key, item in value[0].items()),
                "",
            ]
            options += _permission(value[0])
            continue
        lines.append(f"[{toml.key(name)}]")
        for path, item in toml.flat(value):
            lines.append(f"{toml.dotted(path)} = {toml.inline(item)}")
            options += ["--set", f"{toml.dotted((name, *path))}={toml.inline(item)}"]
    return Loosening(shown, "\n".join(lines) + "\n", tuple(options))


def _permission(exception: Mapping[str, str]) -> list[str]:
    if "=" in exception["setting"]:
        return ["--set", f"exceptions={toml.inline([exception])}"]
    return ["--exception", f"{exception['setting']}={exception['reason']}"]
