"""Signatures beside a registry: ``BASE/REPOSITORY@sha256=HEX/signature-N``, N from 1 until one is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hardening.base import wholefile
from hardening.errors import ImageError, ProfileError, UsageError
from hardening.images.reference import Reference
from hardening.images.signatures import LONGEST, MOST, PREFIX, names
from hardening.images.transport.http import Client, TransferBounds
from hardening_trust.signatures import UnreadableSignature

#: Seconds to wait for a server's word, and for all signatures of an image.
PATIENCE = 20.0
ALTOGETHER = 60.0


def fetch(base: str, image: Reference, digest: str) -> Iterator[tuple[bytes, str]]:
    """The bytes of each signature of a manifest below the URL ``base``, and its place. Raises `UnreadableSignature` for one
    that is too large, `ProfileError` for a URL that nothing can be read from, and `ImageError` where it cannot be read, or
    there is no end to them."""
    place = urlsplit(base)
    if place.scheme == "file":
        yield from from_directory(Path(f"{_path(base)}/{name_of(image, digest)}"))
    elif place.scheme in ("http", "https"):
        yield from _from_server(f"{base}/{name_of(image, digest)}")
    else:
        raise ProfileError(f"Unsupported scheme when reading signatures from {base}", hint="use file, http or https")


def name_of(image: Reference, digest: str) -> str:
    """The directory of a manifest's signatures: ``library/busybox@sha256=HEX``."""
    return f"{image.path}@{digest.replace(':', '=', 1)}"


def first(base: str, image: Reference, digest: str) -> str:
    """The place of the first signature of a manifest below the URL ``base``; of a directory its path."""
    place = _path(base) if urlsplit(base).scheme == "file" else base
    return f"{place}/{name_of(image, digest)}/{PREFIX}1"


def from_directory(folder: Path, prefix: str = PREFIX) -> Iterator[tuple[bytes, str]]:
    """The files ``signature-1``, ``signature-2`` … of a directory, until one is missing. Raises `ImageError`."""
    for name in names(prefix):
        path = folder / name
        try:
            data = wholefile.read(path, LONGEST)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ImageError(
                f"cannot read a signature: {error.strerror}", origin=path, hint="check its permissions"
            ) from None
        yield _short(data, path), str(path)
    if (folder / f"{prefix}{MOST + 1}").exists():
        raise _too_many(folder)


def write(base: str, image: Reference, digest: str, data: bytes) -> Path:
    """Add a signature to those of a manifest: the file. Raises as `require_writable`, and `ImageError` where it cannot be
    written; then nothing is left of it."""
    require_writable(base)
    return write_into(Path(f"{_path(base)}/{name_of(image, digest)}"), data)


def require_writable(base: str) -> None:
    """Raise `UsageError` for a URL that is no directory."""
    if urlsplit(base).scheme != "file":
        raise UsageError(
            f"signatures cannot be written to {base or 'a place without a name'}",
            hint="name a directory as lookaside-staging in registries.d: file:///DIRECTORY",
        )


def write_into(folder: Path, data: bytes, prefix: str = PREFIX) -> Path:
    """Add a signature to those of a directory. Raises `ImageError`."""
    hint = "name a directory that you can write to"
    with wholefile.errors_as(ImageError, "cannot write the signature", origin=folder, hint=hint):
        folder.mkdir(parents=True, exist_ok=True)
        path = wholefile.add(folder, data, names(prefix), 0o644)
    if path is None:
        raise _too_many(folder)
    return path


def _from_server(base: str) -> Iterator[tuple[bytes, str]]:
    """What a signature says is held against its key, so nothing is lost where a server has no TLS."""
    client = Client(verify=urlsplit(base).scheme == "https", bounds=TransferBounds(read=PATIENCE))
    end = time.monotonic() + ALTOGETHER
    for number in range(1, MOST + 2):
        url = f"{base}/{PREFIX}{number}"
        with client.get(url, {}) as answer:
            if answer.status == 404:
                return
            if answer.status != 200:
                raise ImageError(
                    f"answers {answer.status} for a signature",
                    origin=url,
                    hint="ask the keeper of the lookaside server",
                )
            data = client.whole(answer, LONGEST, "a signature")
        if number > MOST:
            raise _too_many(base)
        if time.monotonic() > end:
            raise ImageError(
                f"the signatures have not come within {ALTOGETHER:.0f} s", origin=url, hint="try again later"
            )
        yield data, url


def _short(data: bytes, origin: object) -> bytes:
    if len(data) > LONGEST:
        raise UnreadableSignature(f"{origin}: a signature is larger than {LONGEST} bytes")
    return data


def _too_many(place: object) -> ImageError:
    return ImageError(f"there are more than {MOST} signatures", origin=place, hint="remove those that are not needed")


def _path(base: str) -> str:
    return unquote(urlsplit(base).path).rstrip("/")
