"""One policy to look at, wherever it comes from: a stack of profiles, or a policy.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import attrs

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.images import reference
from hardening.images.reference import DOCKER, Name
from hardening.mechanism.schema import WILDCARD
from hardening_trust import policy, registriesd, scopes
from hardening_trust.kinds import Lookaside
from hardening_trust.requirements import Requirements, SigstoreSigned
from hardening_trust.scopes import Match
from hardening_trust.settings import DEFAULT, DEFAULT_PLACE, SCOPES, TrustSettings


@frozen(eq=False)
class Scope:
    """One scope: ``member`` is its name here (`hardening_trust.scopes`), ``origin`` where it is said. ``resolved`` has its
    history where it was composed."""

    member: str
    requirements: Requirements
    origin: str
    resolved: Resolved | None = None

    @property
    def name(self) -> str:
        """The name as people write it."""
        return DEFAULT if self.member == WILDCARD else self.member


@frozen(eq=False)
class View:
    """All scopes by their names, the default among them, and the places of signatures by their scopes in registries.d."""

    scopes: Mapping[str, Scope]
    places: Mapping[str, Lookaside]

    @property
    def default(self) -> Scope:
        """What holds where no scope does."""
        return self.scopes[WILDCARD]

    def named(self) -> Iterator[Scope]:
        """All scopes but the default, by transport and name."""
        for member, scope in sorted(self.scopes.items(), key=lambda item: scopes.split(item[0])):
            if member != WILDCARD:
                yield scope

    def match(self, image: Name) -> Match:
        """The scope that decides about an image, links in its path followed. Raises `UsageError`."""
        return scopes.match(reference.resolved(image), self._required, self.default.requirements)

    @cached_property
    def _required(self) -> Mapping[str, Requirements]:
        return {member: scope.requirements for member, scope in self.scopes.items() if member != WILDCARD}

    def place(self, scope: Scope) -> str:
        """The URL where the signatures of a scope's images are read; empty where nothing says so."""
        transport, name = scopes.split(scope.member)
        if transport != DOCKER and scope.member != WILDCARD:
            return ""
        around = [name, *scopes.wider_scopes(DOCKER, name)] if name else []
        return next((place.read for key in (*around, "") if (place := self.places.get(key)) and place.read), "")

    def policy(self) -> policy.Policy:
        """The policy as a policy.json has it."""
        transports: dict[str, dict[str, Requirements]] = {}
        for scope in self.named():
            transport, name = scopes.split(scope.member)
            transports.setdefault(transport, {})[name] = scope.requirements
        return policy.Policy(self.default.requirements, transports, {})


def of_composition(composition: Composition) -> View:
    """The policy of a stack of profiles, and the places that it names."""
    found = TrustSettings.of(composition)
    known: dict[str, Scope] = {}
    for leaf, resolved in composition.leaves.items():
        if (leaf.mechanism, leaf.setting) == ("trust", SCOPES):
            known[leaf.member] = Scope(leaf.member, resolved.value, resolved.origin, resolved)
    places = {
        "" if scope == DEFAULT_PLACE else scope: place
        for scope, place in found.lookaside.named.items()
        if place is not None
    }
    return View(known, places | dict(_attached(known, places)))


def _attached(known: Mapping[str, Scope], places: Mapping[str, Lookaside]) -> Iterator[tuple[str, Lookaside]]:
    """The places of scopes that require sigstore signatures, which lie in the registry unless something else is said."""
    said = registriesd.Registries({scope: place.fields for scope, place in places.items()})
    for member, scope in known.items():
        transport, name = scopes.split(member)
        of_registries = transport == DOCKER or member == WILDCARD
        if of_registries and any(isinstance(item, SigstoreSigned) for item in scope.requirements):
            around = [name, *scopes.wider_scopes(DOCKER, name)] if name else []
            if not said.says_of_attachments(around):
                yield name, attrs.evolve(places.get(name, Lookaside()), attachments=True)


def of_file(path: Path) -> View:
    """The policy in a policy.json, and the places that registries.d names. Raises `ProfileError`."""
    found = policy.read(path)
    known = {WILDCARD: Scope(WILDCARD, found.default, found.origins["", ""])}
    for transport, members in found.transports.items():
        for name, requirements in members.items():
            member = scopes.member(transport, name)
            known[member] = Scope(member, requirements, found.origins[transport, name])
    return View(known, configured())


def configured() -> dict[str, Lookaside]:
    """The places of registries.d, by scope. Raises `ProfileError`."""
    return registriesd.configured().places()
