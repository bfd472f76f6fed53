"""Which image a run uses, as its bundle says it: the one thing that a verdict on it needs to know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hardening.base.digest import is_digest
from hardening.base.pointer import table
from hardening.base.values import frozen
from hardening.errors import ImageError

_AGAIN = "compose the bundle again: `hardening compose -o BUNDLE IMAGE -- COMMAND`"
#: The name as `hardening.images.reference.parse` reads it, the digest of the manifest, and the store that has it. Before an
#: image is fetched there is no digest: then only what no image of the name could pass is to be refused.
REFERENCE, DIGEST = "org.hardening.image.reference", "org.hardening.image.digest"
STORE = "org.hardening.image.store"
_PLACE = "config.json:/annotations"


@frozen
class Used:
    """An image. ``store`` is the directory of the store that has it (`hardening.images.store.ImageStore`), with its manifest
    and what was fetched of its signatures. While it is pulled, those that were found now lie in ``staged``, and count
    alone."""

    reference: str
    digest: str
    store: Path
    staged: Path | None = None

    @property
    def annotations(self) -> dict[str, str]:
        """What the bundle says of it."""
        said = {REFERENCE: self.reference, DIGEST: self.digest, STORE: str(self.store)}
        return {name: text for name, text in said.items() if text}


def of(document: Mapping[str, object]) -> Used | None:
    """The image that a configuration names; None for a root that is none. Raises `ImageError` for one that is named in part,
    or by what is no digest or no text that a file could have as its name: nobody could say what is known of it."""
    said = table(document, "/annotations")
    found = {name: said[name] for name in (REFERENCE, DIGEST, STORE) if name in said}
    if not found:
        return None
    reference, digest, store = (found.get(name, "") for name in (REFERENCE, DIGEST, STORE))
    if not (isinstance(reference, str) and isinstance(digest, str) and isinstance(store, str)):
        raise ImageError("what it says of its image is not text", origin=_PLACE, hint=_AGAIN)
    if not reference or not store.startswith("/"):
        missing = STORE if reference else REFERENCE
        raise ImageError(f"it names an image, and has no {missing}", origin=_PLACE, hint=_AGAIN)
    if not _can_be_names(reference, store):
        raise ImageError("what it says of its image is neither a name nor a path", origin=_PLACE, hint=_AGAIN)
    if digest and not is_digest(digest):
        raise ImageError(f"the {DIGEST} {digest!a} is not a digest", origin=_PLACE, hint=_AGAIN)
    return Used(reference, digest, Path(store))


def _can_be_names(reference: str, store: str) -> bool:
    """Whether neither has a NUL, or half of a surrogate pair that stands for no byte of a path."""
    try:
        return b"\0" not in reference.encode() + os.fsencode(store)
    except UnicodeEncodeError:
        return False
