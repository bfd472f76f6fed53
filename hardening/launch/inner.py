"""The processes between the launch stage and the command.

`only` is the process that becomes the command: it makes the namespaces, builds the root, gives up its privileges and
executes. Where namespaces are joined or clocks set it takes two: `first` does that, and starts the `second`, which becomes
the command. The order of the steps is what keeps a container from reaching the launcher; comments say where.
"""

from __future__ import annotations

import fcntl
import sys

from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError
from hardening.launch import abi, devices, failure, files, identity, kernel, lookup, mounts
from hardening.launch.failure import Step
from hardening.launch.frozen import Frozen
from hardening.launch.plan import Plan
from hardening.launch.signals import signal
from hardening.launch.sources import Sources, open_sources
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.channel import Channel
    from hardening.launch.joins import Joins

DEFAULT_UMASK = 0o022


class Setup(Frozen):
    """What the launch stage prepared. ``sources`` None: they are opened inside the user namespace. ``joined`` None: nothing.

    ``writers`` are pairs of a standard descriptor and the pipe that takes its place.
    """

    plan: Plan
    bundle: str
    program: bytes
    sources: Sources | None
    joined: Joins | None
    keep_stdin: bool
    signal_mask: frozenset[int]
    writers: tuple[tuple[int, int], ...] = ()


def run(step: Callable[[Setup, Channel], None], setup: Setup, channel: Channel) -> None:
    """Run `only`, `first` or `second` to its end, and report an error. Does not return."""
    code = EXIT_LAUNCHER
    try:
        step(setup, channel)
        code = 0
    except LaunchError as error:
        failure.report(channel, error)
    except (OSError, HardeningError, MemoryError) as error:
        failure.report(channel, LaunchError(f"the launch failed: {error}"))
    finally:
        # Whatever happened: this copy of the launch stage must not go on as if it were the stage.
        kind, defect, trace = sys.exc_info()
        if kind is not None and defect is not None:
            sys.excepthook(kind, defect, trace)
        os._exit(code)


def start(setup: Setup, near: Channel, far: Channel) -> int:
    """Start `only` or `first` with the ``far`` end of the channel: its pid."""
    plan = setup.plan
    alone = is_enough(plan)
    user = alone and plan.creates("user")
    flags = (abi.CLONE_NEWUSER if user else 0) | (abi.CLONE_NEWPID if alone and plan.creates("pid") else 0)
    with Step("make the user namespace" if user else "start a process", "/linux/namespaces"):
        pid = kernel.clone(flags)
    if pid == 0:
        near.close()
        run(only if alone else first, setup, far)
    far.close()
    return pid


def is_enough(plan: Plan) -> bool:
    """Whether one process will do: neither a joined process namespace nor a new time namespace takes who enters it."""
    return not plan.creates("time") and not any(namespace.path for namespace in plan.namespaces)


def only(setup: Setup, channel: Channel) -> None:
    """Make the namespaces and become the command. This process is in the new user and process namespaces already."""
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    channel.expect("mapped")
    sources, may_set_groups = _make_namespaces(setup)
    second(setup, channel, sources, may_set_groups=may_set_groups)


def first(setup: Setup, channel: Channel) -> None:
    """Make or join the namespaces, then start `second` as a child of the launch stage."""
    plan = setup.plan
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    made = setup.joined.enter_as_caller(plan) if setup.joined is not None else {}
    if plan.creates("user"):
        with Step("make the user namespace", "/linux/namespaces"):
            kernel.unshare(abi.CLONE_NEWUSER)
    channel.send("entered")
    channel.expect("mapped")
    sources, may_set_groups = _make_namespaces(setup)
    sources.trees.update(made)
    pid = plan.namespace("pid")
    flags = abi.CLONE_PARENT | (abi.CLONE_NEWPID if pid is not None and not pid.path else 0)
    with Step("start the container's first process", pid.pointer if pid else ""):
        child = kernel.clone(flags)
    if child == 0:
        run(lambda given, end: second(given, end, sources, may_set_groups=may_set_groups), setup, channel)
    channel.send("child", str(child))


def _make_namespaces(setup: Setup) -> tuple[Sources, bool]:
    """Enter what a joined user namespace owns, and make the namespaces: the sources, and whether groups can be set."""
    plan = setup.plan
    if plan.process.oom_score_adj is not None:
        # Before anything makes this process non-dumpable: its files in /proc belong to root then.
        with Step("set the OOM score", "/process/oomScoreAdj", "lowering it needs CAP_SYS_RESOURCE"):
            files.write("/proc/self/oom_score_adj", str(plan.process.oom_score_adj))
    if setup.joined is not None:
        # A joined user namespace gives its owner rights over this process, and a joined process namespace shows `second`
        # to those that live in it. Not dumpable, neither can be traced with these rights: only by those who have
        # CAP_SYS_PTRACE in the caller's user namespace.
        kernel.prctl(abi.PR_SET_DUMPABLE, 0)
        setup.joined.enter_owned()
    may_set_groups = plan.namespace("user") is None or files.read("/proc/self/setgroups").strip() == "allow"
    _unshare(plan)
    sources = setup.sources
    if sources is None:
        # Still with the caller's ids on files, so that whatever the caller can reach can be mounted.
        with Step("leave the host's mount propagation", "/linux/namespaces"):
            _make_slave()
        try:
            sources = open_sources(plan, setup.bundle)
        except PermissionError as error:
            raise LaunchError("the kernel does not let this process clone mounts", hint=kernel.remedy(1)) from error
    return sources, may_set_groups


def _unshare(plan: Plan) -> None:
    flags = 0
    for namespace in plan.namespaces:
        if not namespace.path and namespace.kind not in ("pid", "user", "ipc"):
            flags |= namespace.flag
    with Step("make the namespaces", "/linux/namespaces"):
        kernel.unshare(flags)
    if plan.time_offsets:
        with Step("set the clocks of the time namespace", "/linux/timeOffsets"):
            lines = [f"{clock} {seconds} {nanoseconds}\n" for clock, seconds, nanoseconds in plan.time_offsets]
            files.write("/proc/self/timens_offsets", "".join(lines))


def _make_slave() -> None:
    place = os.open("/", os.O_PATH | os.O_CLOEXEC)
    kernel.mount_setattr(place, propagation=abi.MS_SLAVE, recursive=True)
    os.close(place)


def second(setup: Setup, channel: Channel, sources: Sources, *, may_set_groups: bool) -> None:
    """Become the command."""
    plan, process = setup.plan, setup.plan.process
    channel.expect("begin")  # the launch stage knows this process now, and traces it if it was asked to
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)
    os.umask(0)
    os.setsid()
    with Step("leave the host's mount propagation"):
        _make_slave()
    label = identity.open_selinux_label(process.selinux_label)
    stdin = None if setup.keep_stdin or process.terminal else _open_null()
    if plan.namespace("user") is not None:
        identity.become_namespace_root(plan, may_set_groups=may_set_groups)
    if plan.creates("ipc"):
        # Only now: its message queues belong to whoever makes the namespace.
        with Step("make the ipc namespace", "/linux/namespaces"):
            kernel.unshare(abi.CLONE_NEWIPC)
    _configure(plan)
    slave = _build_root(plan, sources, channel)
    _connect(stdin, slave, setup.writers)
    kernel.new_session_keyring()
    with Step(f"go to {process.cwd}", "/process/cwd", "the directory must exist in the container"):
        os.chdir(process.cwd)
        # A descriptor of the host that slipped through as a working directory shows as unreachable (CVE-2024-21626).
        if not os.getcwd().startswith("/"):
            raise LaunchError(f"{process.cwd} lies outside of the container's root", origin="config.json:/process/cwd")
    _give_up(setup, channel, label, may_set_groups=may_set_groups)


def _configure(plan: Plan) -> None:
    """Names, loopback and kernel settings of the new namespaces."""
    names = dict(plan.sysctl)
    hostname = plan.hostname or names.pop("kernel.hostname", "")
    domainname = plan.domainname or names.pop("kernel.domainname", "")
    if hostname:
        with Step("set the host name", "/hostname"):
            kernel.sethostname(hostname.encode())
    if domainname:
        with Step("set the domain name", "/domainname"):
            kernel.setdomainname(domainname.encode())
    if plan.creates("network"):
        with Step("bring up the loopback interface", "/linux/namespaces"):
            _loopback_up()
    for name, value in names.items():
        with Step(f"set {name}", "/linux/sysctl"):
            files.write(f"/proc/sys/{name.replace('.', '/')}", value)


def _loopback_up() -> None:
    control = kernel.socket(abi.AF_INET, abi.SOCK_DGRAM)
    name = b"lo".ljust(16, b"\0")
    request = fcntl.ioctl(control, abi.SIOCGIFFLAGS, name + bytes(24))
    flags = int.from_bytes(request[16:18], "little") | abi.IFF_UP
    fcntl.ioctl(control, abi.SIOCSIFFLAGS, name + flags.to_bytes(2, "little") + bytes(22))
    os.close(control)


def _build_root(plan: Plan, sources: Sources, channel: Channel) -> int | None:
    """Mount everything and enter; the slave side of the console if there is one."""
    slave = None
    root = mounts.Root(sources.root, channel)
    root.attach(read_only=plan.root_read_only)
    mounts.mount_all(root, plan, sources)
    devices.make_devices(root, plan)
    if plan.process.terminal:
        with Step("open the console", "/process/terminal"):
            master, slave = devices.open_console(root, plan.process.console_size, plan.process.uid)
            channel.send("console", fd=master)
            os.close(master)
    mounts.protect(root, plan)
    with Step("enter the root", "/root/path"):
        root.finish(plan.root_propagation)
        root.enter()
    return slave


def _connect(stdin: int | None, slave: int | None, writers: tuple[tuple[int, int], ...]) -> None:
    if stdin is not None:
        os.dup2(stdin, 0)
    for number, writer in writers:
        os.dup2(writer, number)
    if slave is not None:
        with Step("make the console the controlling terminal", "/process/terminal"):
            fcntl.ioctl(slave, abi.TIOCSCTTY, 0)
            for number in (0, 1, 2):
                os.dup2(slave, number)


def _give_up(setup: Setup, channel: Channel, label: int | None, *, may_set_groups: bool) -> None:
    """From here on privileges only go down. Ends in execve(2)."""
    plan, process = setup.plan, setup.plan.process
    path = lookup.find_command(process)
    identity.set_selinux_label(label, process.selinux_label)
    channel.send("ready", path)
    channel.expect("go")  # resource limits are in force now
    umask = DEFAULT_UMASK if process.umask is None else process.umask
    if not process.no_new_privileges:
        # Without no_new_privs the kernel takes a filter from the privileged only, so it must come first; what follows
        # has to pass it, as under other runtimes.
        identity.load_filter(plan, setup.program)
    identity.drop_bounding(process.capabilities)
    identity.become_user(process, may_set_groups=may_set_groups, umask=umask)
    # The last change of credentials has cleared the parent-death signal. Should the parent have died before this, its
    # end of the channel is closed.
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    if not channel.is_open():
        return
    # Nothing but the three standard descriptors reaches the command (CVE-2024-21626).
    kernel.close_on_exec_from(3)
    signal.pthread_sigmask(signal.SIG_SETMASK, setup.signal_mask)
    if process.no_new_privileges:
        # While there is no filter yet that may keep this process from saying why.
        lookup.check_access(path)
        kernel.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)
        identity.load_filter(plan, setup.program)
    lookup.execute(path, process)


def _open_null() -> int:
    """The host's null device, through a mount of its own: by a descriptor, too, its mode could be changed (fchmod(2))."""
    tree = mounts.clone_device("/dev/null", os.makedev(1, 3))
    fd = os.open(f"/proc/self/fd/{tree}", os.O_RDWR | os.O_CLOEXEC)
    os.close(tree)
    return fd
