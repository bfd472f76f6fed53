"""Whether the name inside a signature is one that a `signedIdentity` accepts (containers-policy.json(5)).

Two things are compared: the reference that the image was asked for by, which a name in the policy can stand for, and the
one that was signed. Where either does not exist or is no reference, nothing matches.
"""

from __future__ import annotations

import attrs

from hardening.errors import UsageError
from hardening.images.reference import Reference, is_tagged, parse_docker
from hardening_trust.requirements import (
    ExactReference,
    ExactRepository,
    Identity,
    MatchExact,
    MatchRepoDigestOrExact,
    MatchRepository,
    RemapIdentity,
)


def accepts(identity: Identity, image: Reference | None, signed: str) -> bool:
    """Whether ``signed``, the reference in a signature, is right for an image.

    ``image`` is None where an image has no docker reference, as those of `oci:` and `dir:`: then only the identities that
    are written out in the policy, `exactReference` and `exactRepository`, can match.
    """
    name = _parsed(signed)
    if name is None:
        return False
    if isinstance(identity, ExactReference):
        return _same(_parsed(identity.reference), identity.reference, name, signed)
    if isinstance(identity, ExactRepository):
        wanted = _parsed(identity.repository)
        return wanted is not None and wanted.repository == name.repository
    if image is None:
        return False
    if isinstance(identity, MatchRepository):
        return image.repository == name.repository
    if isinstance(identity, MatchExact):
        return is_tagged(signed) and image == name
    if isinstance(identity, RemapIdentity):
        remapped = _remapped(identity, image)
        return remapped is not None and _repo_digest_or_exact(remapped, name, signed)
    return _repo_digest_or_exact(image, name, signed)


def is_narrower(a: Identity, b: Identity) -> bool:
    """Whether every name that ``a`` accepts for an image is one that ``b`` accepts for it, or they are the same."""
    if a == b:
        return True
    if isinstance(a, ExactReference) and isinstance(b, ExactReference | ExactRepository):
        one = _parsed(a.reference)
        other = _parsed(b.reference if isinstance(b, ExactReference) else b.repository)
        same = one is not None and other is not None and one.repository == other.repository
        return same and (isinstance(b, ExactRepository) or one == other)
    if isinstance(a, ExactRepository) and isinstance(b, ExactRepository):
        one, other = _parsed(a.repository), _parsed(b.repository)
        return one is not None and other is not None and one.repository == other.repository
    wider = (MatchExact, MatchRepoDigestOrExact, MatchRepository)
    return type(a) in wider and type(b) in wider and wider.index(type(a)) < wider.index(type(b))


def _repo_digest_or_exact(image: Reference, name: Reference, signed: str) -> bool:
    """An image named by tag needs the same reference; one named by digest alone the same repository: that the digest is
    the manifest's, and the manifest the signature's, is seen elsewhere."""
    if not is_tagged(signed):
        return False
    return image == name if image.tag else image.repository == name.repository


def _same(wanted: Reference | None, text: str, name: Reference, signed: str) -> bool:
    return wanted is not None and is_tagged(text) and is_tagged(signed) and wanted == name


def _remapped(identity: RemapIdentity, image: Reference) -> Reference | None:
    """The image's reference with its prefix replaced; unchanged where it does not have it, None where that makes no
    reference that is spelt out."""
    prefix, repository = identity.prefix, image.repository
    if repository != prefix and not repository.startswith(f"{prefix}/"):
        return image
    text = str(image).replace(prefix, identity.signed_prefix, 1)
    found = _parsed(text)
    return found if found is not None and attrs.evolve(found, tag=image.tag) == found and str(found) == text else None


def _parsed(text: str) -> Reference | None:
    try:
        return parse_docker(text)
    except UsageError:
        return None
