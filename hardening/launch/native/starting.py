"""Starting the process that becomes the command: `only` makes the namespaces and goes on as `hardening.launch.native.inner`.

Where namespaces are joined or clocks set it takes two: `first` does that, and starts the second one, which becomes the
command.
"""

from __future__ import annotations

import sys

from hardening.base import files
from hardening.base.frozen import Frozen
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.signals import signal
from hardening.base.linux.system import os
from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError
from hardening.launch.config.wanted import Wanted
from hardening.launch.native import inner
from hardening.launch.native.channel import Channel, report
from hardening.launch.native.sources import Sources, make_slave, open_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.native.joins import Joins
    from hardening.launch.secret.handed import Handed


class Setup(Frozen):
    """What the launch stage prepared. ``sources`` None: they are opened inside the user namespace. ``joined`` None: nothing.

    ``waits`` says that the process that becomes the command waits for a word of the launch stage before it says one itself:
    it is to be traced, or `first` has to name it before. ``writers`` are pairs of a standard descriptor and the pipe that
    takes its place.
    """

    wanted: Wanted
    bundle: str
    sources: Sources | None
    joined: Joins | None
    keep_stdin: bool
    signal_mask: frozenset[int]
    waits: bool = False
    writers: tuple[tuple[int, int], ...] = ()
    secrets: Handed | None = None


def run(step: Callable[[Setup, Channel], None], setup: Setup, channel: Channel) -> None:
    """Run `only`, `first` or `inner.second` to its end, and report an error. Does not return."""
    code = EXIT_LAUNCHER
    try:
        step(setup, channel)
        code = 0
    except LaunchError as error:
        report(channel, error)
    except (OSError, ImportError, HardeningError, MemoryError) as error:
        report(channel, LaunchError(f"the launch failed: {error}"))
    finally:
        # Whatever happened: this copy of the launch stage must not go on as if it were the stage.
        kind, defect, trace = sys.exc_info()
        if kind is not None and defect is not None:
            sys.excepthook(kind, defect, trace)
        os._exit(code)


def start(setup: Setup, near: Channel, far: Channel) -> int:
    """Start `only` or `first` with the ``far`` end of the channel: its pid."""
    wanted = setup.wanted
    alone = is_enough(wanted)
    _import_all(wanted)
    user = alone and wanted.creates("user")
    flags = (abi.CLONE_NEWUSER if user else 0) | (abi.CLONE_NEWPID if alone and wanted.creates("pid") else 0)
    with Step("make the user namespace" if user else "start a process", "/linux/namespaces"):
        pid = kernel.clone(flags)
    if pid == 0:
        near.close()
        run(only if alone else first, setup, far)
    far.close()
    return pid


def is_enough(wanted: Wanted) -> bool:
    """Whether one process will do: neither a joined process namespace nor a new time namespace takes who enters it."""
    return not wanted.creates("time") and not any(namespace.path for namespace in wanted.namespaces)


def _import_all(wanted: Wanted) -> None:
    """Import the rest of what the process that becomes the command may run: in a user namespace the files of Python and of
    the launcher may be out of its reach, and once it has the command's ids they must be."""
    if any(mount.kind.startswith("cgroup") for mount in wanted.mounts):
        from hardening.launch.native import cgroup_view  # noqa: F401
    if any(mount.copies for mount in wanted.mounts):
        from hardening.launch.native import copyup  # noqa: F401
    if any("*" in path for path in (*wanted.masked, *wanted.read_only)):
        from hardening.base import patterns  # noqa: F401


def only(setup: Setup, channel: Channel) -> None:
    """Make the namespaces and become the command. This process is in the new user and process namespaces already."""
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)  # it dies with the launch stage
    channel.expect("mapped")
    sources, may_set_groups = _make_namespaces(setup)
    inner.second(setup, channel, sources, may_set_groups=may_set_groups)


def first(setup: Setup, channel: Channel) -> None:
    """Make or join the namespaces, then start `second` as a child of the launch stage."""
    wanted = setup.wanted
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    made = setup.joined.enter_as_caller(wanted) if setup.joined is not None else {}
    if wanted.creates("user"):
        with Step("make the user namespace", "/linux/namespaces"):
            kernel.unshare(abi.CLONE_NEWUSER)
    channel.send("entered")
    channel.expect("mapped")
    sources, may_set_groups = _make_namespaces(setup)
    sources.trees.update(made)
    pid = wanted.namespace("pid")
    flags = abi.CLONE_PARENT | (abi.CLONE_NEWPID if pid is not None and not pid.path else 0)
    with Step("start the container's first process", pid.pointer if pid else ""):
        child = kernel.clone(flags)
    if child == 0:
        run(lambda given, end: inner.second(given, end, sources, may_set_groups=may_set_groups), setup, channel)
    channel.send("child", str(child))


def _make_namespaces(setup: Setup) -> tuple[Sources, bool]:
    """Enter what a joined user namespace owns, and make the namespaces: the sources, and whether groups can be set."""
    wanted = setup.wanted
    if wanted.process.oom_score_adj is not None:
        # Before anything makes this process non-dumpable: its files in /proc belong to root then.
        with Step("set the OOM score", "/process/oomScoreAdj", "lowering it needs CAP_SYS_RESOURCE"):
            files.write("/proc/self/oom_score_adj", str(wanted.process.oom_score_adj))
    if setup.joined is not None:
        # A joined user namespace gives its owner rights over this process, and a joined process namespace shows `second`
        # to those that live in it. Not dumpable, neither can be traced with these rights: only by those who have
        # CAP_SYS_PTRACE in the caller's user namespace.
        kernel.prctl(abi.PR_SET_DUMPABLE, 0)
        setup.joined.enter_owned()
    may_set_groups = wanted.namespace("user") is None or files.read("/proc/self/setgroups").strip() == "allow"
    _unshare(wanted)
    sources = setup.sources
    if sources is None:
        # Still with the caller's ids on files, so that whatever the caller can reach can be mounted.
        with Step("leave the host's mount propagation", "/linux/namespaces"):
            make_slave()
        try:
            sources = open_sources(wanted, setup.bundle)
        except PermissionError as error:
            raise LaunchError("the kernel does not let this process clone mounts", hint=kernel.remedy(1)) from error
    return sources, may_set_groups


def _unshare(wanted: Wanted) -> None:
    flags = 0
    for namespace in wanted.namespaces:
        if not namespace.path and namespace.kind not in ("pid", "user", "ipc"):
            flags |= namespace.flag
    with Step("make the namespaces", "/linux/namespaces"):
        kernel.unshare(flags)
    if wanted.time_offsets:
        with Step("set the clocks of the time namespace", "/linux/timeOffsets"):
            lines = [f"{clock} {seconds} {nanoseconds}\n" for clock, seconds, nanoseconds in wanted.time_offsets]
            files.write("/proc/self/timens_offsets", "".join(lines))
