"""Layers of the store -> a root directory in the store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from hardening.base import locks, wholefile
from hardening.base.files import Opened
from hardening.base.linux import kernel
from hardening.base.values import frozen
from hardening.errors import ImageError
from hardening.images import media, removal
from hardening.images.ids import Ids
from hardening.images.store import ImageStore, Unpacked
from hardening.images.unpacking import child, tar
from hardening.images.unpacking.compression import Read, decompressed
from hardening.images.unpacking.tree import Limits, Notes, Tree

_CHUNK = 1 << 18


@frozen
class ImageLayer:
    """A layer's file, what it is called in messages, and the digest that it must have once decompressed."""

    path: Path
    digest: str
    diff_id: str


def ensure(
    store: ImageStore, digest: str, ids: Ids, stage: Path, limits: Limits, tell: Callable[[int], None] | None = None
) -> Unpacked:
    """The image with this manifest as a directory whose files belong to ``ids``, unpacked in ``stage`` where it is not there
    yet; ``tell`` is told of compressed bytes that are done. Raises `ImageError`."""
    known = store.root(digest, ids)
    if known is not None:
        return known
    layers = _layers(store, digest)
    holder = stage / removal.HOLDER
    root = holder / removal.ROOT
    keep_ids = os.geteuid() == 0 and ids.owner is None
    try:
        holder.mkdir(0o700)
        about: dict[str, object] = {"digest": digest, "ids": ids.dump()}
        wholefile.write(
            holder / removal.ABOUT, json.dumps(about).encode()
        )  # how to remove it, should this end half-way
        about |= child.run(lambda told: _make(layers, root, ids, limits, told, keep_ids=keep_ids), ids, tell)
        wholefile.write(holder / removal.ABOUT, json.dumps(about).encode())
        if keep_ids:
            # The container's root has to pass; nobody else of this host, for set-user-ID bits mean something there.
            os.chown(holder, *(ids.outside(0, 0) or (0, 0)))
        _put(holder, store.holder(digest, ids))
    except OSError as error:
        raise store.failed(error) from None
    finally:
        removal.remove_tree(holder)
    made = store.root(digest, ids)
    if made is None:
        raise ImageError("was removed while it was unpacked", origin=digest, hint="pull it again")
    return made


def _layers(store: ImageStore, digest: str) -> list[ImageLayer]:
    manifest = store.manifest(digest)
    wanted = media.diff_ids(store.config(digest), digest)
    if len(wanted) != len(manifest.layers):
        problem = f"has {len(manifest.layers)} layers, and its configuration names {len(wanted)}"
        raise ImageError(problem, origin=digest, hint="use another image, or report this to its author")
    pairs = zip(manifest.layers, wanted, strict=True)
    return [ImageLayer(store.blob(layer.digest), layer.digest, diff_id) for layer, diff_id in pairs]


def _make(
    layers: Iterable[ImageLayer], root: Path, ids: Ids, limits: Limits, tell: Callable[[int], None], *, keep_ids: bool
) -> dict[str, object]:
    """In the child: make the root, and have it on the disk."""
    os.umask(0)
    root.mkdir(0o755)
    if ids.owner is None:
        os.chown(root, *(ids.outside(0, 0) or (0, 0)))
    found = unpack(layers, root, ids, limits, keep_ids=keep_ids, tell=tell)
    with Opened(locks.open_directory(str(root))) as descriptor:
        kernel.syncfs(descriptor)  # one call for all files, instead of one for each
    return found


def _put(holder: Path, target: Path) -> None:
    """Give a whole root its name, unless somebody was faster."""
    try:
        holder.rename(target)
    except OSError:
        if not target.exists():
            raise


def unpack(
    layers: Iterable[ImageLayer], root: Path, ids: Ids, limits: Limits, *, keep_ids: bool, tell: Callable[[int], None]
) -> dict[str, object]:
    """Fill the empty directory ``root`` with layers, the lowest first. ``keep_ids`` keeps set-user-ID and set-group-ID bits;
    ``tell`` is told of compressed bytes that are done. What was left out, as JSON data. Raises `ImageError`, `OSError`."""
    notes = Notes()
    tree = Tree(root, ids, limits, notes, keep_ids=keep_ids)
    try:
        for layer in layers:
            with layer.path.open("rb") as file:
                _apply(tree, layer, _with_progress(file.read, tell))
        tree.finish()
    finally:
        tree.close()
    return {"skipped": notes.skipped, "count": notes.count, "entries": tree.entries, "bytes": tree.bytes}


def _with_progress(read: Read, tell: Callable[[int], None]) -> Read:
    def reader(size: int) -> bytes:
        piece = read(size)
        tell(len(piece))
        return piece

    return reader


def _apply(tree: Tree, layer: ImageLayer, read: Read) -> None:
    """Apply one layer, and hold what was read against the digest of its contents."""
    import hashlib

    algorithm = layer.diff_id.partition(":")[0]
    hashed = hashlib.new(algorithm)
    plain = decompressed(read, layer.digest)

    def hashing(size: int) -> bytes:
        piece = plain(size)
        hashed.update(piece)
        tree.read(len(piece))
        return piece

    reader = tar.TarReader(hashing, layer.digest, header=tree.header)
    tree.begin(layer.digest)
    for entry in reader:
        tree.add(entry, reader)
    while hashing(_CHUNK):  # what follows the end of an archive belongs to its digest
        pass
    if f"{algorithm}:{hashed.hexdigest()}" != layer.diff_id:
        raise tree.wrong("digest mismatch: the content differs from the image's configuration (rootfs.diff_ids)")
