"""Joining the namespaces that have a path, on both sides of the making of the user namespace.

Joining takes CAP_SYS_ADMIN in the user namespace that owns the one to be joined (setns(2)). The caller has it, if
anyone has, over what its own user namespace owns, and loses it on entering another one. So these are joined first;
those that a joined user namespace owns come after that, with no more privilege than it gives.
"""

from __future__ import annotations

import fcntl

from hardening.base import files
from hardening.base.frozen import Frozen
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.native import mounts
from hardening.launch.native.channel import pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.wanted import Mount, Namespace, Wanted

# A file system that shows one namespace, and that only the owner of that namespace may mount.
SHOWN_BY = {"sysfs": "network", "mqueue": "ipc", "proc": "pid"}


class Joined(Frozen):
    """One namespace to join: a descriptor of it, and its ``CLONE_NEW*``."""

    kind: str
    pointer: str
    fd: int
    flag: int


class Joins(Frozen):
    """What to join as the caller, then what to join in the user namespace, which is the first of ``after`` if joined."""

    before: tuple[Joined, ...]
    after: tuple[Joined, ...]

    def enter_as_caller(self, wanted: Wanted) -> dict[str, int]:
        """Join the first ones, and make the file systems that show them: detached mounts by pointer."""
        enter(self.before)
        return make_file_systems(wanted, self.before)

    def enter_owned(self) -> None:
        """Join the user namespace, if it has a path, and what it owns."""
        enter(self.after)

    def close(self) -> None:
        """Close every descriptor."""
        for one in (*self.before, *self.after):
            os.close(one.fd)


def open_all(wanted: Wanted) -> Joins:
    """Open every namespace that has a path. `LaunchError` when one cannot be opened."""
    opened: list[Joined] = []
    try:
        for namespace in wanted.namespaces:
            if namespace.path:
                opened.append(_open(namespace))  # noqa: PERF401 - on failure the ones before must be closed
        user = next((one for one in opened if one.kind == "user"), None)
        after = [one for one in opened if user is not None and one is not user and _is_owned(one.fd, user.fd)]
    except (OSError, LaunchError):
        Joins(before=tuple(opened), after=()).close()
        raise
    before = [one for one in opened if one is not user and one not in after]
    return Joins(before=tuple(before), after=(user, *after) if user is not None else ())


def _open(namespace: Namespace) -> Joined:
    with Step(f"open the {namespace.kind} namespace {namespace.path}", f"{namespace.pointer}/path"):
        fd = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
    return Joined(kind=namespace.kind, pointer=namespace.pointer, fd=fd, flag=namespace.flag)


def _is_owned(namespace: int, user: int) -> bool:
    """Whether a user namespace or one of its descendants owns a namespace (ioctl_ns(2))."""
    sought, request, owner = os.fstat(user), abi.NS_GET_USERNS, namespace
    while True:
        try:
            above = fcntl.ioctl(owner, request)
        except OSError:  # EPERM: outside of what this process can see; else no namespace at all, as setns(2) will say
            return False
        finally:
            if owner != namespace:
                os.close(owner)
        owner, request = above, abi.NS_GET_PARENT
        if files.same(os.fstat(owner), sought):
            os.close(owner)
            return True


def enter(joined: tuple[Joined, ...]) -> None:
    """setns(2) into each, in order. A process namespace takes only the children that are started from now on."""
    for one in joined:
        with Step("join the namespace", one.pointer):
            kernel.setns(one.fd, one.flag)


def make_file_systems(wanted: Wanted, joined: tuple[Joined, ...]) -> dict[str, int]:
    """The entries of `/mounts` that show a namespace joined as the caller, by pointer, as detached mounts.

    To be called after `enter` and before the user namespace, inside of which the kernel refuses them.
    """
    kinds = {one.kind for one in joined}
    made: dict[str, int] = {}
    if wanted.namespace("user") is None:
        return made
    for mount in wanted.mounts:
        if SHOWN_BY.get(mount.kind) in kinds:
            with Step(f"make the {mount.kind} for {mount.destination}", mount.pointer):
                made[mount.pointer] = _make_proc(mount) if mount.kind == "proc" else mounts.create(mount)
    return made


def _make_proc(mount: Mount) -> int:
    """A /proc shows the process namespace of its maker: so a child makes it, in the joined one, and hands it over."""
    ours, theirs = pair()
    # The child has the caller's privileges where others can see it. Not dumpable, it can only be traced by those with
    # CAP_SYS_PTRACE in the caller's user namespace. This process itself stays unseen, and must stay dumpable: the
    # launch stage is to write its id maps.
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)
    pid = kernel.clone(0)
    if pid == 0:
        try:
            theirs.send("made", fd=mounts.create(mount))
        except OSError as error:
            theirs.send("failed", str(error.errno))
        finally:
            os._exit(0)
    kernel.prctl(abi.PR_SET_DUMPABLE, 1)
    theirs.close()
    message, tree = ours.receive()
    ours.close()
    os.waitpid(pid, 0)
    if tree is None:
        number = int(message[1]) if len(message) > 1 else 0
        raise OSError(number, os.strerror(number) if number else "the process that makes it exited unexpectedly")
    return tree
