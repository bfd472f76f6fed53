"""Which image a run uses, as its bundle says it: the one thing that a verdict on it needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hardening.values import frozen

#: The name as `hardening.images.reference.parse` reads it, and the digest of the manifest. Before an image is fetched there
#: is no digest: then only what no image of the name could pass is to be refused.
REFERENCE, DIGEST = "org.hardening.image.reference", "org.hardening.image.digest"


@frozen
class Used:
    """An image. ``store`` is the directory of the store that has it (`hardening.images.store.Store`), with its manifest and
    what was fetched of its signatures. While it is pulled, those that were found now lie in ``staged``, and count alone."""

    reference: str
    digest: str
    store: Path
    staged: Path | None = None

    @property
    def annotations(self) -> dict[str, str]:
        """What the bundle says of it."""
        return {REFERENCE: self.reference} | ({DIGEST: self.digest} if self.digest else {})


def of(document: Mapping[str, object]) -> tuple[str, str] | None:
    """Reference and digest that a configuration names, '' for no digest; None for a root that is no image."""
    said = document.get("annotations")
    reference = said.get(REFERENCE) if isinstance(said, dict) else None
    digest = said.get(DIGEST, "") if isinstance(said, dict) else ""
    return (str(reference), str(digest)) if reference else None
