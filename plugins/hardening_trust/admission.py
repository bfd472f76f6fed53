"""The verdict on what is about to be written or run: whether the policy permits its image.

It is asked at every run, also for an image that has been here for long. A root that is no image is none of its business.
The policy of a run is that of its profiles. A bundle that was composed before has none: what is required of its image stands
in it (`hardening_trust.annotation`), and is held against the keys and the signatures that there are now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from hardening.compose.composition import Composition
from hardening.errors import HardeningError, quoted
from hardening.images import reference
from hardening.images.reference import Name
from hardening.launch import fingerprints
from hardening.mechanism import inputs, used
from hardening.mechanism.inputs import Input
from hardening.mechanism.runtime import Refusal
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening.mechanism.used import Used
from hardening.plugin.admission import Candidate, Verdict
from hardening_trust import annotation
from hardening_trust.kinds import RequirementsKind
from hardening_trust.requirements import REJECT, Requirements, key_paths, together
from hardening_trust.scopes import WITHOUT_SCOPES, Match
from hardening_trust.settings import DEFAULT, SCOPES, TrustSettings

if TYPE_CHECKING:
    from hardening.images.store import ImageStore
    from hardening_trust import verification

NAME = "trust"
_MINE = "mine.toml"


def admit(candidate: Candidate) -> Verdict | None:
    """The verdict on a candidate; None where it does not name an image."""
    document = candidate.composed
    try:
        image = used.of(document)
        if image is None:
            return None
        name = reference.parse(image.reference)
        required = annotation.read(document)
        composition = candidate.composition
        if composition is not None:
            match = TrustSettings.of(composition).match(name)
            required = together([*match.requirements, *(required or ())])
            hint = _hint(composition, name, match)
            if composition.image is not None:
                image = attrs.evolve(image, staged=composition.image.staged)
            elif required and required != REJECT and not image.digest:  # it is no image that is still to be fetched
                return _rejected(f"nothing states which image {image.reference} is", _UNSAID)
        elif required is None or not image.digest:
            return _rejected(f"nothing states what is required of the image {image.reference}", _UNSAID)
        else:
            hint = f"the bundle requires of its image: {RequirementsKind().show(required)}; {_ANEW}"
        reason, looked = judged(image, name, required, lambda digest: _where(composition, name, digest))
    except HardeningError as error:
        return _rejected(error.message, error.hint or "")
    return Verdict(NAME, (Refusal("", reason, hint),) if reason else (), looked)


_ANEW = "compose it again where policy, keys or image are others by now; `hardening pull` fetches its signatures anew"
_UNSAID = f"compose it again: `hardening compose -o BUNDLE IMAGE` writes {used.DIGEST} and {annotation.ANNOTATION}"


def judged(
    image: Used, name: Name, requirements: Requirements, say_where: Callable[[str], str] = lambda digest: ""
) -> tuple[str, tuple[Input, ...]]:
    """Why an image may not be used, empty where it may, and what that rests on, as it was seen before it was used: keys, the
    manifest, its signatures, and the time when one of them expires. Before an image is fetched it has no digest, and then
    only what no image of its name could pass counts. ``say_where`` says where the signatures of a manifest were looked for.
    Raises `HardeningError` where the verdict cannot be told."""
    if requirements == REJECT:
        return f"Running image {name.full} is rejected by policy.", ()
    if not requirements or not image.digest:
        return "", ()
    from hardening.images.store import ImageStore

    store = ImageStore.existing(image.store)
    if store is None:
        return f"Source image rejected: there is no store {image.store}, so nothing is known of its signatures", ()
    seen = [
        attrs.evolve(item, seen=fingerprints.take(item.kind, item.argument))
        for item in _inputs(store, image, requirements)
    ]
    verdict = _judge(store, image, name, requirements, say_where)
    if verdict.until is not None:
        seen += inputs.before(verdict.until)
    return "" if verdict.accepted else f"Source image rejected: {verdict.reason}", tuple(seen)


def said(composition: Composition, match: Match) -> str:
    """What is required, and where that is said: `trust.docker is reject, set at team.toml:3`."""
    resolved = composition.leaves[Leaf(NAME, SCOPES, match.member)]
    name = f"{NAME}.{DEFAULT if match.member == WILDCARD else match.member}"
    return f"{name} is {resolved.shown}, set at {resolved.described_origin}"


def _hint(composition: Composition, image: Name, match: Match) -> str:
    """What decided, or, where nobody has said anything, how to say it."""
    stated = composition.leaves[Leaf(NAME, SCOPES, match.member)].stated
    if stated and match.requirements != REJECT:
        here = composition.image is not None and composition.image.staged is None
        anew = "; with --pull=always its signatures are fetched anew" * here
        command = f"hardening trust explain {_named(composition.stack.named)} {quoted(str(image))}"
        return f"{said(composition, match)}; `{command}` shows more{anew}"
    decided = said(composition, match) if stated else "no profile permits it"
    return f"{decided}: {permission(image, composition.stack.named, stated=stated)}"


def permission(image: Name, profiles: Sequence[str], *, stated: bool) -> str:
    """How to have an image accepted that ``profiles`` reject: by an exception where one of them has ``stated`` that, else by
    the word of any other."""
    scope = image.docker.repository if image.docker is not None else f"{image.transport}:{image.path}"
    if image.transport in WITHOUT_SCOPES:
        scope = f"{image.transport}:"
    if stated:
        leaf = f"{NAME}.{image.transport}.{scope.removeprefix(f'{image.transport}:')}".rstrip(".")
        return f"`hardening explain {_named(profiles)} {quoted(leaf)}` shows the exception that permits it"
    command = f"hardening trust set --into {_MINE} -t accept {quoted(scope)}"
    run = f"hardening run {_named([*profiles, f'./{_MINE}'])} {quoted(str(image))} …"
    return f"`{command}` writes a profile that does, and `{run}` names it after the others"


def _named(profiles: Sequence[str]) -> str:
    return " ".join(f"-p {quoted(profile)}" for profile in dict.fromkeys(profiles))


def _rejected(reason: str, hint: str) -> Verdict:
    return Verdict(NAME, (Refusal("", reason, hint),))


def _where(composition: Composition | None, name: Name, digest: str) -> str:
    """Where a stack has the signatures of a registry's image fetched from; a bundle does not say."""
    if composition is None or name.docker is None:
        return ""
    from hardening_trust import registriesd, subjects, view

    places = registriesd.over(view.of_composition(composition).places, registriesd.configured())
    return f"{subjects.SignatureLocations(places).where(name, digest)} when it was fetched"


def _judge(
    store: ImageStore, image: Used, name: Name, requirements: Requirements, say_where: Callable[[str], str]
) -> verification.ImageVerdict:
    """Hold the manifest and the signatures that the store has against what is required."""
    from hardening.base.openpgp.keyrings import keyrings
    from hardening_trust import lookaside, signatures, verification

    kept = image.staged or store.signatures(image.digest, image.reference)

    def found(_: str) -> list[signatures.Signature]:
        return [signatures.read(data, origin) for data, origin in lookaside.from_directory(kept)]

    subject = verification.Image(name.full, name.docker, lambda: store.read(image.digest), found, say_where)
    with keyrings() as rings:
        return verification.judge(subject, requirements, rings)


def _inputs(store: ImageStore, image: Used, requirements: Requirements) -> Iterator[Input]:
    """Every file that decides the verdict."""
    for path in key_paths(requirements):
        yield from inputs.file(path)
    yield from inputs.file(store.blob(image.digest))
    kept = store.signatures(image.digest, image.reference)
    yield from inputs.entries(kept)
    if kept.is_dir():
        for entry in sorted(kept.iterdir()):
            yield from inputs.file(entry)
