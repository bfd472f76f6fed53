"""Removing directories of the store of images: unpacked roots, and what killed processes have left."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from hardening.base import locks, trees
from hardening.base.files import Opened
from hardening.errors import ImageError
from hardening.images import ids as id_maps
from hardening.images.ids import Ids

#: A root in its directory, what tells of it beside it, and where such a directory is made in one of `partial`.
ROOT, ABOUT, HOLDER = "root", "root.json", "holder"


def prune(partial: Path) -> None:
    """Remove from `partial` what killed processes have left, as far as that can be: what cannot be removed is in nobody's
    way. Raises `OSError`."""
    with Opened(locks.lock(str(partial))) as folder:
        for name in os.listdir(folder):
            lock = locks.try_lock(name, folder)
            if lock is not None:
                with suppress(OSError, ImageError):
                    remove_tree(partial / name)
                os.close(lock)


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
