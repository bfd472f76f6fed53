"""The process that becomes the command: it builds the root, gives up its privileges and executes.

The order of the steps is what keeps a container from reaching the launcher; comments say where.
"""

from __future__ import annotations

import errno
import fcntl

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.signals import signal
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.config.bundle import IMAGE_STORE, is_judged
from hardening.launch.native import devices, identity, lookup, mounts
from hardening.launch.native.sources import Sources, make_slave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.wanted import Wanted
    from hardening.launch.native.channel import Channel
    from hardening.launch.native.starting import Setup

DEFAULT_UMASK = 0o022
#: The calls of `_give_up` after a filter that is loaded early.
AFTER_EARLY_FILTER = (
    *("prctl", "setgroups", "setresgid", "setresuid", "capget", "capset"),
    *("ioctl", "read", "rt_sigprocmask", "execve"),
)
EARLY = "without noNewPrivileges the filter is loaded before this, and has to allow it"


def second(setup: Setup, channel: Channel, sources: Sources, *, may_set_groups: bool) -> None:
    """Become the command."""
    wanted, process = setup.wanted, setup.wanted.process
    if setup.waits:
        channel.expect("begin")
    kernel.prctl(abi.PR_SET_DUMPABLE, 0)
    os.umask(0)
    os.setsid()
    with Step("leave the host's mount propagation"):
        make_slave()
    label = identity.open_selinux_label(process.selinux_label)
    stdin = None if setup.keep_stdin or process.terminal else _open_null()
    if wanted.namespace("user") is not None:
        identity.become_namespace_root(wanted, may_set_groups=may_set_groups)
    if wanted.creates("ipc"):
        # Only now: its message queues belong to whoever makes the namespace.
        with Step("make the ipc namespace", "/linux/namespaces"):
            kernel.unshare(abi.CLONE_NEWIPC)
    _configure(wanted)
    slave, variables = _build_root(setup, sources, channel)
    _connect(stdin, slave, setup.writers)
    kernel.new_session_keyring()
    with Step(f"go to {process.cwd}", "/process/cwd", "the directory must exist in the container"):
        os.chdir(process.cwd)
        # A descriptor of the host that slipped through as a working directory shows as unreachable (CVE-2024-21626).
        if not os.getcwd().startswith("/"):
            raise LaunchError(f"{process.cwd} lies outside of the container's root", origin="config.json:/process/cwd")
    _give_up(setup, channel, label, variables, may_set_groups=may_set_groups)


def _configure(wanted: Wanted) -> None:
    """Names, loopback and kernel settings of the new namespaces."""
    names = dict(wanted.sysctl)
    hostname = wanted.hostname or names.pop("kernel.hostname", "")
    domainname = wanted.domainname or names.pop("kernel.domainname", "")
    if hostname:
        with Step("set the host name", "/hostname"):
            kernel.sethostname(hostname.encode())
    if domainname:
        with Step("set the domain name", "/domainname"):
            kernel.setdomainname(domainname.encode())
    if wanted.creates("network"):
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


def _build_root(setup: Setup, sources: Sources, channel: Channel) -> tuple[int | None, dict[bytes, bytes]]:
    """Mount everything and enter: the slave side of the console if there is one, and the variables that are secrets."""
    wanted, slave = setup.wanted, None
    root = mounts.Root(sources.root, channel, judged=is_judged(dict(wanted.annotations)))
    root.attach(read_only=wanted.root_read_only)
    mounts.mount_all(root, wanted, sources)
    variables = setup.secrets.put(root.find) if setup.secrets is not None else {}
    devices.make_devices(root, wanted)
    if wanted.process.terminal:
        with Step("open the console", "/process/terminal"):
            master, slave = devices.open_console(root, wanted.process.console_size, wanted.process.uid)
            channel.send("console", fd=master)
            os.close(master)
    if wanted.annotation(IMAGE_STORE) is None:
        _make_working_directory(root, wanted.process.cwd)
    mounts.protect(root, wanted)
    with Step("enter the root", "/root/path"):
        root.finish()
        root.enter(wanted.root_propagation, recursive=wanted.root_propagation_below)
    return slave, variables


def _make_working_directory(root: mounts.Root, path: str) -> None:
    """Make the working directory where it is missing, as other runtimes do, but in no root that several containers share."""
    with Step(f"make the working directory {path}", "/process/cwd"):
        try:
            there = root.find_if_present(path)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return  # a magic link: where that leads is looked at once it was followed
            raise
        os.close(root.target(path, directory=True) if there is None else there)


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


def _give_up(
    setup: Setup, channel: Channel, label: int | None, secrets: dict[bytes, bytes], *, may_set_groups: bool
) -> None:
    """From here on privileges only go down. Ends in execve(2)."""
    wanted, process = setup.wanted, setup.wanted.process
    path = lookup.find_command(process)
    identity.set_selinux_label(label, process.selinux_label)
    channel.send("ready", path)
    if process.no_new_privileges:
        # Meanwhile the launch stage sets the resource limits and records the launch.
        identity.drop_bounding(process.capabilities)
    program = channel.receive_bytes(int(channel.expect("go")[0]))
    # Nothing but the three standard descriptors reaches the command (CVE-2024-21626). This and the umask come before a
    # filter that may know neither.
    kernel.close_on_exec_from(3)
    os.umask(DEFAULT_UMASK if process.umask is None else process.umask)
    if not process.no_new_privileges:
        # Without no_new_privs the kernel takes a filter from the privileged only, so it must come first; what follows
        # has to pass it, as under other runtimes.
        identity.load_filter(wanted, program)
        identity.drop_bounding(process.capabilities)
    identity.become_user(process, may_set_groups=may_set_groups)
    # The last change of credentials has cleared the parent-death signal. Should the parent have died before this, its
    # end of the channel is closed.
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    if not channel.is_open():
        return
    with Step("restore the signal mask with rt_sigprocmask", "/linux/seccomp", EARLY):
        signal.pthread_sigmask(signal.SIG_SETMASK, setup.signal_mask)
    if process.no_new_privileges:
        # While there is no filter yet that may keep this process from saying why.
        lookup.check_access(path)
        kernel.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)
        identity.load_filter(wanted, program)
    lookup.execute(path, process, secrets)


def _open_null() -> int:
    """The host's null device, through a mount of its own: by a descriptor, too, its mode could be changed (fchmod(2))."""
    tree = mounts.clone_device("/dev/null", os.makedev(1, 3))
    fd = os.open(f"/proc/self/fd/{tree}", os.O_RDWR | os.O_CLOEXEC)
    os.close(tree)
    return fd
