"""Removing from the store of images: what killed processes have left, and what no name leads to any more."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hardening.base import locks, trees
from hardening.errors import ImageError
from hardening.images import ids as id_maps
from hardening.images import inuse
from hardening.images.ids import Ids

if TYPE_CHECKING:
    from hardening.images.store import Store

#: A root in its directory, what tells of it beside it, and where such a directory is made in one of `partial`.
ROOT, ABOUT, HOLDER = "root", "root.json", "holder"


def left(partial: Path) -> list[str]:
    """The names in `partial` that nobody holds. Raises `OSError`."""
    folder = locks.lock(str(partial))
    try:
        return [name for name in os.listdir(folder) if not locks.is_locked(name, folder)]
    finally:
        os.close(folder)


def tidy(partial: Path) -> None:
    """Remove from `partial` what killed processes have left, as far as that can be: what cannot be removed is in nobody's
    way. Raises `OSError`."""
    folder = locks.lock(str(partial))
    try:
        for name in os.listdir(folder):
            lock = locks.try_lock(name, folder)
            if lock is not None:
                with suppress(OSError, ImageError):
                    remove_tree(partial / name)
                os.close(lock)
    finally:
        os.close(folder)


def sweep(store: Store) -> bool:
    """Remove what no name leads to, unless somebody uses the store. Whether that was done. Raises `OSError`."""
    tidy(store.partial)
    with store.alone() as alone:
        if alone:
            _sweep(store)
        return alone


def _sweep(store: Store) -> None:
    records = store.records()
    digests = {record.digest for record in records}
    kept = digests | {record.top for record in records}
    for digest in digests:
        with suppress(ImageError):  # `hardening images --check` tells of it
            kept |= {blob.digest for blob in store.manifest(digest).blobs}
    for path in store.blobs():
        if f"{path.parent.name}:{path.name}" not in kept:
            path.unlink()
    with store.stage() as stage:
        for holder in store.roots():
            named = any(holder.name.startswith(f"{digest.replace(':', '-')}-") for digest in digests)
            if not named and inuse.user(holder) is None:
                # Its name goes first: what is half gone when this process is killed must not be taken for the image.
                remove_tree(holder.rename(stage / HOLDER))
    signed = {store.signatures(record.digest, record.name) for record in records}
    for path in store.signed():
        if path not in signed:
            trees.remove(str(path))


def remove_tree(path: Path) -> None:
    """Remove a directory with all below it; an unpacked root in it goes first, in the user namespace that its files belong
    to where the caller alone cannot. What tells of a root goes after it. Raises `OSError`."""
    for holder in (path / HOLDER, path):
        if (holder / ROOT).is_dir():
            _remove_root(holder / ROOT, _ids(holder))
    trees.remove(str(path))


def _remove_root(root: Path, ids: Ids) -> None:
    try:
        trees.remove(str(root))
        return
    except PermissionError:
        pass
    from hardening.images.unpacking import child

    # An image may close directories to everybody, their owner too.
    child.run(lambda _: trees.remove(str(root), closed=ids.owner is not None), ids)


def _ids(holder: Path) -> Ids:
    """The ids that the files of a root were made for."""
    try:
        return id_maps.load(json.loads((holder / ABOUT).read_bytes())["ids"])
    except (OSError, ValueError, KeyError, TypeError):
        return Ids(owner=(os.geteuid(), os.getegid()))
