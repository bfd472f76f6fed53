"""Images in directories: OCI layouts (``oci:``, image-layout of the OCI image spec) and the directories that ``skopeo copy``
writes (``dir:``)."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

from hardening.base import files
from hardening.base.pointer import items, lookup
from hardening.errors import ImageError, quoted
from hardening.images import media
from hardening.images.media import Descriptor
from hardening.images.reference import Name
from hardening.images.transport.source import Source

CHUNK = 1 << 18
_REF_NAME = "org.opencontainers.image.ref.name"


class Layout(Source):
    """One image of an OCI layout."""

    def __init__(self, name: Name) -> None:
        self._name = name
        self._path = Path(name.path)

    def manifest(self) -> tuple[bytes, str]:
        chosen = self._choose()
        return self.instance(chosen), chosen.media_type

    def instance(self, chosen: Descriptor) -> bytes:
        return _whole(self._blob(chosen.digest), chosen.size)

    def blob(self, wanted: Descriptor) -> Generator[bytes, None, None]:
        return _pieces(self._blob(wanted.digest))

    def _blob(self, digest: str) -> Path:
        algorithm, _, digits = digest.partition(":")
        return self._path / "blobs" / algorithm / digits

    def _choose(self) -> Descriptor:
        """The entry of ``index.json`` that the name stands for."""
        path = self._path / "index.json"
        document = media.parse(_whole(path, media.MAX_MANIFEST), path)
        found: list[tuple[str, Descriptor]] = []
        for entry in items(document, "/manifests"):
            tag = lookup(entry, f"/annotations/{_REF_NAME}")
            found.append((tag if isinstance(tag, str) else "", media.descriptor(entry, str(path), media.MAX_MANIFEST)))
        wanted = self._name.inner
        named = [item for tag, item in found if tag == wanted] if wanted else [item for _, item in found]
        if len(named) == 1:
            return named[0]
        tags = ", ".join(sorted({tag for tag, _ in found if tag})) or "no names"
        problem = (
            f'has no image "{wanted}"' if wanted and not named else "has several images" if named else "has no image"
        )
        hint = (
            f"it has {tags}: write {quoted(f'oci:{self._name.path}:NAME')}"
            if found
            else "`skopeo copy` writes such a directory"
        )
        raise ImageError(problem, origin=path, hint=hint)


class DirectorySource(Source):
    """The one image of a directory that ``skopeo copy`` has written: ``manifest.json``, and a file for each blob."""

    def __init__(self, name: Name) -> None:
        self._path = Path(name.path)

    def manifest(self) -> tuple[bytes, str]:
        return _whole(self._path / "manifest.json", media.MAX_MANIFEST), ""

    def instance(self, chosen: Descriptor) -> bytes:
        return _whole(self._path / f"{chosen.digest.partition(':')[2]}.manifest.json", chosen.size)

    def blob(self, wanted: Descriptor) -> Generator[bytes, None, None]:
        return _pieces(self._path / wanted.digest.partition(":")[2])


def open_file(path: Path) -> int:
    """A descriptor of a regular file. Raises `ImageError`."""
    hint = "check the path: an OCI layout, a directory of skopeo's, or an archive of docker's"
    try:
        return files.open_file(str(path), follow=True)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}", origin=path, hint=hint) from None


def _whole(path: Path, most: int) -> bytes:
    with os.fdopen(open_file(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ImageError(f"is larger than {most} bytes", origin=path, hint="it differs from its entry in the index")
    return data


def _pieces(path: Path) -> Generator[bytes, None, None]:
    with os.fdopen(open_file(path), "rb") as file:
        while piece := file.read(CHUNK):
            yield piece
