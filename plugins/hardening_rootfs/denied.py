"""Why a system call failed, where the root, its mounts or what they hide are the reason (``hardening why``).

What becomes of the call's path is `hardening_rootfs.answers`; here stands which of that a call asks for, and which errno
means it. What another mechanism has mounted it answers for itself.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
from collections.abc import Iterator, Sequence

import attrs

from hardening.base.files import is_below
from hardening.base.units import show_size
from hardening.launch.native.lookup import interpreter
from hardening.mechanism.denial import EXECUTE, WRITE, Cause, PathAccess, PathAnswer, Size, SystemCall, Way
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import USUAL_RIGHTS, Volume
from hardening_rootfs import answers, remedies, shown
from hardening_rootfs.devices import is_shared, numbers
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.shown import Place
from hardening_rootfs.surroundings import Surroundings
from hardening_rootfs.tmpfs import SHARED

_WRITES = frozenset({"write", "create", "remove", "change"})
#: what a call wants of its path -> what is asked of the path beside whether it is seen
_ASKED = {**dict.fromkeys(_WRITES, PathAccess.WRITABLE), "read": PathAccess.READABLE, "execute": PathAccess.EXECUTABLE}
#: How much larger a place in memory is offered, one after another.
_LARGER = (2, 4, 16, 64)
_EXECUTING = ("execve", "execveat")
#: An absolute path in what a program says.
_PATH = re.compile(r"(?<![\w.~/-])/[^\s'\"`,;()<>\[\]]+")
_PROT_EXEC = 0x4
_MS_REMOUNT, _MS_BIND = 0x20, 0x1000
#: where the flags stand among the arguments of mount(2)
_MOUNT_FLAGS = 3


def denied(settings: RootfsSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The causes; one of them for each answer about a path that this errno means."""
    if call.is_end and not call.signal:
        yield from _named(settings, context, call)
    if call.name in ("mount", "move_mount", "fsmount", "umount2", "mount_setattr"):
        yield from _mounting(settings, context, call)
        return
    if call.error == errno.EXDEV and call.target.startswith("/"):
        yield from _across(settings, context, call)
        return
    for path in dict.fromkeys(filter(None, (call.path, _socket(call), call.target))):
        if path.startswith("/"):
            yield from _at(settings, context, call, path)


def _at(settings: RootfsSettings, context: Context, call: SystemCall, path: str) -> Iterator[Cause]:
    place = shown.place_of(settings, context, path)
    if call.error == errno.ENOSPC or call.signal == signal.SIGBUS:
        yield from _full(settings, place)
        return
    if call.error == errno.EBUSY:
        yield from _bound(settings, context, place)
        return
    if call.error == errno.EACCES:
        yield from _roots_alone(settings, call, place)
    if call.error == errno.EACCES and "mount" not in call.access and place.lacks("dev"):
        yield from _device(place)
    if call.name in _EXECUTING and not (call.outcome or call.is_question) and place.lacks("suid"):
        yield from _set_user_id(settings, place)
    wanted = {PathAccess.SEEN, *(_ASKED[access] for access in call.access if access in _ASKED)}
    if call.name in ("mmap", "mprotect", "pkey_mprotect") and call.arguments[2] & _PROT_EXEC:
        wanted.add(PathAccess.EXECUTABLE)
    if call.name == "connect" and call.error == errno.EACCES:
        wanted.add(PathAccess.WRITABLE)  # unix(7)
    found = [*answers.of_path(settings, context, path, call.caller)]
    if call.name in _EXECUTING and call.error == errno.ENOENT and place.source and not found[0].denied:
        named = interpreter(place.source)
        if named.startswith("/") and named != path:
            yield from _at(
                settings, context, call, named
            )  # the kernel says of a script that its interpreter is missing
    above = os.path.dirname(path)
    is_made = (
        call.error == errno.ENOENT and "create" in call.access and path != above
    )  # of the root there is none above
    if is_made and not found[0].denied and os.path.isdir(above):
        yield from _at(settings, context, call, above)  # it is the directory that is missing here
    # A file that is hidden is an empty one, which is opened without an error.
    is_empty = not (call.outcome or call.is_question) and answers.is_emptied(settings, context, path)
    for answer in found:
        is_meant = answer.errors and (
            call.failed_with(*answer.errors) or (is_empty and answer.asked == PathAccess.SEEN)
        )
        if is_meant and answer.asked in wanted and answer.leaf.startswith("rootfs."):
            yield _cause(settings, context, call, path, answer)


def _named(settings: RootfsSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """Files that a process names at its end, and that are not what it expects, so that no call fails: what is hidden is an
    empty file, and what belongs to another owner some refuse to use (git, ssh, PostgreSQL). Of the root's own files that is
    what it says last: those of a program are named by every traceback."""
    last = call.output.rstrip().rpartition("\n")[2]
    for path in dict.fromkeys(match.rstrip(".:") for match in _PATH.findall(call.output)):
        seen = next(iter(answers.of_path(settings, context, path)))
        ways = remedies.owned(settings, context, path)
        if seen.denied and seen.errors and seen.leaf.startswith("rootfs."):
            yield _cause(settings, context, call, path, seen)
        elif ways and (seen.leaf != "rootfs.path" or path in last):
            what = f"{path} belongs to an owner whom the command does not know"
            yield Cause(ways[0].leaf, what, ways, certain=True)


def _socket(call: SystemCall) -> str:
    """The path of a socket; that of an abstract one is none."""
    return call.address.removeprefix("unix ") if call.address.startswith("unix /") else ""


def _cause(settings: RootfsSettings, context: Context, call: SystemCall, path: str, answer: PathAnswer) -> Cause:
    """The cause that an answer is, with ways that give what the call wants."""
    wants = os.W_OK if call.access & _WRITES else os.R_OK
    is_device = answer.leaf == f"rootfs.devices.{path}" and answer.asked == PathAccess.SEEN
    if is_device and not context.host.root and call.access and not os.access(path, wants):
        what = f"{path} is hidden here, and its own mode keeps the caller out on the host"
        return Cause(answer.leaf, what, certain=True, regardless=True)
    ways: list[Way] = []
    if "create" in call.access and answer.asked == PathAccess.SEEN:
        ways += remedies.begun(settings, context, path)
    elif call.name in ("mkdir", "mkdirat") and answer.leaf == "rootfs.read_only":
        ways.append(remedies.memory(path))
    for way in answer.ways:
        more = {"rw"} if call.access & _WRITES else {"exec"} if "execute" in call.access else set[str]()
        volume = way.value
        if isinstance(volume, Volume) and not volume.rights >= more:
            way = attrs.evolve(way, value=attrs.evolve(volume, rights=volume.rights | more))
        ways.append(way)
    what = f"{path}: {answer.denied}"
    elsewhere = [place for place, memory in settings.mounted_tmpfs().items() if memory.mode & 0o002]
    advice = f"write to {' or '.join(elsewhere)} instead" if call.error == errno.EROFS and elsewhere else ""
    # What is not shown is missing whatever else is true of it, as what is mounted read-only cannot be written to.
    return Cause(answer.leaf, what, ways, advice, certain=call.error == errno.EROFS or answer.asked == PathAccess.SEEN)


def _full(settings: RootfsSettings, place: Place) -> Iterator[Cause]:
    """A place in memory that has reached its size, or its number of files (tmpfs(5))."""
    memory = settings.tmpfs.named.get(place.leaf.removeprefix("rootfs.tmpfs."))
    if memory is not None:
        ways = [Way(place.leaf, attrs.evolve(memory, size=memory.size * more)) for more in _LARGER]
        what = f"{place.mounted} holds {show_size(memory.size)} and {memory.inodes} files"
        yield Cause(place.leaf, what, ways)
    elif place.leaf == "rootfs.shm_size":
        ways = [Way(place.leaf, settings.shm_size * more) for more in _LARGER]
        yield Cause(place.leaf, f"{place.mounted} holds {show_size(settings.shm_size)}", ways)


def _roots_alone(settings: RootfsSettings, call: SystemCall, place: Place) -> Iterator[Cause]:
    """A place in memory whose top directory, which is root's, does not let anybody else in, or have a file there."""
    memory = settings.tmpfs.named.get(place.leaf.removeprefix("rootfs.tmpfs."))
    is_entry = os.path.dirname(place.path) == place.mounted and call.access & {"create", "remove"}
    if memory is not None and not memory.mode & (WRITE if is_entry else EXECUTE):
        ways = (Way(place.leaf, attrs.evolve(memory, mode=SHARED)),)
        yield Cause(place.leaf, f"{place.mounted} is root's, with mode {memory.mode:04o}", ways)


def _device(place: Place) -> Iterator[Cause]:
    """A node of a device on a mount on which none works."""
    if not place.source or numbers(place.source) is None:
        return
    ways: Sequence[Way] = ()
    if place.source.startswith("/dev/"):
        ways = (Way(f"rootfs.devices.{place.source}", True, reaches_host=is_shared(place.source)),)
    advice = "" if ways else "show the device of the host's /dev with rootfs.devices"
    yield Cause(place.leaf, f"{place.path} is a device on a mount with nodev", ways, advice)


def _set_user_id(settings: RootfsSettings, place: Place) -> Iterator[Cause]:
    """A program that is executed without the rights of its owner, which its mount takes away."""
    try:
        is_set = os.stat(place.source).st_mode & (stat.S_ISUID | stat.S_ISGID) if place.source else 0
    except OSError:
        is_set = 0
    if is_set:
        yield Cause(place.leaf, f"{place.path} is on a mount with nosuid", remedies.with_right(settings, place, "suid"))


def _across(settings: RootfsSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """A rename or a link from one mount to another, which may be one file system on the host."""
    places = [shown.place_of(settings, context, path) for path in (call.target, call.path)]
    if places[0].mounted != places[1].mounted:
        leaf = next((place.leaf for place in places if place.leaf != "rootfs.path"), "rootfs.path")
        what = f"{call.path} and {call.target} lie in two mounts"
        yield Cause(leaf, what, advice="copy it and remove the first one, as mv(1) does")


def _bound(settings: RootfsSettings, context: Context, place: Place) -> Iterator[Cause]:
    """A file that is replaced or removed, and that a mount lies on."""
    found = shown.shown(context).read_only
    kept = sorted(
        path for path in found if path == place.path or (is_below(path, place.path) and place.path == place.mounted)
    )
    volume = settings.volumes.named.get(place.leaf.removeprefix("rootfs.volumes."))
    if kept and (volume is None or place.path != volume.target):
        leaf = f"rootfs.read_only_paths.{shown.covering(settings, context.host, 'read_only_paths', kept[0]) or kept[0]}"
        what = f"{kept[0]} is read-only, so that {place.path} is neither replaced nor renamed"
        yield Cause(leaf, what, (Way(leaf, None, Size.CALL),))
        return
    if volume is None or not place.leaf.startswith("rootfs.volumes.") or place.path != volume.target:
        return
    above, source = os.path.dirname(volume.target), os.path.dirname(volume.source)
    wider = Volume(source, above, volume.rights | USUAL_RIGHTS, idmap=volume.idmap)
    ways = (Way(f"rootfs.volumes.{above}", wider, Size.WIDER),) if above != "/" else ()
    what = f"{place.path} is a volume by itself, which is not replaced or removed"
    yield Cause(place.leaf, what, ways, "write into the file instead of replacing it")


def _mounting(settings: RootfsSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """What a user namespace does not let anybody do with mounts that came from outside (mount_namespaces(7))."""
    if not Surroundings.of(context).user or call.error not in (errno.EPERM, errno.EINVAL, errno.EBUSY):
        return
    place = shown.place_of(settings, context, call.path) if call.path.startswith("/") else None
    flags = call.arguments[_MOUNT_FLAGS] if len(call.arguments) > _MOUNT_FLAGS else 0
    if call.name == "mount" and call.error == errno.EPERM and flags & _MS_REMOUNT and place is not None:
        kept = [option for option in ("ro", "nosuid", "nodev", "noexec") if {option, f"r{option}"} & place.options]
        if kept:
            advice = f"keep {','.join(kept)} among the flags of the remount"
            yield Cause(place.leaf, f"the flags {','.join(kept)} of {place.mounted} are locked", advice=advice)
    elif call.name == "umount2" and call.error == errno.EINVAL and place is not None and place.mounted == place.path:
        yield Cause(place.leaf, f"{place.path} is locked: it hides what lies below it", advice="leave it mounted")
    elif call.error == errno.EPERM and not flags & _MS_BIND and "proc" in (call.target, os.path.basename(call.path)):
        # Of processes alone nothing is masked, and the kernel lets a whole one be mounted beside it.
        uncovering = [] if settings.subset else [*remedies.uncovering(settings, context, "/proc")]
        if uncovering:
            way = attrs.evolve(uncovering[0], also=tuple(uncovering[1:]))
            what = f"a new /proc would show what is covered in this one, by {len(uncovering)} settings"
            yield Cause(way.leaf, what, (way,), "bind the /proc that is there (bwrap --bind /proc /proc)")
