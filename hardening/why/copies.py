"""Throw-away copies of what a command may write to on the host, which stand in for it while a command is only tried.

They lie in the directory of the launch, in the shape of an unpacked image, whose room knows how to remove what belongs to
ids that the caller has in a user namespace alone: so does whoever prunes launches that were killed. Nobody but the caller
can enter the directory that holds them: a volume may lie where others cannot, and its files keep their modes. The launcher
clones what it mounts before it takes other ids.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble.spec import to_json
from hardening.base import files, links, programs, units, wholefile
from hardening.base.files import Opened
from hardening.base.linux import abi, kernel, mountinfo
from hardening.base.pointer import lookup
from hardening.base.values import frozen
from hardening.errors import LaunchError
from hardening.images import removal
from hardening.images.ids import Ids
from hardening.images.unpacking import child
from hardening.launch.config import config
from hardening.launch.container.directory import COPIES
from hardening.mechanism.fragment import Spec

_ROOT = "/root/path"
#: Most that is copied for each run.
MOST_BYTES, MOST_FILES = 1 << 30, 100_000
#: What keeps, or hands to somebody, what is written to it, which a read-only mount does not prevent. Most character devices
#: do neither.
_LIVE = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a block device"}
#: Flags of a mount (statvfs(3)) that refuse something, by the option that has a copy refuse it, too.
_RESTRICTIONS = {"ro": os.ST_RDONLY, "nosuid": os.ST_NOSUID, "nodev": os.ST_NODEV, "noexec": os.ST_NOEXEC}
#: Attributes of a file (statx(2)) with which nobody writes to it as to any other, and which no copy has: it could not be
#: removed.
_ATTRIBUTES = {abi.STATX_ATTR_IMMUTABLE: "immutable", abi.STATX_ATTR_APPEND: "only appended to"}
#: Less room than this on a file system is told, since a copy has more; and the most that is told of what a copy has not.
_ROOM, _MOST_TOLD = 1 << 20, 3
_IN_PLACE = "with --in-place every run writes to the volumes themselves"
#: What cp(1) says where there is no room for a copy. All else that it says is of single files: it may not read or make
#: them, or somebody moves, changes or removes them meanwhile.
_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
#: Seconds that one of them may take.
_PATIENCE = 120.0
#: File systems in which the kernel shows itself, as to a command in the host's pid namespace: nothing is kept in them, and
#: some of their files are read for ever (/proc/kmsg).
_SHOWN = ("proc", "sysfs")


@frozen
class Writable:
    """Something of the host that a configuration lets its command write to: ``pointer`` names its place in that."""

    pointer: str
    source: str


@frozen
class Copied:
    """A configuration with copies in it, and in what they are ``unlike`` what they stand in for whatever the command does, a
    text each: then nothing is proved by a run with them."""

    spec: Spec
    unlike: tuple[str, ...] = ()


class NotCopied(LaunchError):
    """No copy stands in for something that a command may write to."""


def writable(document: Mapping[str, Any]) -> tuple[Writable, ...]:
    """The volumes of a configuration, and its root, that its command may write to. The host's own root is none, which is
    mounted part by part, and neither is what is `_SHOWN`."""
    shown = {mount.device for mount in mountinfo.read() if mount.kind in _SHOWN}
    return tuple(
        item
        for item in _bound(document)
        if _kind(item.source) in (stat.S_IFDIR, stat.S_IFREG)
        and mountinfo.device(os.stat(item.source).st_dev) not in shown
    )


def _bound(document: Mapping[str, Any]) -> Iterator[Writable]:
    root = str(lookup(document, _ROOT) or "")
    if os.path.isabs(root) and lookup(document, "/root/readonly") is not True:
        yield Writable(_ROOT, root)
    for mount in config.read(document).mounts:
        if mount.kind == "bind" and not (mount.add | mount.add_below) & abi.MOUNT_ATTR_RDONLY:
            yield Writable(f"{mount.pointer}/source", mount.source)


def _kind(path: str) -> int:
    """The type of a file as its mode has it, 0 where there is none to see."""
    try:
        return stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        return 0


def require_copies(document: Mapping[str, Any]) -> None:
    """Raise `NotCopied` where what the command may write to is `_LIVE`, or more than `MOST_BYTES` or `MOST_FILES`."""
    for mount in config.read(document).mounts:
        live = _LIVE.get(_kind(mount.source)) if mount.kind == "bind" else None
        if live is not None:
            raise NotCopied(
                f"{mount.source} is {live}: what the command sends there in each run arrives, and no copy stands in for it",
                origin=mount.source,
                hint=_IN_PLACE,
            )
    size = count = 0
    for item in _outermost(writable(document)):
        for _, status in _walk(item.source):
            size += status.st_blocks * 512
            count += 1
            if size > MOST_BYTES or count > MOST_FILES:
                most = f"{units.show_size(MOST_BYTES)} or {MOST_FILES} files"
                raise NotCopied(
                    f"the command may write to {item.source}, which is too much to be copied for each run: more than {most}",
                    origin=item.source,
                    hint=_IN_PLACE,
                )


def _walk(path: str) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [path]
    while waiting:
        place = waiting.pop()
        try:
            status = os.lstat(place)
            yield place, status
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(place) as entries:
                    waiting += [entry.path for entry in entries]
        except OSError:  # cp(1) cannot read it either
            continue


def difference(
    document: Mapping[str, Any], unlike: Collection[str] = (), *, succeeded: bool, always: bool = False
) -> str:
    """In what copies are unlike what they stand in for, where that may be why a command ``succeeded`` with them, or why it
    did not; empty where nothing is copied, or, but with ``always``, nothing like that is seen. ``unlike`` was seen of them
    (`Copied`)."""
    found = [item.source for item in _outermost(writable(document))]
    look = _lifted if succeeded else _lost
    seen = [*unlike, *(text for source in found for text in look(source))]
    if not found or not (seen or always):
        return ""
    more = ["…"] if len(seen) > _MOST_TOLD else []
    unlike = f", which are unlike them: {', '.join([*seen[:_MOST_TOLD], *more])}" if seen else ""
    return f"each run had copies of volumes ({', '.join(found)}){unlike}; {_IN_PLACE}"


def _lost(source: str) -> Iterator[str]:
    """What leads to somebody else, and in a copy to nobody."""
    for place, status in _walk(source):
        kind = stat.S_IFMT(status.st_mode)
        if kind in (stat.S_IFIFO, stat.S_IFSOCK):
            yield f"{place} is {_LIVE[kind]}, and nobody is at the other end of a copy"


def _lifted(source: str) -> Iterator[str]:
    """What the host refuses there, and not in a copy."""
    try:
        system = os.statvfs(source)
    except OSError:
        return
    room = system.f_bavail * system.f_frsize
    if system.f_blocks and room < _ROOM:
        yield f"{source} has room for {room} bytes"
    for place, status in _walk(source):
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            kept = kept_as(place)
            if kept:
                yield f"{place} is {kept}"


def kept_as(path: str) -> str:
    """How an attribute of a file keeps everybody from writing to it; empty where none does."""
    try:
        found = kernel.file_attributes(path)
    except OSError:
        return ""
    return next((what for flag, what in _ATTRIBUTES.items() if found & flag), "")


def _outermost(found: tuple[Writable, ...]) -> list[Writable]:
    """Those that lie in none of the others: a copy of one has what lies in it."""
    kept: list[Writable] = []
    for item in sorted(found, key=lambda one: one.source):
        if not any(item.source == other.source or files.is_below(item.source, other.source) for other in kept):
            kept.append(item)
    return kept


def made(spec: Spec, launch: str, ids: Ids) -> Copied:
    """The configuration with copies in the directory ``launch`` instead of what its command may write to. Raises
    `NotCopied`, and `LaunchError` for what cannot be copied."""
    document = spec.document
    require_copies(document)
    found = writable(document)
    if not found:
        return Copied(spec)
    holder = Path(launch, COPIES)
    root = holder / removal.ROOT
    try:
        holder.mkdir(0o700)
        wholefile.write(holder / removal.ABOUT, json.dumps({"ids": ids.dump()}).encode(), durable=False)
        outermost = _outermost(found)
        restrictions = {item.pointer: _restrictions(item.source) for item in found}
        # Who has no id beyond the own needs a namespace, too, which has that alone: only there may it clone mounts.
        inside = ids if ids.owner is None else Ids()
        unlike = child.run(lambda _: _copy(root, [item.source for item in outermost]), inside)
    except OSError as error:
        hint = "free space there, set HARDENING_STATE to a directory with more, or add --in-place"
        raise LaunchError(
            f"cannot copy what the command may write to: {error.strerror}", origin=holder, hint=hint
        ) from None
    for item in found:
        number, outer = next(
            (at, one.source)
            for at, one in enumerate(outermost)
            if item.source == one.source or files.is_below(item.source, one.source)
        )
        _put(document, item.pointer, files.join(f"{root}/{number}", os.path.relpath(item.source, outer)))
        _restrict(document, item.pointer, restrictions[item.pointer])
    return Copied(attrs.evolve(spec, config=to_json(document)), tuple(unlike))


def _put(document: dict[str, Any], pointer: str, value: str) -> None:
    *way, last = pointer.strip("/").split("/")
    at: Any = document
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at[part]
    at[last] = os.path.normpath(value)


def _restrictions(source: str) -> list[str]:
    """The options of the mount that a file is seen through: what the host refuses there is refused in a copy. Raises
    `OSError`."""
    flags = os.statvfs(source).f_flag
    return [option for option, flag in _RESTRICTIONS.items() if flags & flag]


def _restrict(document: dict[str, Any], pointer: str, options: list[str]) -> None:
    if pointer == _ROOT:
        document["root"]["readonly"] = "ro" in options
    else:
        mount = document["mounts"][int(pointer.split("/")[2])]
        mount["options"] = [*mount.get("options", ()), *options]


def _copy(root: Path, sources: list[str]) -> list[str]:
    """In the child, which may hold ids that the caller has in its user namespace alone: copy each, and say in what they
    are unlike. Raises `LaunchError`, and `OSError`."""
    root.mkdir(0o711)
    mounts = [mount.place for mount in mountinfo.read()]
    unlike: list[str] = []
    for number, source in enumerate(sources):
        with Opened(opened(source)) as tree:
            copy = root / str(number)
            complaint = _copy_tree(tree, source, copy)
            unlike += [f"{place} is a mount of its own" for place in mounts if files.is_below(place, source)]
            seen = [*islice(_compared(tree, source, copy), _MOST_TOLD + 1)]
            unlike += seen or filter(None, [complaint])
    return unlike[: _MOST_TOLD + 1]


def _compared(tree: int, source: str, copy: Path) -> Iterator[str]:
    """The files that a copy has not, or not with their owners and modes: who made it may not read them, or give files to
    these, or somebody has changed them meanwhile."""
    top = f"/proc/self/fd/{tree}"
    is_folder = stat.S_ISDIR(os.fstat(tree).st_mode)
    for place, status in _walk(f"{top}/.") if is_folder else [(top, os.fstat(tree))]:
        name = os.path.normpath(source + place.removeprefix(top))
        try:
            made = os.lstat(os.path.normpath(copy / os.path.relpath(name, source)))
        except OSError:
            yield f"{name} is missing"
            continue
        if made.st_uid != status.st_uid:
            yield f"{name} has another owner"
        elif made.st_gid != status.st_gid:
            yield f"{name} has another group"
        elif made.st_mode != status.st_mode:
            yield f"{name} has another mode"


def opened(source: str) -> int:
    """Open what is to be copied (O_PATH), once. As a clone of its mounts it has links that nobody follows
    (MOUNT_ATTR_NOSYMFOLLOW of mount_setattr(2)): whoever writes to a volume could put one in the place of a directory, and
    cp(1), which looks at a path twice, would copy what the caller may read and the command may not. Raises `OSError`."""
    with Opened(links.find_judged(abi.AT_FDCWD, files.encode(source))) as place:
        tree = kernel.open_tree(place, b"", abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
    try:
        kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_NOSYMFOLLOW, recursive=True)
    except OSError:
        os.close(tree)
        raise
    return tree


def _copy_tree(tree: int, source: str, target: Path) -> str:
    """Copy what is open: through the link of its descriptor, which is followed for a file (-H), and then no other. The
    result is what could not be copied of it, in words; empty where all was."""
    place = f"/proc/self/fd/{tree}"
    what = [f"{place}/."] if stat.S_ISDIR(os.fstat(tree).st_mode) else ["-H", place]
    argv = ["cp", "-a", "--reflink=auto", *what, str(target)]
    try:
        done = programs.run(argv, b"", _PATIENCE, env=programs.BARE, passed=[tree], bound=True)
    except subprocess.TimeoutExpired:
        raise LaunchError(
            f"cannot be copied within {_PATIENCE:.0f} seconds", origin=source, hint="or add --in-place"
        ) from None
    said = done.stderr.decode("utf-8", "replace").splitlines()
    bad = [line for line in said if line.endswith(_FULL)] or (said if not target.exists() else [])
    if done.returncode and bad:
        text = bad[0].replace(f"{place}/.", source).replace(place, source)
        raise LaunchError(f"cannot be copied: {text}", origin=source, hint="or add --in-place")
    return f"{source} has changed while it was copied" if done.returncode else ""


def full(launch: str) -> str:
    """Says so where the file system that holds the copies of a launch has no more room, as a volume may have; else empty."""
    holder = Path(launch, COPIES)
    if not holder.exists():
        return ""
    system = os.statvfs(holder)
    room = system.f_bavail * system.f_frsize
    return f"they had room for {room} bytes more ({launch})" if system.f_blocks and room < _ROOM else ""


def remove(launch: str) -> None:
    """Remove the copies of a launch, where there are any. Raises `OSError`."""
    removal.remove_tree(Path(launch, COPIES))
