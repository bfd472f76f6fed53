"""The verdict on what is about to be written or run: whether the composed policy permits its image.

It is asked at every run, also for an image that has been here for long. A root that is no image is none of its business.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hardening import inputs as look
from hardening.compose import Composition
from hardening.errors import HardeningError
from hardening.images import reference, used
from hardening.images.reference import Name
from hardening.images.used import Used
from hardening.inputs import Input, Inputs, Unknown
from hardening.runtime import Candidate, Refusal, Verdict
from hardening.schema import REST, Leaf
from hardening_trust.requirements import REJECT, Requirements, SignedBy, SigstoreSigned
from hardening_trust.scopes import Match
from hardening_trust.settings import DEFAULT, SCOPES, TrustSettings

if TYPE_CHECKING:
    from hardening_trust import verification

NAME = "trust"
_SIGNED = (SignedBy, SigstoreSigned)


def admit(candidate: Candidate) -> Verdict | None:
    """The verdict on a candidate; None where it names no image, or nobody says what is required of one."""
    composition = candidate.composition
    if composition is None or used.REFERENCE.encode() not in candidate.config:
        return None
    found = used.of(candidate.document)
    if found is None:
        return None
    text, digest = found
    try:
        image = reference.parse(text)
        match = settings_of(composition).match(image)
        reason = refusal(composition, image, digest, match.requirements)
    except HardeningError as error:
        return _rejected(error.message, error.hint or "")
    if not reason:
        return Verdict(NAME)
    return _rejected(reason, _hint(composition, image, match))


def settings_of(composition: Composition) -> TrustSettings:
    """The composed settings."""
    found = composition.settings[NAME]
    if not isinstance(found, TrustSettings):
        raise TypeError(f"the settings of {NAME} are {type(found).__name__}")
    return found


def refusal(composition: Composition, image: Name, digest: str, requirements: Requirements) -> str:
    """Why an image may not be used, empty where it may. Before it is fetched it has no digest, and then only what no image
    of its name could pass counts. Raises `HardeningError` where that cannot be told."""
    if requirements == REJECT:
        return f"Running image {image.full} is rejected by policy."
    if not requirements or not digest:
        return ""
    if composition.image is None:
        return "Source image rejected: it is in no store, so nothing is known of its signatures"
    verdict = _judge(composition.image, image, requirements)
    return "" if verdict.accepted else f"Source image rejected: {verdict.reason}"


def said(composition: Composition, match: Match) -> str:
    """What is required, and where that is said: `trust.docker is reject, said at team.toml:3`."""
    resolved = composition.leaves[Leaf(NAME, SCOPES, match.member)]
    name = f"{NAME}.{DEFAULT if match.member == REST else match.member}"
    return f"{name} is {resolved.shown}, said at {resolved.told}"


def _hint(composition: Composition, image: Name, match: Match) -> str:
    """What decided, or, where nobody has said anything, how to say it."""
    stated = composition.leaves[Leaf(NAME, SCOPES, match.member)].stated
    if stated and match.requirements != REJECT:
        here = composition.image is not None and composition.image.staged is None
        anew = "; with --pull=always its signatures are fetched anew" * here
        return f"{said(composition, match)}; `hardening trust explain {image}` tells more{anew}"
    decided = said(composition, match) if stated else "no profile permits it"
    return f"{decided}: {permission(image, stated=stated)}"


def permission(image: Name, *, stated: bool) -> str:
    """How to have a rejected image accepted: by an exception where a profile has ``stated`` that it is rejected, else by the
    word of any profile."""
    scope = image.docker.repository if image.docker is not None else f"{image.transport}:{image.path}"
    if stated:
        leaf = f"{NAME}.{image.transport}.{scope.removeprefix(f'{image.transport}:')}"
        return f"`hardening explain {shlex.quote(leaf)}`, with the profiles of the run, shows the exception that permits it"
    command = f"hardening trust set --into mine.toml -t accept {shlex.quote(scope)}"
    return f"`{command}` has a profile permit it, for -p ./mine.toml after your other ones (without any: -p default)"


def _rejected(reason: str, hint: str) -> Verdict:
    return Verdict(NAME, (Refusal("", reason, hint),))


def _judge(place: Used, image: Name, requirements: Requirements) -> verification.Verdict:
    """Hold the manifest and the signatures that the store has against what is required."""
    from hardening.images.store import Store
    from hardening_trust import lookaside, openpgp, signatures, verification

    store = Store(place.store)
    kept = place.staged or store.signatures(place.digest, place.reference)

    def found(_: str) -> list[signatures.Signature]:
        return [signatures.read(data, origin) for data, origin in lookaside.from_directory(kept)]

    judged = verification.Image(image.full, image.docker, lambda: store.read(place.digest), found)
    with openpgp.keyrings() as rings:
        return verification.judge(judged, requirements, rings)


# --- what the verdict depends on -----------------------------------------------------------------------------------------


def inputs(composition: Composition | None) -> Inputs:
    """Everything outside the profiles that decides the verdict on the image of a composition: the keys, the manifest, its
    signatures, and the time when one of them expires."""
    if composition is None or composition.image is None:
        return
    place = composition.image
    try:
        image = reference.parse(place.reference)
        requirements = settings_of(composition).match(image).requirements
        if image.path:
            yield from look.way(image.path)
        if requirements and requirements != REJECT and place.digest:
            yield from _of_signatures(place, image, requirements)
    except HardeningError as error:
        yield Unknown(error.message)


def _of_signatures(place: Used, image: Name, requirements: Requirements) -> Iterator[Input]:
    from hardening.images.store import Store

    for path in sorted({path for item in requirements if isinstance(item, _SIGNED) for path in item.key_paths}):
        yield from look.file(path)
    store = Store(place.store)
    yield from look.file(store.blob(place.digest))
    kept = store.signatures(place.digest, place.reference)
    yield from look.entries(kept)
    if kept.is_dir():
        for entry in sorted(kept.iterdir()):
            yield from look.file(entry)
    until = _judge(place, image, requirements).until
    if until is not None:
        yield Input("before", str(until))
