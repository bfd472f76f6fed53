"""The verdict on an image: every requirement has to hold, and one good signature is enough for each that asks for one.

The order of checks for a signature is that of containers/image: cryptography, key, payload, digest, reference. So are the
messages that users of podman and skopeo know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import attrs

from hardening.base.digest import sha256
from hardening.base.openpgp.keyrings import Keyrings, OpenPGPNotSigned, TooSlow
from hardening.errors import ProfileError
from hardening.images.reference import Reference
from hardening_trust import identities, keys, payload
from hardening_trust.kinds import show_one
from hardening_trust.requirements import (
    GPG_KEYS,
    REJECT,
    Accept,
    Identity,
    Reject,
    Requirement,
    Requirements,
    SignedBaseLayer,
    SignedBy,
    SigstoreSigned,
    dump_one,
)
from hardening_trust.signatures import Signature, Sigstore, Simple, UnreadableSignature

ReadKey = Callable[[Path], bytes]
#: After how many signatures of an image that take too long no more are looked at.
MOST_SLOW = 3
NO_SIGNATURE = "A signature was required, but no signature exists"


@attrs.frozen(eq=False, slots=False)
class Image:
    """What is judged. ``name`` is what it is called in messages, with its transport; ``reference`` its docker reference,
    or None. ``get_manifest`` gets the bytes of its manifest, of one platform, and ``get_signatures`` the signatures of the
    manifest with a digest, when they are needed; they raise `HardeningError`, and `UnreadableSignature`. ``say_where`` says
    where these are looked for, empty where nobody can say."""

    name: str
    reference: Reference | None
    get_manifest: Callable[[], bytes]
    get_signatures: Callable[[str], Sequence[Signature]]
    say_where: Callable[[str], str] = lambda digest: ""

    @cached_property
    def digest(self) -> str:
        """The digest of the manifest."""
        return f"sha256:{sha256(self.get_manifest())}"

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """All signatures that there are."""
        return tuple(self.get_signatures(self.digest))


@attrs.frozen
class Judged:
    """One signature under one requirement: why it is refused, empty where it is good."""

    origin: str
    reason: str = ""
    key: str = ""


@attrs.frozen
class RequirementResult:
    """One requirement: why it does not hold, empty where it does, and what was found of each signature."""

    requirement: Requirement
    reason: str = ""
    signatures: tuple[Judged, ...] = ()
    until: int | None = None


@attrs.frozen
class ImageVerdict:
    """Whether an image may be used. ``digest`` is empty where no image was looked at."""

    image: str
    digest: str
    requirements: tuple[RequirementResult, ...]

    @property
    def accepted(self) -> bool:
        return not any(held.reason for held in self.requirements)

    @property
    def reason(self) -> str:
        """Why it is refused, and by which requirements where not by all in the same words; empty where it is accepted."""
        reasons = {held.reason for held in self.requirements}
        if len(reasons) < 2:
            return next(iter(reasons), "")
        return "; ".join(f"{show_one(held.requirement)}: {held.reason}" for held in self.requirements if held.reason)

    @property
    def until(self) -> int | None:
        """When the first signature or key that it rests on expires, in seconds since 1970; None where none does."""
        return min((held.until for held in self.requirements if held.until is not None), default=None)


class Refused(ValueError):
    """A requirement does not hold whatever the signatures are; the text says why."""


def judge(image: Image, requirements: Requirements, rings: Keyrings, read: ReadKey = keys.read) -> ImageVerdict:
    """The verdict of a set of requirements; ``read`` reads files of keys. Raises `HostError` where GnuPG does not work,
    `ImageError` where the image cannot be had, and what else getting its signatures raises."""
    if requirements == REJECT:
        return ImageVerdict(image.name, "", tuple(_holds(item, image, rings, read) for item in requirements))
    ordered = sorted(requirements, key=lambda item: json.dumps(dump_one(item), sort_keys=True)) or [Accept()]
    return ImageVerdict(image.name, image.digest, tuple(_holds(item, image, rings, read) for item in ordered))


def _holds(requirement: Requirement, image: Image, rings: Keyrings, read: ReadKey) -> RequirementResult:
    try:
        if isinstance(requirement, SignedBy):
            return _one_good(requirement, image, _signed_by(requirement, rings, read))
        if isinstance(requirement, SigstoreSigned):
            return _one_good(requirement, image, _sigstore_signed(requirement, read))
        if isinstance(requirement, SignedBaseLayer):
            raise Refused("signedBaseLayer is not implemented, by no program")
        if isinstance(requirement, Reject):
            raise Refused(f"Running image {image.name} is rejected by policy.")
    except (Refused, UnreadableSignature) as error:
        return RequirementResult(requirement, str(error))
    return RequirementResult(requirement)


class _Bad(ValueError):
    """A signature is refused; the text says why."""


#: What is good about a signature: its payload, the key, and when one of both expires; None for a signature of a kind that
#: the requirement does not ask for. Raises `_Bad`.
_Check = Callable[[Signature], tuple[payload.Payload, str, int | None] | None]


def _one_good(requirement: SignedBy | SigstoreSigned, image: Image, check: _Check) -> RequirementResult:
    """Look for the first good signature; without one, say what is wrong with each."""
    judged: list[Judged] = []
    others = 0
    for signature in image.signatures:
        try:
            found = check(signature)
            if found is None:
                others += 1
                continue
            said, key, until = found
            _fits(said, requirement.identity, image)
        except _Bad as error:
            judged.append(Judged(signature.origin, str(error)))
            continue
        return RequirementResult(requirement, "", (*judged, Judged(signature.origin, key=key)), until)
    return RequirementResult(requirement, _summary(image, judged, others), tuple(judged))


def _summary(image: Image, judged: Sequence[Judged], others: int) -> str:
    if not judged:
        more = [f"{others} of another kind"] * (others > 0) + [image.say_where(image.digest)]
        said = "; ".join(filter(None, more))
        return f"{NO_SIGNATURE} ({said})" if said else NO_SIGNATURE
    if len(judged) == 1:
        return judged[0].reason
    return f"None of the signatures were accepted, reasons: {'; '.join(item.reason for item in judged)}"


def _fits(said: payload.Payload, identity: Identity, image: Image) -> None:
    if said.digest != image.digest:
        raise _Bad(f"Signature for digest {said.digest} does not match")
    if not identities.accepts(identity, image.reference, said.reference):
        raise _Bad(f'Signature for identity "{said.reference}" is not accepted')


def _signed_by(requirement: SignedBy, rings: Keyrings, read: ReadKey) -> _Check:
    if requirement.key_type != GPG_KEYS:
        raise Refused(f'Unimplemented "keyType" value "{requirement.key_type}"')
    found = _keys(requirement, read)
    ring = rings.of([data for _, data in found])
    if not ring.primaries:
        files = ", ".join(name for name, _ in found) or "the requirement"
        raise Refused(f"No public keys imported: {files} holds no OpenPGP key")

    slow = 0

    def check(signature: Signature) -> tuple[payload.Payload, str, int | None] | None:
        nonlocal slow
        if not isinstance(signature, Simple):
            return None
        if slow == MOST_SLOW:
            raise _Bad("Invalid GPG signature: it is not looked at, for others of the image took too long")
        try:
            signed = ring.verify(signature.message)
            return payload.read(signed.content), signed.primary, signed.expires
        except TooSlow as error:
            slow += 1
            raise _Bad(str(error)) from None
        except (OpenPGPNotSigned, payload.PayloadError) as error:
            raise _Bad(str(error)) from None

    return check


def _sigstore_signed(requirement: SigstoreSigned, read: ReadKey) -> _Check:
    from hardening_trust import sigstore

    if requirement.carried:
        raise Refused(f"sigstoreSigned with {' and '.join(requirement.parts)} cannot be verified here")
    trusted = []
    for name, data in _keys(requirement, read):
        try:
            trusted.append(sigstore.key(data))
        except sigstore.BadKey as error:
            raise Refused(f"parsing public key {name}: {error}") from None

    def check(signature: Signature) -> tuple[payload.Payload, str, int | None] | None:
        if not isinstance(signature, Sigstore) or not signature.is_signature:
            return None
        try:
            content, key = sigstore.verify(signature, trusted)
            return payload.read(content, payload.SIGSTORE), key, None
        except (sigstore.SigstoreNotSigned, payload.PayloadError) as error:
            raise _Bad(str(error)) from None

    return check


def _keys(requirement: SignedBy | SigstoreSigned, read: ReadKey) -> list[tuple[str, bytes]]:
    """The keys that a requirement names, by what they are called: the content of the files, and what the policy holds."""
    try:
        files = [(path, read(Path(path))) for path in requirement.key_paths]
    except ProfileError as error:
        raise Refused(f"{error.origin}: {error.message}") from None
    return [*files, *(("in the policy", data) for data in requirement.datas)]
