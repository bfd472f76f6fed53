"""What an image has said of itself, what of it was taken, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.findings import NOT_TAKEN
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Mechanism, Reading, Wish
from hardening.mechanism.schema import Say
from hardening.report.table import Table

if TYPE_CHECKING:
    from hardening.compose.offer import Offer

#: What becomes of it: it is the value; it is not; it is a wish about which a layer has spoken.
TAKEN, LEFT, DECIDED = "taken", "not taken", "a layer decides"


@frozen
class Offered:
    """One thing that an image says or wants, and what became of it; ``leaf`` is empty for what no setting is about, ``why``
    for what was taken."""

    leaf: str
    said: str
    outcome: str
    why: str = ""


def offered(offer: Offer, composition: Composition, host: Host) -> Iterator[Offered]:
    """Everything that an image offers to a composition that was made with it."""
    for mechanism in composition.mechanisms:
        reading = Reading(host, composition.composed)
        for part in offer.parts(mechanism, reading):
            if part.problem is not None:
                yield Offered(part.leaf, str(part.value), LEFT, part.problem.message)
            for say in part.says:
                yield _said(mechanism, say, composition)
    for wish in offer.wishes:
        yield _wished(wish, composition)


def _said(mechanism: Mechanism[Any], say: Say, composition: Composition) -> Offered:
    leaf = mechanism.leaf(say.setting, say.member)
    shown = mechanism.schema.settings[say.setting].kind.show(say.value)
    decided = composition.at(mechanism, say.setting, say.member)
    if leaf in composition.leaves and decided.origin == str(say.origin):
        return Offered(str(leaf), shown, TAKEN)
    found = (item.message for item in composition.findings if (item.rule, item.leaf) == (NOT_TAKEN, str(leaf)))
    reason = next(found, f"{decided.shown} is set at {decided.limit_origin or decided.told}")
    return Offered(str(leaf), shown, LEFT, reason.removeprefix(f"{leaf}: "))


def _wished(wish: Wish, composition: Composition) -> Offered:
    stated = {str(leaf): entry for leaf, entry in composition.leaves.items() if entry.stated}
    spoken = next((stated[name] for name in wish.leaves if name in stated), None)
    if spoken is not None:
        return Offered(
            str(spoken.leaf), wish.message, DECIDED, f"{spoken.leaf} is {spoken.shown}, set at {spoken.told}"
        )
    return Offered(wish.leaves[0] if wish.leaves else "", wish.message, LEFT, wish.hint)


def table(items: Iterable[Offered], offer: Offer) -> Table:
    """What an image says, a line each."""
    rows = tuple((item.leaf, item.said, item.outcome, item.why) for item in items)
    return Table(("leaf", "said", "outcome", "because"), rows, f"image {offer.image.reference} ({offer.image.digest})")


def data(items: Iterable[Offered], offer: Offer) -> dict[str, object]:
    """The same as JSON data."""
    says = [
        {"leaf": item.leaf or None, "said": item.said, "outcome": item.outcome, "because": item.why or None}
        for item in items
    ]
    return {"reference": offer.image.reference, "digest": offer.image.digest, "says": says}
