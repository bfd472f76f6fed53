"""Fetching an image into the store: manifest, signatures, verdict, blobs, root, and at last the name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import attrs

from hardening.base.values import frozen
from hardening.errors import ImageError
from hardening.images import media, removal, signatures
from hardening.images.ids import Ids
from hardening.images.media import Descriptor, Manifest
from hardening.images.reference import Name
from hardening.images.source import open_source
from hardening.images.store import ImageRecord, ImageStore
from hardening.images.transport.http import TransferBounds
from hardening.images.transport.source import Source
from hardening.images.unpacking import unpack
from hardening.images.unpacking.tree import Limits


class Progress(Protocol):
    """Who is told of a pull: ``begin`` of each part with its size in bytes, and ``done`` of bytes of it."""

    def begin(self, what: str, size: int) -> None:
        """A new part begins."""

    def done(self, size: int) -> None:
        """More of the part is done."""


class Silent:
    """Nobody is told."""

    def begin(self, what: str, size: int) -> None:
        """Nothing."""

    def done(self, size: int) -> None:
        """Nothing."""


@frozen(eq=False)
class PullRequest:
    """What is to be pulled, and how. ``ids`` are those that the root is unpacked for. ``signatures`` are asked for with the
    name and the digest of a manifest; ``judge`` is called with that and a directory that has them, and raises where the
    image must not be fetched. ``verify`` False permits servers without a certificate that is trusted, or without
    encryption."""

    name: Name
    ids: Ids
    signatures: Callable[[Name, str], Iterable[bytes]] = lambda name, digest: ()
    judge: Callable[[str, Path], None] = lambda digest, signatures: None
    verify: bool = True
    bounds: TransferBounds = attrs.field(factory=TransferBounds)
    limits: Limits = attrs.field(factory=Limits)


def pull(store: ImageStore, request: PullRequest, progress: Progress | None = None) -> ImageRecord:
    """Fetch an image, or find that it is there already. Raises `ImageError`, and what ``judge`` raises; then its name stands
    for what it stood for before."""
    told = progress or Silent()

    def room() -> Path:
        store.make()
        return store.partial

    source = open_source(
        request.name, os.environ, os.geteuid(), verify=request.verify, bounds=request.bounds, room=room
    )  # fmt: skip
    with closing(source):
        found = source.manifest()
        store.make()  # not before there is something to keep
        removal.prune(store.partial)
        with store.shared(), store.stage() as stage:
            return _Pull(store, request, source, stage, told).run(*found)


class _Pull:
    def __init__(self, store: ImageStore, request: PullRequest, source: Source, stage: Path, told: Progress) -> None:
        self._store = store
        self._request = request
        self._source = source
        self._stage = stage
        self._told = told
        self._origin = str(request.name)

    def run(self, data: bytes, said: str) -> ImageRecord:
        """Keep the image whose manifest or index is ``data``, of the media type ``said``."""
        top, digest, manifest = self._manifests(data, said)
        name = self._request.name
        gathered = signatures.gather(self._store, self._request.signatures(name, digest), self._stage, self._origin)
        self._request.judge(digest, gathered)
        for blob in manifest.blobs:
            if not self._store.has(blob):
                self._told.begin(blob.digest.partition(":")[2][:12], blob.size)
                with closing(self._source.blob(blob)) as pieces:
                    self._store.add(blob.digest, self._counted(pieces), blob.size, self._stage)
        media.require_platform(self._store.config(digest), self._origin, media.own_platform())
        if self._store.root(digest, self._request.ids) is None:
            self._told.begin("unpacking", sum(layer.size for layer in manifest.layers))
            unpack.ensure(
                self._store, digest, self._request.ids, self._stage, self._request.limits, self._told.done
            )  # fmt: skip
        signatures.keep(
            self._store, self._store.signatures(digest, self._origin), gathered, self._stage,
            lambda folder: self._request.judge(digest, folder),
        )  # fmt: skip
        return self._store.name(name, digest, top, self._stage)

    def _manifests(self, data: bytes, said: str) -> tuple[str, str, Manifest]:
        """The digest of what the name led to, that of the image's own manifest, and that manifest."""
        docker = self._request.name.docker
        wanted = docker.digest if docker is not None else ""
        top = media.digest_of(data, wanted or "sha256:")
        if wanted and top != wanted:
            raise ImageError(
                f"digest mismatch: received {top}",
                origin=self._origin,
                hint="pull it again, or do not trust its source",
            )
        chosen = media.choose(data, self._origin, media.own_platform())
        self._add(top, data)
        if chosen is None:
            return top, top, media.read_manifest(data, self._origin, said)
        data = self._source.instance(chosen)
        if len(data) != chosen.size or media.digest_of(data, chosen.digest) != chosen.digest:
            raise ImageError(
                f"digest mismatch: the manifest {chosen.digest} differs from its entry in the index",
                origin=self._origin,
                hint="pull it again, or do not trust its source",
            )
        self._add(chosen.digest, data)
        return top, chosen.digest, media.read_manifest(data, self._origin, chosen.media_type)

    def _add(self, digest: str, data: bytes) -> None:
        if not self._store.has(Descriptor(digest, len(data))):
            self._store.add(digest, [data], len(data), self._stage)

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._told.done(len(piece))
            yield piece
