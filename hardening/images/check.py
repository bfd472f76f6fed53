"""Whether a store holds what it says: every blob against its digest, every name and manifest against the blobs, and that
every root was made whole. The files of a root are held against their layers while it is unpacked, and not again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hardening.base.values import frozen
from hardening.errors import ImageError
from hardening.images.store import ImageRecord, ImageStore


@frozen
class Checked:
    """How much was looked at, and what is wrong, a line for each."""

    names: int
    blobs: int
    roots: int
    problems: tuple[str, ...]


def check(store: ImageStore) -> Checked:
    """Look at everything. What is in `partial` is not looked at: nothing leads there. Raises `OSError`."""
    problems: list[str] = []
    with store.shared():
        blobs = store.blobs()
        wrong = [path for path in blobs if f"{path.parent.name}:{path.name}" != _digest(path)]
        problems += [f"{path}: digest mismatch" for path in wrong]
        records = _records(store, problems)
        for record in records:
            _check_image(store, record, wrong, problems)
        roots = store.roots()
        for holder in roots:
            _check_root(store, holder, problems)
    return Checked(len(records), len(blobs), len(roots), tuple(problems))


def _records(store: ImageStore, problems: list[str]) -> list[ImageRecord]:
    try:
        return store.records()
    except ImageError as error:
        problems.append(f"{error.origin}: {error.message}")
        return []


def _check_image(store: ImageStore, record: ImageRecord, wrong: list[Path], problems: list[str]) -> None:
    """``wrong`` are the blobs of which it was said already that they are damaged."""
    try:
        manifest = store.manifest(record.digest)
        store.config(record.digest)
    except ImageError as error:
        problems.append(f"{record.name}: {error.origin}: {error.message}")
        return
    missing = [blob.digest for blob in manifest.blobs if not store.has(blob) and store.blob(blob.digest) not in wrong]
    problems += [f"{record.name}: the blob {digest} is missing" for digest in missing]
    if not store.blob(record.top).is_file():
        problems.append(f"{record.name}: the index {record.top} is missing")


def _check_root(store: ImageStore, holder: Path, problems: list[str]) -> None:
    """A root is as it was made: its contents were held against the layers' digests then."""
    try:
        unpacked = store.unpacked(holder)
    except ImageError as error:
        problems.append(f"{error.origin}: {error.message}")
        return
    if unpacked is None or "entries" not in unpacked.about or not unpacked.path.is_dir():
        problems.append(f"{holder}: incomplete root")
    elif not holder.name.startswith(str(unpacked.about.get("digest", "-")).replace(":", "-")):
        problems.append(f"{holder}: is the root of another image")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return f"{path.parent.name}:{hashlib.file_digest(file, path.parent.name).hexdigest()}"
