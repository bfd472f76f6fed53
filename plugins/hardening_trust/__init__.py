"""Trust: which images may be used, and who has to have signed them.

Owns `[trust]`. Into the OCI spec it writes what is required of a root that is an image (`hardening_trust.annotation`), and
it judges what is about to be written or run by the image and the requirements that are named there (`hardening_admit`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.base.pointer import table
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context, Mechanism, Reading, Violation
from hardening.mechanism.schema import WILDCARD, Leaf, Statement
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_trust import settings
from hardening_trust.ends import ACCEPT
from hardening_trust.settings import TrustSettings

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.images.reference import Name
    from hardening.mechanism.findings import Finding, FindingRule

#: What the names of annotations begin with that name an image (`hardening.mechanism.used`).
_OF_IMAGES = "org.hardening.image."


class Trust(Mechanism[TrustSettings]):
    """The mechanism behind `[trust]`. A verdict says itself what it rests on, since it is reached once."""

    name = "trust"
    summary = "which images may be used, and who has to have signed them"
    may_fall_short = False
    before_launch = ("*",)

    def inputs(self, settings: TrustSettings, context: Context) -> Inputs:
        return ()

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return settings.read(self.schema, table)

    def forms(self) -> Mapping[str, Any]:
        """The default, and a table of scopes for each transport."""
        from hardening_trust import scopes

        tables = {key: {"type": "object"} for key in (*scopes.KNOWN, settings.LOOKASIDE)}
        return {settings.DEFAULT: {}, **tables}

    def expand(self, name: str) -> Sequence[str]:
        return settings.expand(name)

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return settings.dump(self.schema, values)

    def meaning(self, leaf: Leaf) -> str:
        if leaf.setting == settings.SCOPES and leaf.member == WILDCARD:
            return "What is required of images that no scope decides about."
        return super().meaning(leaf)

    def permissions(self, leaf: Leaf) -> Sequence[tuple[Any, Mapping[str, object]]]:
        if leaf.setting != settings.SCOPES:
            return ()
        return ((ACCEPT, self.dump({(leaf.setting, leaf.member): ACCEPT})),)

    def findings(self, settings: TrustSettings, context: Context) -> Iterable[Finding]:
        # Where somebody runs something, `hardening trust lint` says it, with what is wrong with the keys.
        if not context.host.assumed:
            return ()
        from hardening_trust.lint import of_settings

        return of_settings(settings)

    def rules(self) -> Mapping[str, FindingRule | str]:
        from hardening_trust.rules import RULES

        return RULES

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        found = [statement for statement in super().samples() if statement[1] != WILDCARD]
        return [
            *found,
            *((settings.SCOPES, WILDCARD, value) for value in self.schema.settings[settings.SCOPES].kind.samples()),
        ]

    def contribute(self, settings: TrustSettings, context: Context, fragment: Fragment) -> None:
        if context.image is not None:
            from hardening_trust import annotation  # most runs use no image

            annotation.contribute(settings, context.image, fragment)

    def tighten(
        self, settings: TrustSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        if not _names_image(document):
            return ()
        from hardening_trust import annotation

        return annotation.tighten(settings, document, fragment)


def _names_image(document: Mapping[str, Any]) -> bool:
    return any(name.startswith(_OF_IMAGES) for name in table(document, "/annotations"))


@hookimpl
def hardening_admit(candidate: Candidate) -> Verdict | None:
    """Judge the image that a candidate names."""
    if not _names_image(candidate.composed):
        return None
    from hardening_trust import admission  # most runs use no image

    return admission.admit(candidate)


@hookimpl
def hardening_inputs(composition: Composition | None, host: Host) -> Iterable[Input | Unknown]:
    """Nothing: a verdict says itself what it rests on, since it is reached once."""
    return ()


@hookimpl
def hardening_signatures(name: Name, digest: str, composition: Composition, verify: bool) -> Iterable[bytes]:
    """What lies in the lookaside place of an image, in its directory, or beside it in its registry."""
    from hardening_trust import registriesd, subjects, view

    below = registriesd.configured()
    return subjects.SignatureLocations(
        registriesd.over(view.of_composition(composition).places, below), verify=verify
    ).blobs(name, digest)


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Trust(),)
