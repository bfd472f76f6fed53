"""The names of images: what is typed -> where it lies, in one spelling.

A *name* is a transport and what that transport calls an image. ``docker://`` names are docker references: a registry's
host, a repository, and a tag or a digest. They may be typed without the transport and shortened, and are spelt out as
docker and podman do: ``busybox`` is ``docker.io/library/busybox:latest``. The grammar is that of the distribution
project's ``reference`` package and of containers-transports(5). Nothing here but `resolved` looks at a file.
"""

from __future__ import annotations

import os
import re

import attrs

from hardening.base.digest import DIGESTS, is_digest
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import UsageError, quoted

DOCKER, OCI, DIRECTORY, ARCHIVE = "docker", "oci", "dir", "docker-archive"
TRANSPORTS = (DOCKER, OCI, DIRECTORY, ARCHIVE)

DEFAULT_HOST = "docker.io"
OFFICIAL = "library"
DEFAULT_TAG = "latest"
MAX_NAME = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"

#: Transports of others, and what to do instead.
_ELSEWHERE = {
    "atomic": "name it in its registry: docker://HOST/NAMESPACE/STREAM:TAG",
    "containers-storage": "`podman image save --format oci-dir -o DIR IMAGE` writes it where `oci:DIR` finds it",
    "docker-daemon": "`docker save -o FILE IMAGE` writes it where `docker-archive:FILE` finds it",
    "oci-archive": "unpack it with tar(1) into a directory of its own, and name that: oci:DIR",
    "ostree": "copy it with skopeo into a directory: oci:DIR",
    "sif": "copy it with skopeo into a directory: oci:DIR",
    "tarball": "unpack it into a directory, and run that: --rootfs DIR",
    "http": "leave the scheme out: HOST/REPOSITORY:TAG; `--tls-verify=false` permits plain HTTP",
    "https": "leave the scheme out: HOST/REPOSITORY:TAG",
}


@frozen(order=True)
class Reference:
    """A docker reference, spelt out. ``host`` may have a port; ``path`` is the repository without the host; at least one
    of ``tag`` and ``digest`` (``sha256:…``) is not empty. With both, the digest says what it is and the tag is a word."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Host and path: ``docker.io/library/busybox``."""
        return f"{self.host}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


@frozen(order=True)
class Name:
    """Where an image lies. ``docker`` is its reference where the transport is ``docker``; otherwise ``path`` is an absolute
    path, and ``inner`` what tells several images there apart: a tag of an OCI layout, a reference of a docker archive."""

    transport: str
    docker: Reference | None = None
    path: str = ""
    inner: str = ""

    @property
    def full(self) -> str:
        """The spelling with its transport, as podman and skopeo name images in messages."""
        return f"{DOCKER}://{self.docker}" if self.docker is not None else str(self)

    def __str__(self) -> str:
        """The spelling that `parse` reads back, without ``docker://`` where nothing else could be meant."""
        if self.docker is not None:
            text = str(self.docker)
            return f"{DOCKER}://{text}" if text.partition(":")[0] in (*TRANSPORTS, *_ELSEWHERE) else text
        return f"{self.transport}:{self.path}" + (f":{self.inner}" if self.inner else "")


def resolved(name: Name) -> Name:
    """The name with the links on the way to its path followed: what is there is kept, and judged, by where it comes from,
    and not by where a link leads later. Raises `UsageError` for a place that no name could be read back for."""
    if not name.path:
        return name
    try:
        path = os.path.realpath(name.path)
    except PermissionError:  # before Python 3.13, at a link that cannot be read
        return name
    if ":" in path and name.transport != DIRECTORY:
        raise UsageError(
            f"{name} is a link to {path}, and a path of {name.transport} ends at its first colon",
            hint="move or rename it",
        )
    return attrs.evolve(name, path=path)


def parse(text: str) -> Name:
    """The name that somebody typed. Raises `UsageError`. A relative path is taken from the working directory."""
    if not text or text != text.strip() or "\0" in text:
        raise UsageError(
            f'"{text}" does not name an image', hint="write HOST/REPOSITORY:TAG, such as docker.io/library/busybox"
        )
    transport, colon, rest = text.partition(":")
    if colon and transport == DOCKER:
        if not rest.startswith("//"):
            raise UsageError(f"{text}: `//` is missing", hint=f"write {quoted(f'{DOCKER}://{rest}')}")
        return Name(DOCKER, parse_docker(rest[2:]))
    if colon and transport in (OCI, ARCHIVE):
        path, _, inner = rest.partition(":")
        return Name(transport, path=_path(text, path), inner=_inner(text, transport, inner))
    if colon and transport == DIRECTORY:
        return Name(transport, path=_path(text, rest))
    if colon and transport in _ELSEWHERE and not _is_host(rest):
        raise UsageError(f"{text}: unsupported transport {transport}", hint=_ELSEWHERE[transport])
    if "://" in text:
        hint = nearest(transport, TRANSPORTS) or f"there are {', '.join(TRANSPORTS)}"
        raise UsageError(f'{text}: unknown transport "{transport}"', hint=hint)
    return Name(DOCKER, parse_docker(text))


def parse_docker(text: str) -> Reference:
    """A docker reference, shortened or not. Raises `UsageError`."""
    named, at, digest = text.partition("@")
    if at:
        require_digest(digest, text)
    slash = named.rfind("/")
    colon = named.find(":", slash + 1)
    name, tag = (named[:colon], named[colon + 1 :]) if colon >= 0 else (named, "")
    if colon >= 0 and not re.fullmatch(_TAG, tag):
        hint = (
            "a tag has letters, digits, `_`, `.` and `-`, begins with none of the last two, and has at most 128 of them"
        )
        raise UsageError(f'{text}: invalid tag "{tag}"', hint=hint)
    if len(name) == DIGESTS["sha256"] and all(letter in "0123456789abcdef" for letter in name):
        raise UsageError(
            f"{text}: an image's id names no repository",
            hint=f"write REPOSITORY@sha256:{name}, with the digest of a manifest",
        )
    host, path = _split(name)
    _require_host(host, text)
    _require_path(path, text)
    found = Reference(host, path, tag or ("" if digest else DEFAULT_TAG), digest)
    letters = len(found.repository)
    if letters > MAX_NAME:
        raise UsageError(
            f"the name of the image has {letters} letters with its host",
            hint=f"host and repository have at most {MAX_NAME}",
        )
    return found


def is_tagged(text: str) -> bool:
    """Whether a docker reference is typed with a tag or a digest."""
    return "@" in text or ":" in text[text.rfind("/") + 1 :]


def is_prefix(text: str) -> bool:
    """Whether text is a host, or a host and a repository, without a tag: what repositories can begin with."""
    host, slash, path = text.partition("/")
    return bool(re.fullmatch(_HOST, host)) and (not slash or all(re.fullmatch(_PART, part) for part in path.split("/")))


def require_digest(text: str, origin: object | None = None) -> str:
    """The digest ``text``. Raises `UsageError` for what is none."""
    if is_digest(text):
        return text
    algorithm, _, digits = text.partition(":")
    if algorithm in DIGESTS and re.fullmatch(r"[0-9a-fA-F]+", digits):
        wanted = DIGESTS[algorithm]
        wrong = f"it has {len(digits)} digits" if len(digits) != wanted else "it has capital letters"
        raise UsageError(
            f'invalid digest "{text}": {wrong}', origin=origin, hint=f"{algorithm} has {wanted} digits of 0-9a-f"
        )
    hint = "write sha256: and 64 digits of 0-9a-f; `skopeo inspect` shows it"
    raise UsageError(f'invalid digest "{text}"', origin=origin, hint=hint)


def _split(name: str) -> tuple[str, str]:
    """Host and path: the first part is a host with a dot or a port, or as `localhost`, and of a repository in all other
    cases, as for podman and skopeo; docker takes one with a capital letter for a host."""
    first, slash, rest = name.partition("/")
    if not slash or (not re.search(r"[.:\[]", first) and first != "localhost"):
        host, path = DEFAULT_HOST, name
    else:
        host, path = ("docker.io" if first == "index.docker.io" else first), rest
    if host == DEFAULT_HOST and "/" not in path:
        path = f"{OFFICIAL}/{path}"
    return host, path


def _is_host(rest: str) -> bool:
    """Whether what follows a colon is a port and a repository: `http:5000/team/app`."""
    return re.match(r"[0-9]+/", rest) is not None


def _require_host(host: str, text: str) -> None:
    if re.fullmatch(_HOST, host):
        return
    raise UsageError(
        f'{text}: invalid host "{host}"', hint="a host has letters, digits, `-` and `.`, and a port after `:`"
    )


def _require_path(path: str, text: str) -> None:
    parts = path.split("/")
    wrong = next((part for part in parts if not re.fullmatch(_PART, part)), None)
    if wrong is None:
        return
    what = "it" if wrong == text else f'"{wrong}"'
    if re.fullmatch(_PART, wrong.lower()):
        raise UsageError(f"{text}: {what} has capital letters", hint=f"write it in lower case: {wrong.lower()}")
    if not wrong or path == f"{OFFICIAL}/":
        raise UsageError(f"{text}: a part of the repository is empty", hint="write HOST/REPOSITORY:TAG")
    hint = "a repository has small letters and digits, with `.`, `_`, `__` or `-` between them"
    raise UsageError(f"{text}: invalid part of a repository: {what}", hint=hint)


def _path(text: str, path: str) -> str:
    if not path:
        raise UsageError(f"{text}: the path is missing", hint=f"write {text.partition(':')[0]}:PATH")
    found = os.path.abspath(path)
    if found != found.rstrip():  # so that it could not be typed without the slash behind it
        raise UsageError(f"{text}: the path ends in white space", hint="rename it")
    return found


def _inner(text: str, transport: str, inner: str) -> str:
    """What follows the path: a name in an OCI layout as it stands there, a docker reference spelt out."""
    if not inner or transport == OCI:
        return inner
    named = parse_docker(inner)
    if named.digest:
        raise UsageError(f"{text}: an archive has no digests", hint=f"name a tag: {named.repository}:{DEFAULT_TAG}")
    return str(named)
