"""The images that are judged: their manifest, and where their signatures are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import attrs

from hardening.base import wholefile
from hardening.base.digest import sha256
from hardening.errors import ImageError, ImageMissing
from hardening.images import media
from hardening.images.media import Descriptor
from hardening.images.reference import DIRECTORY, DOCKER, Name, Reference
from hardening.images.signatures import LONGEST, MOST, PREFIX
from hardening.images.source import open_source
from hardening.images.transport.source import Source
from hardening_trust import lookaside, scopes, signatures
from hardening_trust.registriesd import Registries
from hardening_trust.signatures import Signature, Sigstore
from hardening_trust.verification import Image


class OtherManifest(ImageError):
    """The manifest that is sent is not the one that was named by its digest."""


#: The most images of an index that are signed at once.
MOST_IMAGES = 64


@attrs.frozen(eq=False)
class SignatureLocations:
    """Where images and their signatures are got from: ``registries`` says it for registries, and with ``verify`` False one
    without a certificate that is trusted, or without encryption, will do. ``others`` give what signatures they have of a
    manifest, and the place of each, beside those."""

    registries: Registries
    verify: bool = True
    environment: Mapping[str, str] = attrs.field(factory=lambda: os.environ, repr=False)
    others: Callable[[Name, str], Iterable[tuple[bytes, str]]] = lambda name, digest: ()

    def image(self, name: Name) -> Image:
        """The image that a name stands for on this machine; nothing is looked at yet."""
        return Image(
            name.full, name.docker, lambda: self._manifest(name), lambda digest: self._read(name, digest),
            lambda digest: self.where(name, digest),
        )  # fmt: skip

    def where(self, name: Name, digest: str) -> str:
        """Where the signatures of a manifest are looked for, as people read it. Raises `UsageError`."""
        if name.docker is not None:
            around = around_of(name)
            found = [lookaside.first(self.registries.read_from(around), name.docker, digest)]
            if self.registries.has_attachments(around):
                found.append(f"{name.docker.repository}:{_tag(digest)}")
            return f"looked for {' and '.join(found)}"
        if name.transport == DIRECTORY:
            return f"looked for {name.path}/{_prefix(name, digest)}1"
        return f"images of {name.transport} have none"

    def blobs(self, name: Name, digest: str) -> Iterator[bytes]:
        """The signatures of a manifest as they are kept, for a store. Raises `HardeningError`."""
        try:
            for data, _ in self._fetch(name, digest):
                yield data
        except signatures.UnreadableSignature as error:
            raise ImageError(str(error), hint="check where its signatures are kept") from None

    def digests(self, name: Name) -> tuple[str, ...]:
        """The digest of what a name stands for, and of each image in it where that is an index. Raises `ImageError`."""
        with closing(self._open(name)) as source:
            data, _ = source.manifest()
            found = dict.fromkeys(chosen for chosen, _ in media.instances(data, str(name)) or ())
            if len(found) > MOST_IMAGES:
                raise ImageError(
                    f"is an index of more than {MOST_IMAGES} images", origin=name.full, hint="name one by its digest"
                )
            for chosen in found:  # what is signed is there
                _require_digest(source.instance(chosen), chosen.digest, name)
        wanted = name.docker.digest if name.docker is not None else ""
        if wanted:
            _require_digest(data, wanted, name)
        return tuple(dict.fromkeys((f"sha256:{sha256(data)}", *(chosen.digest for chosen in found))))

    def _read(self, name: Name, digest: str) -> tuple[Signature, ...]:
        found = itertools.chain(self._fetch(name, digest), self.others(name, digest))
        return tuple(signatures.read(data, origin) for data, origin in found)

    def _fetch(self, name: Name, digest: str) -> Iterator[tuple[bytes, str]]:
        """The bytes of each signature, and its place."""
        if name.docker is not None:
            around = around_of(name)
            yield from lookaside.fetch(self.registries.read_from(around), name.docker, digest)
            if self.registries.has_attachments(around):
                yield from self._attachments(name.docker, digest)
        elif name.transport == DIRECTORY:
            yield from lookaside.from_directory(Path(name.path), _prefix(name, digest))

    def _open(self, name: Name) -> Source:
        return open_source(name, self.environment, os.geteuid(), verify=self.verify)

    def _manifest(self, name: Name) -> bytes:
        """The manifest for this machine, held against the digests that led to it. Raises `ImageError`."""
        with closing(self._open(name)) as source:
            data, _ = source.manifest()
            wanted = name.docker.digest if name.docker is not None else ""
            if wanted:
                _require_digest(data, wanted, name)
            chosen = media.choose(data, str(name), media.own_platform())
            if chosen is None:
                return data
            inner = source.instance(chosen)
            _require_digest(inner, chosen.digest, name)
            return inner

    def _attachments(self, image: Reference, digest: str) -> Iterator[tuple[bytes, str]]:
        """What is attached in the registry under a tag that is made of the digest, as cosign(1) does."""
        tag = _tag(digest)
        with closing(self._open(Name(DOCKER, Reference(image.host, image.path, tag)))) as source:
            try:
                data, _ = source.manifest()
            except ImageMissing:
                return
            origin = f"{image.repository}:{tag}"
            layers = media.parse(data, origin).get("layers")
            if not isinstance(layers, list) or len(layers) > MOST:
                raise ImageError(
                    f"has no list of at most {MOST} signatures", origin=origin, hint="sign the image again"
                )
            for number, layer in enumerate(layers, 1):
                place = f"{origin}, layer {number}"
                found = media.descriptor(layer, place, LONGEST)
                payload = _blob(source, found, place)
                said = layer.get("annotations")
                annotations = said if isinstance(said, dict) else {}
                yield signatures.write(Sigstore(place, found.media_type, payload, annotations)), place


def _tag(digest: str) -> str:
    return f"{digest.replace(':', '-', 1)}.sig"


def _prefix(name: Name, digest: str) -> str:
    """How the names of a manifest's signatures begin in the directory of an image."""
    own = f"sha256:{sha256(_whole(Path(name.path) / 'manifest.json'))}" == digest
    return PREFIX if own else f"{digest.partition(':')[2]}.{PREFIX}"


def around_of(name: Name) -> list[str]:
    """The scopes of a docker image, the nearest first, as registries.d has them. Raises `UsageError` for a name with a tag
    and a digest."""
    found = [scopes.split(candidate.member) for candidate in scopes.candidates(name)]
    return [scope for transport, scope in found if transport == DOCKER and scope]


def _blob(source: Source, wanted: Descriptor, origin: str) -> bytes:
    """A small blob, held against its digest. Raises `ImageError`."""
    data = b""
    with closing(source.blob(wanted)) as pieces:
        for piece in pieces:
            data += piece
            if len(data) > wanted.size:
                break
    if len(data) != wanted.size or media.digest_of(data, wanted.digest) != wanted.digest:
        raise ImageError(f"is not {wanted.digest}", origin=origin, hint="sign the image again")
    return data


def _require_digest(data: bytes, wanted: str, name: Name) -> None:
    found = media.digest_of(data, wanted)
    if found != wanted:
        raise OtherManifest(
            f"the manifest {wanted} is not what is sent, which has the digest {found}",
            origin=name.full,
            hint="do not trust its source",
        )


def _whole(path: Path) -> bytes:
    try:
        return wholefile.read(path, media.MAX_MANIFEST - 1)
    except OSError as error:
        raise ImageError(
            f"cannot be read: {error.strerror}", origin=path, hint="name a directory of skopeo's"
        ) from None
