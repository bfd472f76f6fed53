"""The other names of a path: where the file system that holds it is mounted once more (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from hardening.launch import mountinfo
from hardening.values import frozen
from hardening_rootfs.paths import is_below

#: The system's own files. A chroot in a hidden directory has them mounted as well, and a root may be deployed from one: they
#: are no secret for that.
_SYSTEM = ("/", "/boot", "/etc", "/opt", "/srv", "/usr", "/var", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OF_CHROOTS = (*(set(_SYSTEM) - {"/", "/opt", "/srv", "/var"}), "/dev", "/proc", "/run", "/sys", "/tmp")  # noqa: S108

_MAX_LINKS = 40  # path_resolution(7)


@frozen
class Mounted:
    """A mount: ``device`` is its file system (``major:minor``) of type ``kind``, ``top`` the directory of it that is seen
    at ``place``. ``layers`` are the directories that an overlay is made of, ``unknown`` a name of one that may be any
    directory."""

    device: str
    top: str
    place: str
    kind: str = ""
    layers: tuple[str, ...] = ()
    unknown: str = ""


def mounted() -> tuple[Mounted, ...]:
    """The mounts of the caller, in the order in which they were made."""
    found = mountinfo.read()
    return tuple(Mounted(it.device, it.top, it.place, it.kind, *_layers(it, found)) for it in found)


def _layers(mount: mountinfo.Mount, mounts: Iterable[mountinfo.Mount]) -> tuple[tuple[str, ...], str]:
    """The layers of an overlay by the options of its super block, in which a backslash stands before what is part of a name
    (Documentation/filesystems/overlayfs.rst), and the first that was told by a relative path. What that was relative to, the
    working directory of whoever mounted it, nobody tells: it may be any directory. What has its name above a mount of it, as
    in bundles and in podman's storage, or above the layers that have a whole name, as in containerd's, may well be it."""
    if mount.kind != "overlay":
        return (), ""
    found: list[str] = []
    for option in mount.data:  # a comma of a name is written as the mount point's blanks are
        key, _, value = option.partition("=")
        if key == "lowerdir":
            found += re.split(r"(?<!\\):+", mountinfo.plain(value))
        elif key in ("upperdir", "lowerdir+", "datadir+"):
            found.append(mountinfo.plain(value))
    told = [re.sub(r"\\(.)", r"\1", path) for path in found if path]
    layers = [path for path in told if path.startswith("/")]
    places = [other.place for other in mounts if other.device == mount.device]
    above = {str(top) for path in (*places, *layers) for top in Path(path).parents}
    relative = [path for path in told if not path.startswith("/")]
    layers += [place for path in relative for top in above if os.path.isdir(place := os.path.join(top, path))]
    return tuple(map(os.path.realpath, layers)), next(iter(relative), "")


def _merged(path: str, mounts: tuple[Mounted, ...]) -> set[str]:
    """The names of a path by overlays: in the layers of the one that it is seen through, and in those with it in a layer."""
    found: set[str] = set()
    through = over(path, mounts)
    for mount in mounts:
        for layer in mount.layers:
            if through is mount:
                found.add(_join(layer, _join(mount.top, os.path.relpath(path, mount.place)).lstrip("/")))
            elif holds(layer, path):
                inside = _join("/", os.path.relpath(path, layer))
                if holds(mount.top, inside):
                    found.add(_join(mount.place, os.path.relpath(inside, mount.top)))
    return {name for name in found if os.path.lexists(name)}


def names(path: str, mounts: Iterable[Mounted]) -> tuple[str, ...]:
    """A path that has no links in it, and its other names; only those that really lead to the same file."""
    mounts = tuple(mounts)
    own = over(path, mounts)
    if own is None:
        return (path,)
    inside = _join(own.top, os.path.relpath(path, own.place))
    others = {
        _join(m.place, os.path.relpath(inside, m.top))
        for m in mounts
        if m.device == own.device and holds(m.top, inside)
    }
    found = {other for other in others - {path} if _same(other, path)}
    return (path, *sorted((found | _merged(path, mounts)) - {path}))


def shown(path: str, mounts: Iterable[Mounted]) -> tuple[str, ...]:
    """Every place where a directory or file, or a part of it, is seen: under its names, where something in it is mounted
    once more, and where else lies what is mounted in it."""
    mounts = tuple(mounts)
    own = over(path, mounts)
    if own is None:
        return (path,)
    inside = _join(own.top, os.path.relpath(path, own.place))
    found = set(names(path, mounts))
    found |= {m.place for m in mounts if m.device == own.device and is_below(m.top, inside)} - set(_SYSTEM)
    found |= {m.place for m in mounts if m.unknown or any(is_below(layer, path) for layer in m.layers)} - set(_SYSTEM)
    for mount in mounts:
        if is_below(mount.place, path):
            others = {*names(mount.place, mounts)}
            others |= {m.place for m in mounts if m.device == mount.device and is_below(m.top, mount.top)}
            found |= {other for other in others - set(_SYSTEM) if not any(holds(top, other) for top in _OF_CHROOTS)}
    return tuple(sorted({path, *(place for place in found - {"/"} if not is_below(place, path))}))


def over(path: str, mounts: Iterable[Mounted]) -> Mounted | None:
    """The mount that a path without links is seen through: of several at one place, the last."""
    found: Mounted | None = None
    for mount in mounts:
        if holds(mount.place, path) and (found is None or len(mount.place) >= len(found.place)):
            found = mount
    return found


def holds(directory: str, path: str) -> bool:
    """Whether a path is a directory, or lies in it."""
    return path == directory or is_below(path, directory)


def links(path: str) -> Iterable[str]:
    """The symbolic links on the way of a path, each by a path whose directories are none: as many as the kernel follows."""
    pending = [part for part in reversed(path.split("/")) if part]
    here, left = "/", _MAX_LINKS
    while pending:
        part = pending.pop()
        if part in (".", ".."):
            here = os.path.dirname(here) if part == ".." else here
            continue
        there = os.path.join(here, part)
        if not os.path.islink(there):
            here = there
            continue
        yield there
        left -= 1
        if not left:
            return
        target = os.readlink(there)
        here = "/" if target.startswith("/") else here
        pending += [step for step in reversed(target.split("/")) if step]


def _join(directory: str, below: str) -> str:
    return os.path.normpath(os.path.join(directory, below))


def _same(one: str, other: str) -> bool:
    """Whether both names lead to one file. What the caller may not look at is taken to be: the command may see it."""
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except PermissionError:
        return True
    except OSError:
        return False
