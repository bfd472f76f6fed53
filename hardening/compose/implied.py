"""What a value amounts to for another leaf is held against that one's limit and value: nothing is reached by a second way.

A volume of `/etc/shadow` shows what ``rootfs.hidden_paths./etc/shadow`` hides. The mechanism says so
(`Mechanism.implies`), and here it is an error unless the limit of the other leaf permits it, and a layer that states the
volume has an exception for that leaf. This looks at the host, and is no part of the fold, which is the same on every host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from hardening.compose.composition import Composition, compose
from hardening.compose.fold import HistoryStep, Outcome, Resolved, permission
from hardening.compose.headers import find_leaves
from hardening.errors import HardeningError, ProfileError, raise_all
from hardening.mechanism.findings import UNUSED
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Implied, Mechanism
from hardening.mechanism.schema import Leaf
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Layer, Stack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date

    from hardening.compose.image_defaults import ImageDefaults
    from hardening.compose.part import SharedParts


def compose_here(
    stack: Stack,
    mechanisms: Sequence[Mechanism[Any]],
    host: Host,
    today: date,
    offer: ImageDefaults | None = None,
    memory: SharedParts | None = None,
) -> Composition:
    """The composition of a stack, held against what its values amount to on this host. Raises as `compose` does."""
    return hold(compose(stack, mechanisms, host, today, offer, memory), host)


def hold(composition: Composition, host: Host) -> Composition:
    """The composition with each exception that permits what a value amounts to in the history of that value. Raises
    `ProfileError`, or `Problems` with several, for what no exception permits, and for what is beyond a limit."""
    problems: list[HardeningError] = []
    used: dict[Leaf, Resolved] = {}
    for mechanism in composition.mechanisms:
        settings, limits = composition.settings[mechanism.name], composition.limits(mechanism.name)
        for implied in mechanism.implies(settings, limits, host):
            by = composition.at(mechanism, implied.by.setting, implied.by.member).leaf
            said = used.get(by) or composition.leaves[by]
            try:
                exception = _permitted(composition, implied, said)
            except ProfileError as error:
                problems.append(error)
                continue
            if exception is not None:
                place, value = exception.origin, said.value
                step = HistoryStep(place.layer, place, value, Outcome.EXCEPTED, True, value, exception, said.kind)
                used[by] = attrs.evolve(said, steps=(*said.steps, step))
    raise_all(problems)
    if not used:
        return composition
    needed = {str(step.exception.origin) for leaf in used.values() for step in leaf.steps if step.exception is not None}
    findings = tuple(f for f in composition.findings if f.rule != UNUSED or f.origin not in needed)
    return attrs.evolve(composition, leaves=MappingProxyType({**composition.leaves, **used}), findings=findings)


def _permitted(composition: Composition, implied: Implied, said: Resolved) -> Exemption | None:
    """The exception that permits what a value amounts to; None where nothing has to, and where nobody has that leaf. Raises
    `ProfileError`."""
    owner = composition.mechanism(implied.leaf.mechanism)
    if owner is None:
        return None
    other = composition.at(owner, implied.leaf.setting, implied.leaf.member)
    kind = other.kind
    standing = next((step for step in reversed(said.steps) if step.origin == said.origin), None)
    remedy = implied.remedy or (standing.place.elsewhere if standing is not None else "")
    if other.limit_origin and not kind.is_no_looser_than(implied.value, other.limit):
        place = other.limit_origin.rpartition(":")[0]
        shipped = any(layer.shipped and layer.place == place for layer in composition.stack.layers)
        raise ProfileError(
            f"{implied.by}: {implied.what}: {other.leaf} is limited to {other.limit_shown} at {other.limit_origin}",
            origin=said.origin,
            hint=(implied.instead if shipped else "")
            or f"no exception lifts a limit: {remedy or 'stay within it'}, or have it changed where it is set",
        )
    if implied.free or kind.is_no_looser_than(implied.value, other.value):
        return None
    if implied.by == implied.leaf:  # what is left out is held against what was there before
        there = [step.after for step in said.steps if step.stated and step.after != said.value]
        if not there or kind.is_no_looser_than(implied.value, there[-1]):
            return None
    # Whoever has said another value before has permitted what that one amounts to, and nothing of this.
    layers = [layer for layer in composition.stack.layers if standing is not None and _is_of(standing, layer)]
    for layer in layers:
        for exception in layer.exceptions:
            if exception.setting.startswith(f"{owner.name}.") and _means(owner, exception, implied):
                return exception
    last = layers[-1] if layers else None
    fixed = last is not None and last.shipped and remedy  # of a package: nobody adds to it
    raise ProfileError(
        f"{implied.by}: {implied.what}: {other.leaf} is {other.shown}, set at {other.described_origin}",
        origin=said.origin,
        hint=fixed or f"{remedy or 'leave it out'}, or add {permission(implied.leaf, last)}",
    )


def _is_of(step: HistoryStep, layer: Layer) -> bool:
    """Whether a layer made a step, and not by a limit."""
    file = layer.document.file
    here = file is None or str(step.place).startswith(f"{file}:")
    return here and step.place.layer == layer.name and step.outcome not in (Outcome.LIMIT, Outcome.CUT)


def _means(mechanism: Mechanism[Any], exception: Exemption, implied: Implied) -> bool:
    meant: Iterable[tuple[Any, str]] = find_leaves(mechanism, exception.setting)
    return any((setting.name, member) == (implied.leaf.setting, implied.leaf.member) for setting, member in meant)
