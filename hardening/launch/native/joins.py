"""Joining the namespaces that have a path, on both sides of the making of the user namespace.

Joining takes CAP_SYS_ADMIN in the user namespace that owns the one to be joined (setns(2)). The caller has it, if
anyone has, over what its own user namespace owns, and loses it on entering another one. So these are joined first;
those that a joined user namespace owns come after that, with no more privilege than it gives.
"""

from __future__ import annotations

import fcntl

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os
from hardening.launch.native.channel import pair
from hardening.launch.native.operation import Joining, Preparation, Separation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import ConfigMount, Namespace
    from hardening.launch.native.operation import LaunchState


class OpenNamespace(Preparation):
    """One namespace that is to be joined, opened by its path with the caller's eyes."""

    text = "open the {namespace.kind} namespace {namespace.path}"
    pointer: str
    namespace: Namespace

    def execute(self, state: LaunchState) -> None:
        state.namespaces[self.namespace.kind] = os.open(self.namespace.path, os.O_RDONLY | os.O_CLOEXEC)


class JoinAsCaller(Joining):
    """setns(2) into a namespace, unless a user namespace that is joined after it owns it. A process namespace takes only the
    children that are started from now on."""

    text = "join the namespace"
    pointer: str
    namespace: Namespace

    def execute(self, state: LaunchState) -> None:
        kind = self.namespace.kind
        if not is_owned(state.namespaces, kind):
            kernel.setns(state.namespaces[kind], self.namespace.flag)
            state.joined.append(kind)


class Hide(Separation):
    """A joined user namespace gives its owner rights over this process, and a joined process namespace shows init to those
    that live in it. Not dumpable, neither can be traced with these rights: only by those who have CAP_SYS_PTRACE in the
    caller's user namespace (ptrace(2))."""

    text = "let nobody in the joined namespaces trace the launch"

    def execute(self, state: LaunchState) -> None:
        kernel.prctl(abi.PR_SET_DUMPABLE, 0)


class JoinOwned(Separation):
    """setns(2) into a namespace that was not joined as the caller: the user namespace, and what it owns."""

    text = "join the namespace"
    pointer: str
    namespace: Namespace

    def execute(self, state: LaunchState) -> None:
        if self.namespace.kind not in state.joined:
            kernel.setns(state.namespaces[self.namespace.kind], self.namespace.flag)


def is_owned(namespaces: dict[str, int], kind: str) -> bool:
    """Whether the user namespace that is joined, or one of its descendants, owns another one of the ``namespaces``, which
    are descriptors by kind (ioctl_ns(2))."""
    if "user" not in namespaces:
        return False
    first = owner = namespaces[kind]
    sought, request = os.fstat(namespaces["user"]), abi.NS_GET_USERNS
    while True:
        try:
            above = fcntl.ioctl(owner, request)
        except OSError:  # EPERM: outside of what this process can see; else no namespace at all, as setns(2) will say
            return False
        finally:
            if owner != first:
                os.close(owner)
        owner, request = above, abi.NS_GET_PARENT
        if files.same(os.fstat(owner), sought):
            os.close(owner)
            return True


class MakeShown(Joining):
    """A file system that shows one namespace, of the ``shown`` kind, and that only the owner of that namespace may mount:
    made while this process is the caller, where it has joined one, for inside a user namespace the kernel refuses it."""

    text = "make the {mount.kind} for {mount.destination}"
    pointer: str
    mount: ConfigMount
    shown: str

    def execute(self, state: LaunchState) -> None:
        if self.shown in state.joined:
            state.trees[self.pointer] = self._make_proc() if self.mount.kind == "proc" else self._make()

    def _make(self) -> int:
        return kernel.new_filesystem(self.mount.kind, self.mount.data, self.mount.attributes, self.mount.source)

    def _make_proc(self) -> int:
        """A /proc shows the process namespace of its maker: so a child makes it, in the joined one, and hands it over."""
        ours, theirs = pair()
        # The child has the caller's privileges where others can see it. Not dumpable, it can only be traced by those with
        # CAP_SYS_PTRACE in the caller's user namespace. This process itself stays unseen, and must stay dumpable: the
        # main process is to write its id maps.
        kernel.prctl(abi.PR_SET_DUMPABLE, 0)
        pid = kernel.clone(0)
        if pid == 0:
            try:
                theirs.send("made", fd=self._make())
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
