"""What came of what was asked: enforced, partly, or not at all; and what of that stops a launch."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HostError, PluginError, quoted
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Unsupported
from hardening.mechanism.schema import REQUIREMENT, Leaf

#: The state of a mechanism that this host has not, and of which nothing is asked.
NOT_ASKED = "not asked for"


@frozen
class Enforcement:
    """One mechanism on this host. ``state`` is ``enforced``, ``partly``, ``not enforced``, or ``not asked for`` where this
    host has none of it, and the composition asks for nothing."""

    mechanism: str
    requirement: str
    state: str
    unsupported: tuple[Unsupported, ...]


def refusal(composition: Composition, lacking: Unsupported) -> HostError | None:
    """The error of a gap that stops a launch. A requirement may waive it (`Unsupported.requirement`), but not where
    one of the leaves that it concerns is limited: a limit holds, or nothing runs."""
    if lacking.tolerated:
        return None
    requirement = _requirement(composition, lacking)
    concerned = _concerned(composition, lacking)
    limited = next((entry for entry in concerned if entry.limit_origin), None)
    if limited is None and requirement.value != REQUIREMENT.default:
        return None
    decided = next((entry for entry in concerned if entry.decided), None)
    what = "cannot be enforced here"
    if limited is not None:
        which = "" if str(limited.leaf) == lacking.leaf else f"{limited.leaf} "
        what += f", where {which or 'it '}is limited to {limited.limit_shown} by {limited.limit_origin}"
    return HostError(
        f"{lacking.leaf} {what}: {lacking.reason}",
        origin=decided.origin if decided is not None else None,
        hint=_remedy(lacking, requirement, limited, decided is not None and is_typed(composition, decided)) or None,
    )


def _concerned(composition: Composition, lacking: Unsupported) -> list[Resolved]:
    """The leaves that a gap is about."""
    owner = lacking.leaf.partition(".")[0]
    own = [entry for leaf, entry in composition.leaves.items() if leaf.mechanism == owner]
    if lacking.whole:
        return own
    # What is called by a name that is no leaf's may be any of the mechanism's.
    return [entry for name in (lacking.leaf, *lacking.also) for entry in composition.meant(name) or own]


def _requirement(composition: Composition, lacking: Unsupported) -> Resolved:
    """What waives a gap: the mechanism's own requirement, or that of a part, which is best-effort with the whole.
    `PluginError` where there is none: a runtime may name any table."""
    mechanism = lacking.leaf.partition(".")[0]
    part = lacking.requirement.removeprefix(f"{mechanism}.")
    names = (REQUIREMENT.name, *([part] if part else []))
    general, *own = (composition.leaves.get(Leaf(mechanism, name)) for name in names)
    if general is None or None in own:
        reason = f"{lacking.leaf} cannot be enforced, says a plugin, and [{mechanism}] has no setting {names[-1]!r}"
        raise PluginError(f"{reason}: {lacking.reason}")
    return own[0] if own and own[0] is not None and general.value == REQUIREMENT.default else general


def is_typed(composition: Composition, decided: Resolved) -> bool:
    """Whether the command line has decided a leaf."""
    typed = {layer.name for layer in composition.stack.layers if layer.document.typed}
    return any(str(step.place) == decided.origin and step.place.layer in typed for step in decided.steps)


def _remedy(lacking: Unsupported, requirement: Resolved, limited: Resolved | None, typed: bool) -> str:
    if limited is not None:
        waived = "" if requirement.value == REQUIREMENT.default else f"{requirement.leaf} waives no limit"
        return "; ".join(filter(None, (lacking.remedy, waived)))
    table, _, _ = str(requirement.leaf).rpartition(".")
    waiver = f'set requirement = "best-effort" in [{table}]'
    if typed:
        waiver = f"add --set {quoted(str(requirement.leaf))}=best-effort"
    return f"{lacking.remedy}, or {waiver}" if lacking.remedy else waiver


def enforcement(composition: Composition, unsupported: Iterable[Unsupported], host: Host) -> list[Enforcement]:
    """The state of every mechanism."""
    found = tuple(unsupported)
    inactive = {_package(kind) for kind, fact in host.facts.items() if getattr(fact, "inactive", "")}
    states = []
    for mechanism in composition.mechanisms:
        own = tuple(item for item in found if item.leaf.split(".")[0] == mechanism.name)
        able = NOT_ASKED if _package(type(mechanism)) in inactive else "enforced"
        state = "not enforced" if any(item.whole for item in own) else "partly" if own else able
        requirement = "required" if composition.required(mechanism.name) else "best-effort"
        states.append(Enforcement(mechanism.name, requirement, state, own))
    return states


def _package(kind: type) -> str:
    """Whose a mechanism is, or a fact: what has probed it."""
    return kind.__module__.partition(".")[0]
