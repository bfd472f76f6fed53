"""Images for tests: layers of a few entries, as OCI layouts."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import zstandard

from hardening.images import media
from hardening.images.store import ImageStore

BUSYBOX = Path("/usr/bin/busybox")
SHELL = ("sh", "cat", "id", "ls", "echo", "env", "pwd", "sleep", "true")


def opened(path: Path) -> ImageStore:
    """The store at a path, made if it is missing."""
    store = ImageStore.at(path)
    store.make()
    return store


def entry(
    name: str, content: bytes | None = None, *, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644,
    uid: int = 0, gid: int = 0, pax: Mapping[str, str] | None = None, device: tuple[int, int] = (0, 0),
) -> tuple[tarfile.TarInfo, bytes]:  # fmt: skip
    """One entry of an archive: a file with ``content``, or what ``kind`` says."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.gid = kind, target, mode, uid, gid
    info.size = len(content or b"")
    info.mtime = 1_000_000_000
    info.devmajor, info.devminor = device
    info.pax_headers = dict(pax or {})
    return info, content or b""


def folder(name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    """A directory."""
    return entry(name, kind=tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)


def link(name: str, target: str, *, hard: bool = False) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic or a hard link."""
    return entry(name, kind=tarfile.LNKTYPE if hard else tarfile.SYMTYPE, target=target, mode=0o777)


def archive(entries: Iterable[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of entries."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


@cache
def shell(applets: tuple[str, ...] = SHELL) -> bytes:
    """A layer with busybox, a few of its names, and a user."""
    passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
    return archive(
        [
            folder("bin"),
            entry("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
            *(link(f"bin/{name}", "busybox") for name in applets),
            folder("etc"),
            entry("etc/passwd", passwd),
        ]
    )


@lru_cache(maxsize=32)
def packed(plain: bytes, how: str) -> tuple[bytes, str]:
    """A layer's blob and its media type: ``gzip``, ``zstd`` or plain."""
    if how == "gzip":
        return gzip.compress(plain, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"
    if how == "zstd":
        return zstandard.compress(plain), "application/vnd.oci.image.layer.v1.tar+zstd"
    return plain, "application/vnd.oci.image.layer.v1.tar"


def layout(
    place: Path, layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, tag: str = "v1", how: str = "gzip",
    platforms: Sequence[media.Platform] = (),
) -> str:  # fmt: skip
    """Write an OCI layout with one image, or with an index of one for each platform: the digest of its manifest, that of the
    first one in an index."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    manifests = [_image(place, layers, config or {}, how, platform) for platform in platforms or [media.own_platform()]]
    top = manifests[0]
    if platforms:
        top = _put(
            place, _json({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": manifests}), media.OCI_INDEX
        )
    named = {**top, "annotations": {"org.opencontainers.image.ref.name": tag}}
    named.pop("platform", None)
    (place / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [named]}))
    return str(manifests[0]["digest"])


def _image(
    place: Path, layers: Sequence[bytes], config: Mapping[str, Any], how: str, platform: media.Platform
) -> dict[str, Any]:
    blobs = [_put(place, *packed(layer, how)) for layer in layers]
    whole = {
        "architecture": platform.architecture,
        "os": platform.system,
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [media.digest_of(layer) for layer in layers]},
    }
    described = _put(place, _json(whole), media.OCI_CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": described, "layers": blobs}
    entry = _put(place, _json(manifest), media.OCI_MANIFEST)
    words = {"os": platform.system, "architecture": platform.architecture, "variant": platform.variant}
    return {**entry, "platform": {key: word for key, word in words.items() if word}}


def _put(place: Path, data: bytes, kind: str) -> dict[str, Any]:
    digest = media.digest_of(data)
    path = place / "blobs" / "sha256" / digest.partition(":")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _json(data: object) -> bytes:
    return json.dumps(data).encode()
