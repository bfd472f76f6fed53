"""Manifests, indexes and configurations of images: what an OCI image and a docker one (schema 2) say, checked before
anything of it is believed (OCI image spec; distribution spec)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from hardening.base import jsontext
from hardening.base.digest import is_digest, sha256
from hardening.base.pointer import lookup
from hardening.base.values import frozen
from hardening.errors import ImageError, LaunchError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
ACCEPTED = (*MANIFESTS, *INDEXES)
_CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
_LAYER = re.compile(
    r"application/vnd\.oci\.image\.layer(?:\.nondistributable)?\.v1\.tar(?:\+gzip|\+zstd)?"
    r"|application/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.gzip|\.zstd)?"
)

MAX_MANIFEST = 4 << 20  # bytes, of a manifest, an index or a configuration
MAX_LAYERS = 512
MAX_BLOB = 64 << 30  # bytes, of one compressed layer

#: uname(2)'s machine -> the names of Go (GOARCH), and the variant where there is one.
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
}


@frozen
class Descriptor:
    """What a manifest says of a blob. ``size`` is in bytes."""

    digest: str
    size: int
    media_type: str = ""


@frozen
class Manifest:
    """One image: its configuration and its layers, the lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All that it names, each once."""
        return tuple(dict.fromkeys((self.config, *self.layers)))


@frozen
class Platform:
    """What an index tells images apart by."""

    system: str
    architecture: str
    variant: str = ""

    def fits(self, machine: Platform) -> bool:
        """Whether a machine can run what is for this platform."""
        same = (self.system, self.architecture) == (machine.system, machine.architecture)
        return same and (not self.variant or not machine.variant or self.variant == machine.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.system, self.architecture, self.variant) if part)


def own_platform() -> Platform:
    """That of this machine."""
    machine = os.uname().machine
    return Platform("linux", *_MACHINES.get(machine, (machine, "")))


def digest_of(data: bytes, like: str = "sha256:") -> str:
    """The digest of bytes, by the algorithm of another digest."""
    if like.startswith("sha512:"):
        import hashlib

        return f"sha512:{hashlib.sha512(data).hexdigest()}"
    return f"sha256:{sha256(data)}"


def parse(data: bytes, origin: object) -> dict[str, Any]:
    """A JSON object of at most `MAX_MANIFEST` bytes; a key that is given twice in one is refused, for programs do not agree
    which counts. Raises `ImageError`."""
    if len(data) > MAX_MANIFEST:
        raise ImageError(f"is larger than {MAX_MANIFEST} bytes", origin=origin, hint="this is not an image manifest")
    try:
        document = jsontext.parse(data, str(origin))
    except LaunchError as error:
        raise _wrong(error.origin, error.message) from None
    if not isinstance(document, dict):
        raise _wrong(origin, "is not a JSON object")
    return document


def media_type(document: Mapping[str, Any], said: str = "") -> str:
    """The media type of a manifest: what it says itself, else what came with it, else what it looks like."""
    own = document.get("mediaType")
    if isinstance(own, str) and own:
        return own
    if said in ACCEPTED:
        return said
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST


def read_manifest(data: bytes, origin: object, said: str = "") -> Manifest:
    """The manifest of one image. Raises `ImageError` for what is none, or is none that can be run."""
    document = parse(data, origin)
    kind = media_type(document, said)
    if document.get("schemaVersion") != 2 or kind not in MANIFESTS:
        if document.get("schemaVersion") == 1:
            raise _wrong(origin, "is a manifest of docker's first version", "push the image again with a newer program")
        raise _wrong(origin, f"is not an image manifest: its media type is {kind[:80]}")
    if "manifests" in document:
        raise _wrong(origin, "is a manifest and an index at once")
    config = descriptor(document.get("config"), f"{origin}: config", MAX_MANIFEST)
    if config.media_type not in _CONFIGS:
        raise _wrong(origin, f"is not a runnable image: its configuration has the media type {config.media_type[:80]}")
    layers = document.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise _wrong(origin, f"has no list of layers, or more than {MAX_LAYERS}")
    found = tuple(descriptor(layer, f"{origin}: layers[{number}]", MAX_BLOB) for number, layer in enumerate(layers))
    for number, layer in enumerate(found):
        if not _LAYER.fullmatch(layer.media_type):
            raise _wrong(f"{origin}: layers[{number}]", f"unsupported media type: {layer.media_type[:80]}")
    return Manifest(config, found)


def instances(data: bytes, origin: object) -> list[tuple[Descriptor, Platform | None]] | None:
    """The images of an index, each with its platform where it says one; None for the manifest of one image. Raises
    `ImageError`."""
    document = parse(data, origin)
    if media_type(document) not in INDEXES and "manifests" not in document:
        return None
    if "layers" in document:
        raise _wrong(origin, "is a manifest and an index at once")
    entries = document.get("manifests")
    if document.get("schemaVersion") != 2 or not isinstance(entries, list):
        raise _wrong(origin, "is an index without a list of manifests")
    found = [
        (descriptor(entry, f"{origin}: manifests[{number}]", MAX_MANIFEST), _platform(entry))
        for number, entry in enumerate(entries)
    ]
    return [(inner, where) for inner, where in found if inner.media_type in MANIFESTS]


def choose(data: bytes, origin: object, platform: Platform) -> Descriptor | None:
    """The image of an index for a platform; None for the manifest of one image. Raises `ImageError` where there is none."""
    found = instances(data, origin)
    if found is None:
        return None
    fitting = [
        (0 if where is not None and where.variant == platform.variant else 1, inner)
        for inner, where in found
        if where is None or where.fits(platform)
    ]
    if not fitting:
        shown = ", ".join(sorted({str(where) for _, where in found})[:12]) or "no image at all"
        raise ImageError(f"has no image for {platform}", origin=origin, hint=f"it has {shown}")
    return min(fitting, key=lambda item: item[0])[1]


def read_config(data: bytes, origin: object) -> dict[str, Any]:
    """The configuration of an image, with ``config`` and ``rootfs.diff_ids`` of the types that they must have. Raises
    `ImageError`."""
    document = parse(data, origin)
    inner = document.get("config")
    if inner is None:
        document["config"] = {}
    elif not isinstance(inner, dict):
        raise _wrong(origin, "`config` is not an object")
    for key, value in document["config"].items():
        try:
            json.dumps({key: value}, ensure_ascii=False).encode()
        except UnicodeEncodeError:  # JSON can spell half of a character, which no text holds
            raise _wrong(origin, f"has a malformed {key.encode('ascii', 'backslashreplace').decode()[:40]}") from None
    diff_ids(document, origin)
    return document


def diff_ids(config: Mapping[str, Any], origin: object) -> tuple[str, ...]:
    """The digests of the layers once unpacked, the lowest first. Raises `ImageError`."""
    found = lookup(config, "/rootfs/diff_ids")
    if not isinstance(found, list) or not all(isinstance(item, str) and is_digest(item) for item in found):
        raise _wrong(origin, "has no digests of its layers (rootfs.diff_ids)")
    return tuple(found)


def require_platform(config: Mapping[str, Any], origin: object, platform: Platform) -> None:
    """Raise `ImageError` for an image of another system or architecture: its programs could not be executed."""
    system, architecture = config.get("os"), config.get("architecture")
    if (system, architecture) != (platform.system, platform.architecture):
        raise ImageError(
            f"is for {system}/{architecture}, and this machine is {platform}",
            origin=origin,
            hint="pull an image that was built for this machine",
        )


def _platform(entry: Mapping[str, Any]) -> Platform | None:
    said = entry.get("platform")
    if not isinstance(said, dict):
        return None
    words = [str(said.get(key) or "")[:40] for key in ("os", "architecture", "variant")]
    return Platform(*words)


def descriptor(entry: object, origin: str, most: int) -> Descriptor:
    """A descriptor as it stands in a manifest, of a blob of at most ``most`` bytes. Raises `ImageError`."""
    if not isinstance(entry, dict):
        raise _wrong(origin, "is not a descriptor")
    digest, size, kind = entry.get("digest"), entry.get("size"), entry.get("mediaType", "")
    if not isinstance(digest, str) or not is_digest(digest):
        raise _wrong(origin, "has no digest")
    if type(size) is not int or not 0 <= size <= most:
        raise _wrong(origin, f"invalid size: 0 to {most} bytes are expected")
    if not isinstance(kind, str):
        raise _wrong(origin, "the media type is not a string")
    return Descriptor(digest, size, kind)


def _wrong(origin: object, problem: str, hint: str = "pull it again, or report this to its author") -> ImageError:
    return ImageError(problem, origin=origin, hint=hint)
