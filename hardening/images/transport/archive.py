"""Images in an archive that ``docker save`` or ``skopeo copy … docker-archive:`` has written.

Such an archive has no manifest of its own: one is made of its list of images, of docker's second schema, whose layers are
named by the digests that the image's configuration gives them.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Any

from hardening.base import files, jsontext, wholefile
from hardening.base.values import frozen
from hardening.errors import HardeningError, ImageError, LaunchError, quoted
from hardening.images import media
from hardening.images.media import Descriptor
from hardening.images.reference import Name, parse_docker
from hardening.images.transport import layouts
from hardening.images.transport.source import Source
from hardening.images.unpacking import compression, tar

MAX_ENTRIES = 100_000
MAX_UNPACKED = 64 << 30  # bytes of a compressed archive
_CHUNK = 1 << 18
_MAX_LINKS = 8
_HINT = "write it anew: docker save -o FILE IMAGE, or skopeo copy … docker-archive:FILE"


@frozen
class _ArchiveMember:
    offset: int
    size: int


class Archive(Source):
    """One image of a docker archive; ``room`` is asked for a directory that has room for one that is compressed."""

    def __init__(self, name: Name, room: Callable[[], Path]) -> None:
        self._name = name
        self._room = room
        self._file = self._open()
        try:
            self._members, self._links = self._index()
            self._image = self._choose()
            self._config = self._bytes(self._text(self._image.get("Config")), media.MAX_MANIFEST)
            self._layers = self._find_layers()
        except HardeningError:
            self.close()
            raise

    def manifest(self) -> tuple[bytes, str]:
        config = {"mediaType": media.DOCKER_CONFIG, "size": len(self._config), "digest": media.digest_of(self._config)}
        layers = [
            {"mediaType": media.DOCKER_LAYER, "size": member.size, "digest": digest} for digest, member in self._layers
        ]
        document = {"schemaVersion": 2, "mediaType": media.DOCKER_MANIFEST, "config": config, "layers": layers}
        return json.dumps(document, separators=(",", ":")).encode(), media.DOCKER_MANIFEST

    def instance(self, chosen: Descriptor) -> bytes:
        raise self._wrong("has no image for several platforms")

    def blob(self, wanted: Descriptor) -> Generator[bytes, None, None]:
        if wanted.digest == media.digest_of(self._config):
            yield self._config
            return
        member = next(member for digest, member in self._layers if digest == wanted.digest)
        left = member.size
        self._file.seek(member.offset)
        while left and (piece := self._file.read(min(left, _CHUNK))):
            left -= len(piece)
            yield piece

    def close(self) -> None:
        self._file.close()

    def _open(self) -> IO[bytes]:
        """The archive as a plain file; one that is compressed is unpacked into a file without a name."""
        path = self._name.path
        file = os.fdopen(layouts.open_file(Path(path)), "rb")
        begin = file.read(6)
        file.seek(0)
        if begin[:2] != b"\x1f\x8b" and begin[:4] != b"\x28\xb5\x2f\xfd":
            return file
        folder = self._room()
        with file:
            read = compression.decompressed(file.read, path)
            try:
                # Nothing stays in a buffer, for which there might be no room when the file is closed.
                plain = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
                try:
                    self._copy(read, plain)
                except BaseException:
                    plain.close()
                    raise
            except OSError as error:
                full = error.errno in wholefile.FULL
                raise ImageError(
                    f"cannot be unpacked in {folder}: {error.strerror}",
                    origin=path,
                    hint="free space there, or unpack it yourself, where there is some"
                    if full
                    else "unpack it yourself",
                ) from None
        plain.seek(0)
        return io.BufferedReader(plain)

    def _copy(self, read: compression.Read, plain: io.FileIO) -> None:
        size = 0
        while piece := read(_CHUNK):
            size += len(piece)
            if size > MAX_UNPACKED:
                raise self._wrong(f"has more than {MAX_UNPACKED} bytes")
            files.write_all(plain.fileno(), piece)

    def _index(self) -> tuple[dict[str, _ArchiveMember], dict[str, str]]:
        """Where each file of the archive stands, and where each link leads."""
        members: dict[str, _ArchiveMember] = {}
        links: dict[str, str] = {}
        reader = tar.TarReader(self._file.read, self._name.path, lambda size: self._file.seek(size, os.SEEK_CUR))
        for number, entry in enumerate(reader, 1):
            if number > MAX_ENTRIES:
                raise self._wrong(f"has more than {MAX_ENTRIES} entries")
            name = posixpath.normpath(entry.name.decode("utf-8", "replace"))
            if entry.size > MAX_UNPACKED:
                raise self._wrong(f"has a file of {entry.size} bytes")
            if entry.kind == tar.FILE:
                members[name] = _ArchiveMember(self._file.tell(), entry.size)
            elif entry.kind in (tar.LINK, tar.HARD_LINK):
                target = entry.target.decode("utf-8", "replace")
                base = posixpath.dirname(name) if entry.kind == tar.LINK else ""
                links[name] = posixpath.normpath(posixpath.join(base, target))
        return members, links

    def _choose(self) -> dict[str, Any]:
        """The entry of ``manifest.json`` that the name stands for."""
        try:
            found = jsontext.parse(self._bytes("manifest.json", media.MAX_MANIFEST), "manifest.json")
        except LaunchError:
            found = None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self._wrong("manifest.json is not a list of images")
        tags = {id(item): self._tags(item) for item in found}
        wanted = self._name.inner
        named = [item for item in found if not wanted or wanted in tags[id(item)]]
        if len(named) == 1:
            image: dict[str, Any] = named[0]
            return image
        shown = ", ".join(sorted({tag for known in tags.values() for tag in known})[:12]) or "no names"
        problem = "has several images" if named else f"has no image {wanted}"
        hint = f"it has {shown}: write {quoted(f'docker-archive:{self._name.path}:NAME')}"
        raise ImageError(problem, origin=self._name.path, hint=hint)

    def _tags(self, image: dict[str, Any]) -> list[str]:
        said = image.get("RepoTags")
        found = []
        for tag in said if isinstance(said, list) else ():
            try:
                found.append(str(parse_docker(str(tag))))
            except HardeningError:  # nothing can be asked for by such a name
                continue
        return found

    def _find_layers(self) -> list[tuple[str, _ArchiveMember]]:
        names = self._image.get("Layers")
        digests = media.diff_ids(media.read_config(self._config, self._name.path), self._name.path)
        if not isinstance(names, list) or len(names) != len(digests) or len(names) > media.MAX_LAYERS:
            raise self._wrong("does not have the layers that its configuration names")
        return [(digest, self._member(self._text(name))) for digest, name in zip(digests, names, strict=True)]

    def _member(self, name: str) -> _ArchiveMember:
        here = posixpath.normpath(name)
        for _ in range(_MAX_LINKS):
            if here in self._members:
                return self._members[here]
            if here not in self._links:
                break
            here = self._links[here]
        raise self._wrong(f"has no file {name[:100]}")

    def _bytes(self, name: str, most: int) -> bytes:
        member = self._member(name)
        if member.size > most:
            raise self._wrong(f"has a file {name} of {member.size} bytes")
        self._file.seek(member.offset)
        return self._file.read(member.size)

    def _text(self, value: object) -> str:
        if not isinstance(value, str):
            raise self._wrong("manifest.json is malformed")
        return value

    def _wrong(self, problem: str) -> ImageError:
        return ImageError(problem, origin=self._name.path, hint=_HINT)
