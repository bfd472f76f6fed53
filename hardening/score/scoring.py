"""A score of one OCI configuration: each mechanism's items, weighed, in parts and as a whole.

The score is the weighed mean of all shares, times ten, as systemd-analyze(1) has it: 0 leaves nothing open, 10 everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import attrs

from hardening.assemble import pipeline
from hardening.assemble.foreign import require_shape
from hardening.assemble.spec import assemble
from hardening.base.values import freeze, frozen
from hardening.mechanism.fragment import Fragment

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.mechanism.host import Host
    from hardening.mechanism.mechanism import Mechanism
    from hardening.plugin.plugins import Plugins

HIGHEST = 10.0
#: From which score on a command is called what, as by systemd-analyze(1).
_WORDS = ((10.0, "dangerous"), (9.0, "unsafe"), (7.5, "exposed"), (5.0, "medium"), (1.0, "ok"), (0.1, "safe"))


@frozen
class Item:
    """One setting: ``leaf`` is its full name, the rest as `hardening.mechanism.exposure.Exposure` has it."""

    leaf: str
    meaning: str
    weight: float
    share: float
    found: str

    @property
    def mechanism(self) -> str:
        """The mechanism that decides it."""
        return self.leaf.partition(".")[0]

    @property
    def verdict(self) -> str:
        """In a word."""
        return "tight" if not self.share else "exposed" if self.share == 1 else "partly"


@frozen
class Score:
    """The items, those of a mechanism beside each other."""

    items: tuple[Item, ...]

    @property
    def total(self) -> float:
        """Of all items."""
        return mean(self.items)

    @property
    def word(self) -> str:
        """What the whole is called."""
        return next((word for least, word in _WORDS if round(self.total, 1) >= least), "tight")

    def gain(self, *items: Item) -> float:
        """How much less the whole score would be with these items mended."""
        return _weighed(items, self.items)

    @property
    def parts(self) -> Mapping[str, tuple[Item, ...]]:
        """The items of each mechanism that has some, the greatest gain first."""
        return {
            name: tuple(sorted(items, key=lambda item: (-item.weight * item.share, -item.weight, item.leaf)))
            for name, items in groupby(self.items, key=lambda item: item.mechanism)
        }

    def weighed(self, weights: Mapping[str, float]) -> Score:
        """The same items with other weights, by their full names."""
        return Score(tuple(attrs.evolve(item, weight=weights.get(item.leaf, item.weight)) for item in self.items))


def mean(items: Sequence[Item]) -> float:
    """The score of some items; 0 where nothing has a weight."""
    return _weighed(items, items)


def _weighed(items: Sequence[Item], whole: Sequence[Item]) -> float:
    weight = sum(item.weight for item in whole)
    return HIGHEST * sum(item.weight * item.share for item in items) / weight if weight else 0.0


def document_of(plugins: Plugins, composition: Composition, host: Host) -> dict[str, Any]:
    """The configuration that a stack composes to on this host, required or not. Raises what `pipeline.assembled` does."""
    return pipeline.assembled(plugins, composition, host, context=pipeline.examine(composition, host)).spec.document


def of_stack(plugins: Plugins, composition: Composition, host: Host) -> Score:
    """The score of what a stack composes to on this host, required or not. Raises what `pipeline.assembled` does."""
    return _score(composition.mechanisms, document_of(plugins, composition, host), host)


def of_document(mechanisms: Iterable[Mechanism[Any]], document: Mapping[str, Any], host: Host) -> Score:
    """The score of a configuration, whoever wrote it. Raises `SpecError`, or several as `Problems`, for values of other
    types than the specification gives them."""
    require_shape(document)
    return _score(mechanisms, document, host)


def of_report(mechanisms: Iterable[Mechanism[Any]], receipt: Mapping[str, Any], host: Host) -> dict[str, Any]:
    """What the kernel reports of a process (`hardening.runs.receipt`) as an OCI configuration, as far as it is scored."""
    fragments = []
    receipt = freeze(receipt)
    for mechanism in mechanisms:
        fragment = Fragment(mechanism.name)
        mechanism.reported(receipt, host, fragment)
        fragments.append(fragment)
    return assemble(fragments).document


def _score(mechanisms: Iterable[Mechanism[Any]], document: Mapping[str, Any], host: Host) -> Score:
    document = freeze(document)
    return Score(
        tuple(
            Item(f"{mechanism.name}.{item.name}", item.meaning, item.weight, item.share, item.found)
            for mechanism in mechanisms
            for item in mechanism.exposure(document, host)
        )
    )
