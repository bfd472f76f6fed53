"""Whether one stack stays within another: it does where each of its leaves is at most as loose; and what shows one that is
not.

Of two values that have no order nobody can tell which permits more, so that neither is within the other. A leaf that is
tighter elsewhere makes up for nothing: the answer may be no where every process of one stack could be one of the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from hardening.base.values import frozen
from hardening.compare.difference import LeafDifference, beyond
from hardening.compose.composition import Composition
from hardening.mechanism.evidence import Witness
from hardening.mechanism.host import Host
from hardening.mechanism.kinds import Order
from hardening.mechanism.mechanism import Context
from hardening.runs.receipt import is_before_launch

#: Why no program shows a setting: the core's own and those that `Mechanism.before_launch` names, and all others of which
#: nothing is said.
BEFORE = "it decides whether a launch comes to be, and is judged before it"
UNKNOWN = "its mechanism knows none for this host"


@frozen(eq=False)
class Counterexample:
    """A leaf in which one stack permits more than another, and the programs that show it: what shows it best first; or
    ``why`` none does."""

    difference: LeafDifference
    witnesses: tuple[Witness, ...]
    why: str = ""


def violated(inner: Composition, outer: Composition, host: Host | None) -> list[LeafDifference]:
    """The leaves in which ``inner`` is not within ``outer``: the looser ones first, then those without an order. None where
    it is within. Both were composed by the same mechanisms. With a ``host`` what one lies over there counts, too."""
    return sorted(beyond(inner, outer, host), key=lambda item: item.order is not Order.LOOSER)


def counterexamples(
    composition: Composition, context: Context, found: list[LeafDifference]
) -> Iterator[Counterexample]:
    """The same with programs, each made when it is asked for. ``context`` is that of ``composition``, the looser one."""
    for item in found:
        mechanism = composition.mechanism(item.leaf.mechanism)
        if mechanism is None or item.entries is None:
            raise TypeError("a leaf of no mechanism")
        floor, own = item.entries
        if is_before_launch(mechanism, item.leaf):
            yield Counterexample(item, (), BEFORE)
            continue
        settings = composition.settings[mechanism.name]
        said = [*mechanism.witness(settings, context, item.leaf, own.value, floor.value)]
        programs = tuple(one for one in said if one.attempt)
        why = next((one.what for one in said if not one.attempt), UNKNOWN)
        yield Counterexample(item, programs, "" if programs else why)
