"""What an image has said of itself, what of it was taken, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.findings import NOT_TAKEN
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import ImageRequest, Mechanism, Reading
from hardening.mechanism.schema import Statement
from hardening.report.table import Table

if TYPE_CHECKING:
    from hardening.compose.image_defaults import ImageDefaults

#: What becomes of it: it is the value; it is not; it is a request about which a layer has spoken.
TAKEN, LEFT, DECIDED = "taken", "not taken", "a layer decides"


@frozen
class ShownDefault:
    """One thing that an image says or wants, and what became of it; ``leaf`` is empty for what no setting is about, ``why``
    for what was taken."""

    leaf: str
    said: str
    outcome: str
    why: str = ""


def offered(offer: ImageDefaults, composition: Composition, host: Host) -> Iterator[ShownDefault]:
    """Everything that an image offers to a composition that was made with it."""
    for mechanism in composition.mechanisms:
        reading = Reading(host, composition.composed)
        for part in offer.parts(mechanism, reading):
            if part.problem is not None:
                yield ShownDefault(part.leaf, str(part.value), LEFT, part.problem.message)
            for statement in part.statements:
                yield _said(mechanism, statement, composition)
    for request in offer.requests:
        yield _requested(request, composition)


def _said(mechanism: Mechanism[Any], statement: Statement, composition: Composition) -> ShownDefault:
    leaf = mechanism.leaf(statement.setting, statement.member)
    shown = mechanism.schema.settings[statement.setting].kind.show(statement.value)
    decided = composition.at(mechanism, statement.setting, statement.member)
    if leaf in composition.leaves and decided.origin == str(statement.origin):
        return ShownDefault(str(leaf), shown, TAKEN)
    found = (item.message for item in composition.findings if (item.rule, item.leaf) == (NOT_TAKEN, str(leaf)))
    reason = next(found, f"{decided.shown} is set at {decided.limit_origin or decided.described_origin}")
    return ShownDefault(str(leaf), shown, LEFT, reason.removeprefix(f"{leaf}: "))


def _requested(request: ImageRequest, composition: Composition) -> ShownDefault:
    stated = {str(leaf): entry for leaf, entry in composition.leaves.items() if entry.stated}
    stating = next((stated[name] for name in request.leaves if name in stated), None)
    if stating is not None:
        return ShownDefault(
            str(stating.leaf),
            request.message,
            DECIDED,
            f"{stating.leaf} is {stating.shown}, set at {stating.described_origin}",
        )
    return ShownDefault(request.leaves[0] if request.leaves else "", request.message, LEFT, request.hint)


def table(items: Iterable[ShownDefault], offer: ImageDefaults) -> Table:
    """What an image says, a line each."""
    rows = tuple(map(attrs.astuple, items))
    return Table(("leaf", "said", "outcome", "because"), rows, f"image {offer.image.reference} ({offer.image.digest})")


def data(items: Iterable[ShownDefault], offer: ImageDefaults) -> dict[str, object]:
    """The same as JSON data."""
    statements = [
        {"leaf": item.leaf or None, "said": item.said, "outcome": item.outcome, "because": item.why or None}
        for item in items
    ]
    return {"reference": offer.image.reference, "digest": offer.image.digest, "says": statements}
