"""What becomes of a path inside: whether the command sees it, can read, write and execute it, and which setting says so."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from errno import EACCES, EOVERFLOW, EPERM, EROFS

from hardening.mechanism import outside
from hardening.mechanism.denial import EXECUTE, MISSING, READ, WRITE, Caller, PathAccess, PathAnswer, Size, Way
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import READ_ONLY_RIGHTS, USUAL_RIGHTS
from hardening_rootfs import hidden
from hardening_rootfs.devices import is_shared
from hardening_rootfs.foreign_binds import USUAL
from hardening_rootfs.owners import withheld
from hardening_rootfs.paths import deepest, holds
from hardening_rootfs.remedies import mapped, to_write, volume_here, with_right
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.shown import Place, covering, masking, mounted_with, place_of, shown, source_of_hidden, there

_BY_RIGHTS = "yes, by the rights of its files"
#: What every `/dev` has (config-linux.md, "Default Devices").
_DEVICES = (*USUAL, "/dev/console", "/dev/ptmx")


def of_path(
    settings: RootfsSettings, context: Context, path: str, caller: Caller | None = None
) -> Iterator[PathAnswer]:
    """What a process, the command as it starts where none is given, asks of an absolute path, with what decides it and what
    would permit it."""
    place = place_of(settings, context, path)
    gone = shown(context).hiding(place.path)
    if gone is not None:
        yield _hidden(settings, context, place.path, gone)
        return
    lacking = _lacking(settings, place)
    if lacking is not None:
        yield lacking
        return
    yield _seen(settings, context, place)
    if place.mounted == "/dev":
        return  # each device has rights of its own
    missing = bool(place.source) and not there(place.source)
    if not missing:
        yield _by_rights(settings, context, place, PathAccess.READABLE, READ)
    yield _writable(settings, context, place, caller or outside.command(context))
    if not missing or place.lacks("exec"):
        yield _executable(settings, context, place)


def _hidden(settings: RootfsSettings, context: Context, path: str, gone: str) -> PathAnswer:
    """The answer for what is masked or hidden, as missing files are answered for: of what the host has not either, only who
    would make it is denied that by the mask, which is read-only."""
    decides, source = masking(settings, context, gone), source_of_hidden(settings, context, path, gone)
    is_there = source is None or there(source)
    size = Size.CALL if decides.endswith(f".{path}") else Size.WIDER
    ways = (*volume_here(settings, context, path), Way(decides, None, size))
    errors = (*MISSING, EACCES, EROFS) if is_there else (EROFS,)
    why = f"{gone} is empty here" if is_there else f"{gone} is empty here, and {source} is not there on the host either"
    return PathAnswer(PathAccess.SEEN, decides, denied=why, ways=ways, errors=errors)


def is_emptied(settings: RootfsSettings, context: Context, path: str) -> bool:
    """Whether a path is hidden of which whoever launches the command could read what is in its place on the host."""
    place = place_of(settings, context, path)
    gone = shown(context).hiding(place.path)
    source = None if gone is None else source_of_hidden(settings, context, place.path, gone)
    return gone is not None and (source is None or os.access(source, os.R_OK))


def _seen(settings: RootfsSettings, context: Context, place: Place) -> PathAnswer:
    own = place.mounted or next((top for top in hidden.VOLATILE if holds(top, place.path)), "/")
    if place.source:
        if not there(place.source):
            return PathAnswer(PathAccess.SEEN, place.leaf, denied=f"{place.source} is not there on the host")
        return PathAnswer(PathAccess.SEEN, place.leaf, f"as {place.source} of the host")
    begins_empty = place.leaf.startswith("rootfs.tmpfs.") or not place.kind
    if begins_empty and settings.path.is_host and place.path != own and there(place.path):
        ways = volume_here(settings, context, place.path)
        why = f"{own} begins empty here, without the host's {place.path}"
        return PathAnswer(PathAccess.SEEN, place.leaf, denied=why, ways=ways, errors=MISSING)
    what = f"in the {place.kind} at {own}" if place.kind else "an empty directory of its own"
    return PathAnswer(PathAccess.SEEN, place.leaf, what)


def _by_rights(settings: RootfsSettings, context: Context, place: Place, asked: PathAccess, right: int) -> PathAnswer:
    found = withheld(place.source, place.top, right, context, idmap=place.idmap) if place.source else None
    if found is None:
        return PathAnswer(asked, place.leaf, _BY_RIGHTS)
    ways = mapped(settings, context, place, found.path, READ_ONLY_RIGHTS) if found.unmapped else ()
    return PathAnswer(asked, place.leaf, denied=found.reason, ways=ways, errors=(EACCES,) if found.unmapped else ())


def _writable(settings: RootfsSettings, context: Context, place: Place, caller: Caller) -> PathAnswer:
    found = withheld(place.existing, place.top, WRITE, context, idmap=place.idmap) if place.source else None
    # The kernel looks at the mode before it looks at the mount.
    by_map = found is not None and found.unmapped and outside.is_own_root(context, caller)
    errors = (EROFS, EACCES) if by_map else (EROFS,)
    read_only = deepest(shown(context).read_only, place.path)
    if read_only is not None and (place.mounted is None or holds(place.mounted, read_only)):
        member = covering(settings, context.host, "read_only_paths", read_only) or read_only
        leaf = f"rootfs.read_only_paths.{member}"
        way = Way(leaf, None, Size.CALL if member == place.path else Size.WIDER)
        return PathAnswer(PathAccess.WRITABLE, leaf, denied=f"{read_only} is read-only", ways=(way,), errors=errors)
    if place.lacks("rw"):
        leaf = "rootfs.read_only" if place.leaf == "rootfs.path" else place.leaf
        ways = to_write(settings, context, place, leaf)
        return PathAnswer(PathAccess.WRITABLE, leaf, denied="mounted read-only", ways=ways, errors=errors)
    if found is not None and found.unmapped:
        ways = mapped(settings, context, place, found.path, USUAL_RIGHTS)
        return PathAnswer(
            PathAccess.WRITABLE, place.leaf, denied=found.reason, ways=ways, errors=(EACCES, EPERM, EOVERFLOW)
        )
    if mounted_with(place) & os.ST_RDONLY:
        return PathAnswer(PathAccess.WRITABLE, place.leaf, denied="read-only on the host")
    if found is not None:
        return PathAnswer(PathAccess.WRITABLE, place.leaf, denied=found.reason)
    return PathAnswer(PathAccess.WRITABLE, place.leaf, _BY_RIGHTS)


def _executable(settings: RootfsSettings, context: Context, place: Place) -> PathAnswer:
    if place.lacks("exec"):
        ways = with_right(settings, place, "exec")
        return PathAnswer(PathAccess.EXECUTABLE, place.leaf, denied="mounted noexec", ways=ways, errors=(EACCES, EPERM))
    if mounted_with(place) & os.ST_NOEXEC:
        return PathAnswer(PathAccess.EXECUTABLE, place.leaf, denied="noexec on the host")
    return _by_rights(settings, context, place, PathAccess.EXECUTABLE, EXECUTE)


def _lacking(settings: RootfsSettings, place: Place) -> PathAnswer | None:
    """The answer for what a container has not of what the kernel shows of itself; None for all else."""
    path, mounted = place.path, place.mounted
    name = path.split("/")[2] if path.count("/") > 1 else ""
    if settings.sys == "none" and holds("/sys", path) and mounted in (None, "/sys"):
        return _absent(path, "there is no /sys", Way("rootfs.sys", size=Size.WIDER))
    processes = name.isdecimal() or name in ("", "self", "thread-self")
    if mounted == "/proc" and settings.subset == "pid" and not processes:
        return _absent(path, "/proc shows processes alone", Way("rootfs.proc.subset", size=Size.WIDER))
    if not settings.shm_size and holds("/dev/shm", path) and mounted == "/dev":  # noqa: S108
        way = Way("rootfs.shm_size", None)
        return PathAnswer(PathAccess.SEEN, way.leaf, denied="there is no /dev/shm", ways=(way,), errors=MISSING)
    try:
        mode = os.lstat(path).st_mode if mounted == "/dev" and path not in _DEVICES else 0
    except OSError:
        mode = 0
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        way = Way(f"rootfs.devices.{path}", reaches_host=is_shared(path))
        return _absent(path, f"{path} is not among its devices", way)
    return None


def _absent(path: str, why: str, way: Way) -> PathAnswer:
    """The answer for what there is not; what the host has not either, nobody is denied."""
    return PathAnswer(PathAccess.SEEN, way.leaf, denied=why, ways=(way,), errors=MISSING if there(path) else ())
