"""The image of a bundle that was composed before: that the store still has what the bundle binds of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hardening import inputs, state
from hardening.errors import ImageError, SpecError
from hardening.images import used
from hardening.inputs import Input
from hardening.spec import lookup


def require(document: Mapping[str, Any]) -> tuple[Input, ...]:
    """Hold the store of the image that a configuration runs, until the launch stage has this process: nothing is removed
    meanwhile. What was looked at, nothing for a root that is no image. Raises `ImageError` where what it binds is not there
    any more, and `SpecError` for one that binds an image of the caller's, and does not name it."""
    image = used.of(document)
    if image is None:
        own = state.images(os.environ, os.geteuid())
        for holder in _holders(document, own) if own is not None else ():
            raise SpecError(
                f"it binds the root of an image, {holder.name}, and does not say which image that is",
                hint="compose the bundle again: `hardening compose -o BUNDLE IMAGE -- COMMAND`",
            )
        return ()
    from hardening.images import removal  # most bundles run no image
    from hardening.images.store import Store

    kept = Store.existing(image.store)
    if kept is not None:
        kept.hold()
    holders = list(dict.fromkeys(_holders(document, image.store)))
    if kept is None or any(kept.unpacked(holder) is None for holder in holders):
        raise ImageError(
            f"{image.reference} ({image.digest}) is not in the store any more",
            origin=image.store,
            hint="pull the same image again, or compose the bundle again from another",
        )
    return tuple(item for holder in holders for item in inputs.way(holder / removal.ABOUT))


def _holders(document: Mapping[str, Any], store: Path) -> Iterator[Path]:
    """The directories of unpacked images of which a configuration binds something."""
    below = f"{store / state.ROOTS}/"
    mounts = document.get("mounts")
    numbers = range(len(mounts) if isinstance(mounts, list) else 0)
    for pointer in ("/root/path", *(f"/mounts/{number}/source" for number in numbers)):
        path = lookup(document, pointer)
        if isinstance(path, str) and path.startswith(below):
            yield store / state.ROOTS / path.removeprefix(below).partition("/")[0]
