"""Layers -> Composition: every mechanism reads its tables, and `hardening.compose.fold` decides each leaf."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base.values import frozen
from hardening.compose.fold import Resolved
from hardening.compose.headers import told_of, unchanged_until, wrong_headers
from hardening.compose.part import SharedParts, part
from hardening.errors import HardeningError, PluginError, ProfileError, raise_all
from hardening.mechanism.findings import Finding, Gate, gates
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.mechanism import Mechanism, Reading
from hardening.mechanism.roles import Isolation
from hardening.mechanism.schema import WILDCARD, Leaf, Scalar
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Stack
from hardening.profile.source import SHORTEST, Document

if TYPE_CHECKING:
    from hardening.compose.image_defaults import ImageDefaults
    from hardening.images.ids import Ids
    from hardening.mechanism.used import Used


@frozen(eq=False)
class Composition:
    """The result of folding a stack: typed settings by mechanism, and every leaf with its provenance. ``looked`` are the
    files that mechanisms read while they read the layers, ``image`` is what the root was made of, if that is an image,
    ``until`` is the last day on which the stack comes to the same and the same is told of it."""

    stack: Stack
    mechanisms: tuple[Mechanism[Any], ...]
    settings: Mapping[str, Any]
    leaves: Mapping[Leaf, Resolved]
    findings: tuple[Finding, ...]
    looked: tuple[Input | Unknown, ...] = ()
    image: Used | None = None
    until: date | None = None

    @property
    def composed(self) -> Mapping[type, object]:
        """The settings by their class, as mechanisms look them up."""
        return MappingProxyType({type(settings): settings for settings in self.settings.values()})

    def required(self, mechanism: str) -> bool:
        """Whether a launch stops where the host cannot enforce this mechanism."""
        return bool(self.leaves[Leaf(mechanism, "requirement")].value == "required")

    def mechanism(self, name: str) -> Mechanism[Any] | None:
        """The mechanism that owns a table, or None."""
        return next((mechanism for mechanism in self.mechanisms if mechanism.name == name), None)

    def find(self, leaf: Leaf) -> Resolved | None:
        """A leaf, as `at` has it; None where nobody has its table."""
        mechanism = self.mechanism(leaf.mechanism)
        return self.at(mechanism, leaf.setting, leaf.member) if mechanism is not None else None

    def at(self, mechanism: Mechanism[Any], setting: str, member: str = "") -> Resolved:
        """A leaf; a member that no layer names has the value of the nearest one above it, which is `*` in most families."""
        declared = mechanism.schema.settings[setting]
        chain = (member,) if isinstance(declared, Scalar) else declared.chain(member)
        return next(self.leaves[leaf] for name in chain if (leaf := mechanism.leaf(setting, name)) in self.leaves)

    def meant(self, name: str) -> list[Resolved]:
        """The leaves of a full name: its own, those below it (``process.groups``), or the nearest one above a member that
        no layer names; none for a name that is no setting's."""
        name = name.removesuffix(f".{WILDCARD}")
        owner, _, below = name.partition(".")
        of_owner = ((leaf, entry) for leaf, entry in self.leaves.items() if leaf.mechanism == owner)
        named = [entry for leaf, entry in of_owner if f"{leaf}.".startswith(f"{name}.")]
        mechanism = self.mechanism(owner)
        found = mechanism.schema.find(below) if mechanism is not None else None
        if not named and mechanism is not None and found is not None:
            return [self.at(mechanism, found[0].name, found[1])]
        return named

    def image_ids(self, host: Host) -> Ids:
        """Whose the files of a root are that is unpacked for this, by the caller."""
        from hardening.images.ids import Ids  # most runs have no image

        found = next((item for item in self.settings.values() if isinstance(item, Isolation)), None)
        maps = found.id_maps(host) if found is not None else None
        if maps is None:
            return Ids.of(None, os.geteuid(), os.getegid())
        uids, gids = ([(one.inside, one.outside, one.size) for one in side] for side in (maps.uids, maps.gids))
        return Ids.of((uids, gids), os.geteuid(), os.getegid())

    def located(self, finding: Finding) -> Finding:
        """A finding with a place to look at: that of the first of its leaves that a layer decided, where it has none."""
        if finding.origin:
            return finding
        leaves = (leaf for leaf in (finding.leaf, *finding.also) if leaf)
        place = next((entry.origin for leaf in leaves for entry in self.meant(leaf) if entry.decided), "")
        return attrs.evolve(finding, origin=place) if place else finding

    @cached_property
    def gates(self) -> Sequence[Gate]:
        """Which findings its layers refuse, rules by their names. Raises as `hardening.compose.rules.by_name` does."""
        if not self.stack.refuses_findings:
            return ()
        from hardening.compose.rules import RuleRegistry, by_name  # few stacks do

        return by_name(gates(self.stack.layers), RuleRegistry(self.mechanisms))

    def refusals(self, findings: Iterable[Finding]) -> list[ProfileError]:
        """An error for each finding that some layer's ``[findings]`` refuses."""
        refusing = self.gates
        refused = []
        for finding in map(self.located, findings) if refusing else ():
            line = next((place for gate in refusing if (place := gate.refuses(finding)) is not None), None)
            if line is not None:
                text = f"{finding.message} ({finding.rule}, {finding.severity}), which {line} refuses"
                hint = finding.hint or f"leave out what it is about, or have {line} changed"
                lifted = next((place for gate in refusing if (place := gate.lifts(finding.rule)) is not None), None)
                if lifted is not None:
                    hint += f"; no layer lifts it: {lifted} is for its own layer alone, and {line} decides"
                refused.append(ProfileError(text, origin=finding.origin or None, hint=hint))
        return refused

    def used_exceptions(self) -> list[tuple[Leaf, Exemption]]:
        """Each loosening that an exception permitted."""
        return [
            (leaf, step.exception)
            for leaf, resolved in self.leaves.items()
            for step in resolved.steps
            if step.exception is not None
        ]

    @property
    def _typed_layers(self) -> dict[str, Document]:
        """What the command line says, by the names of its layers."""
        return {layer.name: layer.document for layer in self.stack.layers if layer.document.typed}

    @property
    def has_typed(self) -> bool:
        """Whether the command line says anything of the stack, so that something could be `is_typed`."""
        return bool(self._typed_layers)

    def is_typed(self, names: Iterable[str], value: str) -> bool:
        """Whether the command line says something of a leaf of these names (`meant`), or has this very ``value`` for another
        one, whose name a plugin may have got wrong: it may then be a secret."""
        layers = self._typed_layers
        entries = (entry for name in names for entry in self.meant(name)) if layers else ()
        return any(step.layer in layers for entry in entries for step in entry.steps) or (
            len(value) >= SHORTEST and any(value in document.values for document in layers.values())
        )

    def stated(self, mechanism: str) -> dict[tuple[str, str], Any]:
        """The values that layers stated, by setting and member."""
        return {
            (leaf.setting, leaf.member): resolved.value
            for leaf, resolved in self.leaves.items()
            if leaf.mechanism == mechanism and resolved.stated
        }

    def limits(self, mechanism: str) -> Mapping[tuple[str, str], Any]:
        """The limits of a mechanism, by setting and member."""
        return MappingProxyType(self._limits.get(mechanism, {}))  # plugins have it, and all of them the same one

    @cached_property
    def _limits(self) -> dict[str, dict[tuple[str, str], Any]]:
        found: dict[str, dict[tuple[str, str], Any]] = {}
        for leaf, entry in self.leaves.items():
            if entry.limit_origin:
                found.setdefault(leaf.mechanism, {})[leaf.setting, leaf.member] = entry.limit
        return found

    def limit(self, leaf: Leaf, otherwise: Any = None) -> Any:
        """The limit that binds a leaf, named or not; ``otherwise`` where none does, and where nobody has that table."""
        entry = self.find(leaf)
        return entry.limit if entry is not None and entry.limit_origin else otherwise


def compose(
    stack: Stack,
    mechanisms: Sequence[Mechanism[Any]],
    host: Host,
    today: date,
    offer: ImageDefaults | None = None,
    memory: SharedParts | None = None,
) -> Composition:
    """Fold a stack. ``today`` decides which exceptions have expired; ``offer`` is what an image says of itself; ``memory``
    is of the stacks before.

    Raises `ProfileError`, or `Problems` with several of them: unknown tables, wrong values, expired or wrong exceptions,
    loosenings without an exception, values beyond a limit.
    """
    raise_all([*wrong_headers(stack, mechanisms, today)])
    settings: dict[str, Any] = {}
    leaves: dict[Leaf, Resolved] = {}
    problems: list[HardeningError] = []
    failed: set[str] = set()
    noted: list[Finding] = []
    looked: list[Input | Unknown] = []
    for mechanism in in_order(mechanisms):
        if not failed.isdisjoint(mechanism.after):
            failed.add(mechanism.name)
            continue  # what it would say of settings that it cannot read would only be noise
        before = {type(settings[name]): settings[name] for name in mechanism.after if name in settings}
        reading = Reading(host, MappingProxyType(before))
        if memory is not None and offer is None:
            found = memory.part(stack.layers, mechanism, reading)
        else:
            found = part(stack.layers, mechanism, reading, offer)
        noted += found.reading.noted
        looked += found.reading.looked
        if found.problems:
            problems += found.problems
            failed.add(mechanism.name)
            continue
        settings[mechanism.name] = found.settings
        leaves |= found.leaves
    raise_all(problems)
    return Composition(
        stack,
        tuple(mechanisms),
        MappingProxyType({mechanism.name: settings[mechanism.name] for mechanism in mechanisms}),
        MappingProxyType(leaves),
        (
            *dict.fromkeys(noted),
            *(offer.unmet(leaves) if offer is not None else ()),
            *told_of(stack, mechanisms, leaves, today),
        ),
        tuple(looked),
        offer.image if offer is not None else None,
        unchanged_until(stack, today),
    )


def in_order(mechanisms: Sequence[Mechanism[Any]]) -> list[Mechanism[Any]]:
    """Mechanisms sorted so that each follows those it names in ``after``; a circle is a `PluginError`."""
    by_name = {mechanism.name: mechanism for mechanism in mechanisms}
    ordered: dict[str, Mechanism[Any]] = {}

    def visit(name: str, chain: tuple[str, ...]) -> None:
        if name in chain:
            raise PluginError(
                f"mechanisms wait for each other: {' -> '.join((*chain, name))}", hint="uninstall one of their plugins"
            )
        if name in ordered or name not in by_name:
            return
        for before in by_name[name].after:
            visit(before, (*chain, name))
        ordered[name] = by_name[name]

    for name in sorted(by_name):
        visit(name, ())
    return list(ordered.values())
