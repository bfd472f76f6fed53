"""The store of images: blobs by digest, names, signatures and unpacked roots, below one directory of the caller's.

| place | what lies there |
| --- | --- |
| `blobs/sha256/HEX` | a manifest, index, configuration or layer, whose content has this digest |
| `names/HEX.json` | which image a name stands for; the file is called by the SHA-256 of the name |
| `signatures/HEX-NAME/signature-N` | the signatures of the manifest with this digest, under the name with this SHA-256 |
| `roots/HEX-KEY/` | `root`, an image unpacked, for the id maps that `KEY` stands for, and `root.json` about it |
| `partial/ID/` | what is being fetched or unpacked; whoever does that holds it (flock(2)) |
| `lock` | held shared by who adds or uses something, and alone by who removes what nothing names |

Whatever has a name is whole: it is made in `partial`, checked, written to the disk, and then renamed. A process that is
killed leaves something in `partial` that nobody holds, and blobs that nothing names; both go with the next removal
(`ImageStore.prune`).
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from hardening.base import files, jsontext, locks, places, state, trees, trusted, wholefile
from hardening.base.digest import sha256
from hardening.base.files import Opened
from hardening.base.values import frozen
from hardening.errors import ImageError, LaunchError
from hardening.images import inuse, media, removal
from hardening.images.ids import Ids
from hardening.images.media import Descriptor, Manifest
from hardening.images.reference import Name

VARIABLE, ROOTS = state.IMAGES, state.ROOTS
BLOBS, NAMES, SIGNATURES, PARTIAL, LOCK = "blobs", "names", "signatures", "partial", "lock"
_FOLDERS = (BLOBS, f"{BLOBS}/sha256", f"{BLOBS}/sha512", NAMES, SIGNATURES, ROOTS, PARTIAL)
#: The mapped ids of a container pass through these, and see nothing else.
_PASSED = (ROOTS,)
_FULL = (*wholefile.FULL, errno.EFBIG)
_CHUNK = 1 << 20


@frozen
class ImageRecord:
    """Which image a name stands for. ``digest`` is that of the manifest, ``top`` that of what the name led to, which may be
    an index; ``pulled`` is in seconds since the epoch."""

    name: str
    digest: str
    top: str
    pulled: int


@frozen
class Unpacked:
    """An image as a directory. ``path`` is the root itself, ``about`` what was found while it was unpacked."""

    path: Path
    about: Mapping[str, Any]

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """What of the image is not there, or not as it says: why, and the path in the root."""
        return tuple((str(why), str(path)) for why, path in self.about.get("skipped", ()))

    @property
    def count(self) -> int:
        """How many these are; not all of a large number are named."""
        return int(self.about.get("count", 0))


def location(environment: Mapping[str, str], uid: int) -> Path:
    """Where the store of a user is or would be. Raises `ImageError` for a user without a home directory."""
    found = state.images(environment, uid)
    if found is None:
        raise ImageError("no directory for images: the caller has no home directory", hint=f"set {VARIABLE}")
    return found


class ImageStore:
    """A store that can be believed: nobody but the caller can have written it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def at(cls, path: Path) -> ImageStore:
        """The store at a path, which need not be there: then it holds nothing, until `make` is called. Raises `ImageError`
        for one that others could write."""
        return cls.existing(path) or cls(path)

    @classmethod
    def existing(cls, path: Path) -> ImageStore | None:
        """The store at a path; None where there is none. Raises `ImageError` for one that others could write."""
        try:
            for folder in (path, *(path / name for name in _FOLDERS)):
                status = os.lstat(folder)
                if not trusted.is_own(status, str(folder)) or not folder.is_dir() or folder.is_symlink():
                    raise PermissionError(errno.EPERM, "other users can write to it", str(folder))
            trusted.require_secure_path(str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ImageError(
                f"cannot use the image store: {error.filename or path}: {error.strerror or error}",
                origin=path,
                hint=f"keep it where only you can write, or set {VARIABLE} to such a directory",
            ) from None
        return cls(path)

    def make(self) -> None:
        """Make what is missing of the store: something is about to be kept. Raises `ImageError`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            for folder in (self.path, *(self.path / name for name in _FOLDERS)):
                mode = 0o711 if folder == self.path or folder.name in _PASSED else 0o700
                files.make_directory(str(folder), mode)
        except OSError as error:
            raise self.failed(error) from None
        self.existing(self.path)

    # --- locks ----------------------------------------------------------------------------------------------------

    def shared(self) -> Opened:
        """For a block in which something is added or used: nothing is removed."""
        return Opened(self._lock(shared=True))

    def hold(self) -> None:
        """Have nothing removed until this process ends or becomes another program."""
        self._lock(shared=True)

    def _lock(self, *, shared: bool = False, wait: bool = True) -> int:
        return locks.lock_file(str(self.path / LOCK), shared=shared, wait=wait)

    def prune(self) -> bool:
        """Remove what no name leads to, unless somebody uses the store. Whether that was done. Raises `OSError`."""
        removal.prune(self.partial)
        try:
            lock = self._lock(wait=False)
        except BlockingIOError:
            return False
        with Opened(lock):
            self._prune()
        return True

    def _prune(self) -> None:
        records = self.records()
        digests = {record.digest for record in records}
        kept = digests | {record.top for record in records}
        for digest in digests:
            with suppress(ImageError):  # `hardening images --check` tells of it
                kept |= {blob.digest for blob in self.manifest(digest).blobs}
        for path in self.blobs():
            if f"{path.parent.name}:{path.name}" not in kept:
                path.unlink()
        with self.stage() as stage:
            for holder in self.roots():
                named = any(holder.name.startswith(f"{digest.replace(':', '-')}-") for digest in digests)
                if not named and inuse.user(holder) is None:
                    # Its name goes first: what is half gone when this process is killed must not be taken for the image.
                    removal.remove_tree(holder.rename(stage / removal.HOLDER))
        signed = {self.signatures(record.digest, record.name) for record in records}
        for path in self.signed():
            if path not in signed:
                trees.remove(str(path))

    # --- blobs ----------------------------------------------------------------------------------------------------

    def blob(self, digest: str) -> Path:
        """Where a blob is or would be."""
        algorithm, _, digits = digest.partition(":")
        return self.path / BLOBS / algorithm / digits

    def has(self, wanted: Descriptor) -> bool:
        """Whether a blob of this digest and size is there."""
        try:
            return self.blob(wanted.digest).stat().st_size == wanted.size
        except FileNotFoundError:
            return False

    def read(self, digest: str, most: int = media.MAX_MANIFEST) -> bytes:
        """The content of a small blob, held against its digest. Raises `ImageError`."""
        path = self.blob(digest)
        try:
            data = wholefile.read(path, most)
        except OSError as error:
            raise ImageError(
                f"cannot be read: {error.strerror}",
                origin=path,
                hint="pull the image again (`hardening images --check`)",
            ) from None
        if media.digest_of(data, digest) != digest:
            raise ImageError(
                "digest mismatch",
                origin=path,
                hint="remove the image with `hardening rmi`, and pull it again",
            )
        return data

    def add(self, digest: str, pieces: Iterable[bytes], size: int, stage: Path) -> None:
        """Keep a blob of exactly ``size`` bytes, which are held against ``digest`` as they come. Raises `ImageError`."""
        import hashlib

        algorithm = digest.partition(":")[0]
        hashed = hashlib.new(algorithm, usedforsecurity=True)
        got = 0
        path = stage / digest.replace(":", "-")
        try:
            with path.open("xb") as file:
                for piece in pieces:
                    got += len(piece)
                    if got > size:
                        raise _mismatch(digest, f"blob larger than the {size} bytes in its manifest")
                    hashed.update(piece)
                    file.write(piece)
                if got < size:
                    raise _mismatch(digest, f"blob truncated: {got} of {size} bytes")
                if f"{algorithm}:{hashed.hexdigest()}" != digest:
                    raise _mismatch(digest, f"digest mismatch: received {algorithm}:{hashed.hexdigest()}")
                file.flush()
                os.fsync(file.fileno())
            path.rename(self.blob(digest))
            files.sync(str(self.blob(digest).parent))
        except OSError as error:
            raise self.failed(error) from None
        finally:
            path.unlink(missing_ok=True)

    def manifest(self, digest: str) -> Manifest:
        """The manifest of an image. Raises `ImageError`."""
        return media.read_manifest(self.read(digest), self.blob(digest))

    def config(self, digest: str) -> dict[str, Any]:
        """The configuration of the image with this manifest. Raises `ImageError`."""
        config = self.manifest(digest).config.digest
        return media.read_config(self.read(config), self.blob(config))

    def blobs(self) -> list[Path]:
        """All blobs there are."""
        return sorted((self.path / BLOBS).glob("*/*"))

    # --- names ----------------------------------------------------------------------------------------------------

    def name_file(self, name: Name) -> Path:
        """Where it is or would be written down what a name stands for."""
        return self.path / NAMES / f"{sha256(str(name).encode())}.json"

    def find(self, name: Name) -> ImageRecord | None:
        """What a name stands for; None where it was never pulled. Raises `ImageError`."""
        return self._record(self.name_file(name))

    def records(self) -> list[ImageRecord]:
        """All names, sorted. Raises `ImageError`."""
        found = [self._record(path) for path in sorted((self.path / NAMES).glob("*.json"))]
        return sorted((record for record in found if record is not None), key=lambda record: record.name)

    def name(self, name: Name, digest: str, top: str, stage: Path) -> ImageRecord:
        """Write down what a name stands for from now on."""
        record = ImageRecord(str(name), digest, top, int(time.time()))
        text = json.dumps(attrs.asdict(record), indent=1).encode()
        try:
            wholefile.write(self.name_file(name), text, 0o600, within=stage)
        except OSError as error:
            raise self.failed(error) from None
        return record

    def remove(self, name: str) -> None:
        """Take a name away."""
        path = self.path / NAMES / f"{sha256(name.encode())}.json"
        path.unlink(missing_ok=True)
        files.sync(str(path.parent))

    def _record(self, path: Path) -> ImageRecord | None:
        try:
            data: Any = jsontext.parse(wholefile.read(path), str(path))
            return ImageRecord(str(data["name"]), str(data["digest"]), str(data["top"]), int(data["pulled"]))
        except FileNotFoundError:
            return None
        except (LaunchError, OSError, ValueError, KeyError, TypeError):
            raise ImageError("is malformed", origin=path, hint="remove it, and pull the image again") from None

    # --- signatures -----------------------------------------------------------------------------------------------

    def signatures(self, digest: str, name: str) -> Path:
        """The directory with what was fetched of signatures for a manifest under a name; it need not be there."""
        return self.path / SIGNATURES / f"{digest.replace(':', '-')}-{sha256(name.encode())}"

    def signed(self) -> list[Path]:
        """The directories of all manifests and names that have signatures."""
        return sorted((self.path / SIGNATURES).iterdir())

    # --- roots ----------------------------------------------------------------------------------------------------

    def holder(self, digest: str, ids: Ids) -> Path:
        """The directory that holds an image unpacked for some ids, or would."""
        return self.path / ROOTS / f"{digest.replace(':', '-')}-{ids.key}"

    def root(self, digest: str, ids: Ids) -> Unpacked | None:
        """An image unpacked for some ids; None where it is not there."""
        return self.unpacked(self.holder(digest, ids))

    def roots(self, digest: str = "") -> list[Path]:
        """The directories of unpacked images, of all or of one."""
        return sorted((self.path / ROOTS).glob(f"{digest.replace(':', '-')}-*" if digest else "*"))

    def unpacked(self, holder: Path) -> Unpacked | None:
        """What lies in the directory of an unpacked image; None where it is not whole. Raises `ImageError`."""
        try:
            about = json.loads((holder / removal.ABOUT).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise ImageError(
                "is malformed", origin=holder / removal.ABOUT, hint="remove the image, and pull it again"
            ) from None
        return Unpacked(holder / removal.ROOT, about)

    # --- what is being made -----------------------------------------------------------------------------------------

    def failed(self, error: OSError) -> ImageError:
        """The error for what could not be written here."""
        hint = "check its permissions and its disk"
        if error.errno in _FULL:
            hint = f"free space there: `hardening rmi` removes images; or set {VARIABLE} to another place"
        return ImageError(f"cannot write to the image store: {error.strerror}", origin=self.path, hint=hint)

    @property
    def partial(self) -> Path:
        """Where things are made."""
        return self.path / PARTIAL

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """A directory for what is not whole yet; it goes at the end, with all that is left in it."""
        folder = locks.lock(str(self.partial), shared=True)
        try:
            name = places.new_id()
            lock = locks.make(name, folder, 0o711)
        except OSError as error:
            raise self.failed(error) from None
        finally:
            os.close(folder)
        path = self.partial / name
        try:
            yield path
        finally:
            removal.remove_tree(path)
            os.close(lock)


def _mismatch(digest: str, got: str) -> ImageError:
    hint = "pull it again; if it happens again, the registry is broken or hostile"
    return ImageError(got, origin=digest, hint=hint)
