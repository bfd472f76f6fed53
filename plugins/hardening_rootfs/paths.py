"""Paths in profiles, and paths inside a root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

import attrs

from hardening.base import links, state
from hardening.base.files import is_below
from hardening.base.linux import resolution
from hardening.base.linux.resolution import PathResolution
from hardening.base.values import frozen
from hardening.errors import ProfileError
from hardening.mechanism.kinds import Kind
from hardening.profile.source import Node, Origin

#: Destinations that the mechanism itself fills.
RESERVED = ("/", "/proc", "/sys", "/dev")


def holds(directory: str, path: str) -> bool:
    """Whether a path is a directory, or lies in it."""
    return path == directory or is_below(path, directory)


def above(path: str) -> list[str]:
    """The directories above a path, the nearest first."""
    parts = path.strip("/").split("/")
    return ["/" + "/".join(parts[:end]) for end in range(len(parts) - 1, -1, -1)] if path != "/" else []


def deepest(places: Iterable[str], path: str) -> str | None:
    """The deepest place that a path is or lies in."""
    return max((place for place in places if holds(place, path)), key=len, default=None)


def host_path(text: str, node: Node) -> str:
    """A path on the host as an absolute one: placeholders are filled in, ``~`` is the caller's home, and a relative path
    starts at the folder of the profile that says it (on the command line, at the current folder)."""
    if not text:
        raise node.error("the path is empty", hint='name a path, such as "/srv/data"')
    filled = node.filled(text)
    expanded = state.expanded(filled) if text.startswith("~") else filled
    if expanded.startswith("~"):
        raise node.error(f'no home directory is known for "{text}"', hint="write the whole path")
    return os.path.abspath(node.document.reached(expanded))


def destination(text: str, node: Node) -> str:
    """A place in the container for a mount: absolute, normalised, not one that the mechanism fills itself."""
    path = inside(text, node)
    if path in RESERVED or path.startswith(("/proc/", "/sys/")):
        hint = node.origin.elsewhere or "the mechanism mounts /proc, /sys, /dev and the root itself"
        raise node.error(f"{path} cannot be a mount's destination", hint=hint)
    return path


def inside(text: str, node: Node) -> str:
    """A path in the container, absolute and normalised, with its placeholders filled in."""
    text = node.filled(text)
    if not text.startswith("/"):
        raise node.error(f'"{text}" is not an absolute path', hint="paths in the container begin with /")
    if ".." in text.split("/"):
        raise node.error(f'"{text}" has a .. in it', hint="write the path without detours")
    return "/" + os.path.normpath(text).lstrip("/")


def real_path(path: str) -> str:
    """`os.path.realpath`, which before Python 3.13 raises where a link cannot be read, such as /proc/1/root: the path up
    to there stands as it is."""
    try:
        return os.path.realpath(path)
    except PermissionError:
        return os.path.abspath(path)


def followed(path: str, origin: Origin | None = None) -> str:
    """`real_path` of what is to be shown: what it leads to now is judged and written down, so that no link may be on the
    way that a container can have laid. Raises `ProfileError` for a link that is neither root's nor the caller's, and where
    the name of the place leads elsewhere (a magic link of proc(5), or one that was laid this moment)."""
    try:
        place = links.find(path)
    except links.ForeignLinkError as error:
        raise ProfileError(f"{path} cannot be shown: {error.strerror}", origin=origin, hint=links.HINT) from error
    except OSError:
        return real_path(path)  # the launch says what is wrong with it
    try:
        real = real_path(path)
        if os.path.samestat(os.stat(real), os.fstat(place)):
            return real
    except OSError:
        pass  # it is no name of the place
    finally:
        os.close(place)
    raise ProfileError(f"{path} leads to a path with another name than {real}", origin=origin, hint=links.HINT)


def is_host_root(path: str) -> bool:
    """Whether a path leads to the host's own root under whatever name: ``//``, ``/proc/self/root``, a symbolic link, a
    bind mount of it. False where nothing can be found there."""
    try:
        return os.path.samestat(os.stat(path), os.stat("/")) or os.path.realpath(path, strict=True) == "/"
    except OSError:
        return False


@frozen
class RootPath:
    """A root directory and where it was said; two roots of one path are equal. The host's own root is always ``/``."""

    path: str
    origin: Origin | None = attrs.field(default=None, eq=False)

    def __str__(self) -> str:
        return self.path

    @property
    def is_host(self) -> bool:
        """Whether this is the host's own root."""
        return self.path == "/"


@frozen(eq=False)
class RootKind(Kind[RootPath]):
    """The root directory: equal or incomparable. Neither the host's files nor those of any directory are a part of the
    others' in a way that a reviewer of one could vouch for the other."""

    identity = True

    def parse(self, node: Node) -> RootPath:
        path = host_path(node.string(), node)
        return RootPath("/" if is_host_root(path) else path, node.origin)

    def is_no_looser_than(self, a: RootPath, b: RootPath) -> bool:
        return a == b

    def intersect(self, a: RootPath, b: RootPath) -> RootPath | None:
        return a if a == b else None

    def grammar(self) -> str:
        return 'path of a directory; `"/"` is the host\'s root'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": "string"}

    def samples(self) -> Sequence[RootPath]:
        return (RootPath("/"), RootPath("/srv/a"), RootPath("/srv/a/b"))

    def dump(self, value: RootPath) -> object:
        return value.path


def resolve(root: str, path: str) -> PathResolution:
    """Where ``path`` leads inside ``root``; raises `ProfileError` where it leads nowhere, as in a circle of links."""
    found = resolution.resolve(path, root)
    if found.problem:
        raise ProfileError(found.problem, origin=path)
    return found


def on_host(root: str, path: str) -> str:
    """The host's name of a path in a root."""
    return os.path.join(root, path.lstrip("/")) if path != "/" else root
