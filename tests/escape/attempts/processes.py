"""What namespaces and limits keep from the host's processes, networks, names and resources."""

from __future__ import annotations

from tests.escape.attacks import calls, files, processes
from tests.escape.attempt import Attempt, Loosening, Profiled, allow, hold, say
from tests.escape.attempts.common import HOST_PIDS, HOST_USER, INITIAL, READ_ONLY, TRACED, confined

#: What cannot be kept where the host's process ids are shown.
SEEN = say(rootfs__proc__hidepid="off", rootfs__proc__subset="")
PIDS = say(namespaces__pid="host")
NET = say(namespaces__net="host")
NO_MEMFD = Loosening({"seccomp.deny": ["memfd_create"]}, free=True)
SOCKETS = allow("@network")
ANY_SOCKET = Loosening({"seccomp.allow": ["socket"]}, settings=("seccomp.socket",))


def denied(name: str, argument: int, value: int, *, width: int = 32) -> Loosening:
    """A system call that runs with all arguments but one."""
    rule = {
        "names": [name],
        "action": "errno:EPERM",
        "args": [{"index": argument, "op": "eq", "value": value, "width": width}],
    }
    return Loosening({"seccomp.allow": [name], "seccomp.rules": [rule]}, settings=(f"seccomp.{name}",))


ATTEMPTS = (
    Attempt("signal", "kill(2)", "a signal to a process of the host", "`namespaces.pid`",
            Profiled(processes.send_signal, PIDS, (SEEN,), (HOST_USER,))),
    Attempt("signal, Landlock", "landlock(7)", "the same where the process ids are the host's", "`landlock.signals`",
            Profiled(processes.send_signal, say(landlock__signals=True), (confined("signals"), SEEN, PIDS), (HOST_USER,)),
            needs=("landlock",)),
    Attempt("command lines", "proc(5)", "what the processes of the host were started with", "`namespaces.pid`",
            Profiled(processes.command_line, PIDS, (SEEN,))),
    Attempt("/proc/PID/root", "proc_pid_root(5)", "the host's files through the root of a process", "`namespaces.pid`",
            Profiled(processes.root_of_victim, PIDS, (SEEN,), (HOST_USER,)), refused={"rootless": TRACED}),
    Attempt("/proc/PID/mem", "proc_pid_mem(5)", "the memory of the launcher, for writing", "`namespaces.pid`",
            Profiled(processes.launcher_memory, PIDS, (SEEN, hold("SYS_PTRACE")), (HOST_USER,)),
            refused={"rootless": TRACED}),
    Attempt("setns", "setns(2)", "the host's namespaces through those of a process", "`seccomp.setns`",
            Profiled(processes.enter_namespace, allow("setns"), (HOST_PIDS, hold("SYS_ADMIN")), (HOST_USER,)),
            refused={"rootless": TRACED}),
    Attempt("host name", "sethostname(2)", "the host's name", "`namespaces.uts`",
            Profiled(processes.host_name, say(namespaces__uts="host"), (allow("sethostname"), hold("SYS_ADMIN")),
                     (HOST_USER,)),
            refused={"rootless": INITIAL}),
    Attempt("abstract socket", "unix(7)", "a service of the host on an abstract socket", "`namespaces.net`",
            Profiled(processes.abstract, NET, (SOCKETS,))),
    Attempt("abstract socket, Landlock", "landlock(7)", "the same where the network is the host's",
            "`landlock.abstract_sockets`",
            Profiled(processes.abstract, say(landlock__abstract_sockets=True), (confined("abstract_sockets"), NET, SOCKETS)),
            needs=("landlock",)),
    Attempt("socket in a volume", "unix(7)", "a service of the host on a socket, which no read-only mount protects",
            "`rootfs.volumes`: not shown",
            Profiled(processes.path_socket, READ_ONLY, (SOCKETS,), (HOST_USER,))),
    Attempt("loopback", "ip(7)", "a service of the host on its loopback interface", "`namespaces.net`",
            Profiled(processes.loopback, NET, (SOCKETS,))),
    Attempt("netlink", "sock_diag(7)", "the sockets of the host", "`namespaces.net`",
            Profiled(processes.netlink, NET, (SOCKETS,))),
    Attempt("shared memory", "sysvipc(7)", "a segment of the host's shared memory", "`namespaces.ipc`",
            Profiled(processes.segment, say(namespaces__ipc="host"), (allow("@ipc"),), (HOST_USER,))),
    Attempt("vsock", "vsock(7)", "a socket to the hypervisor, which no namespace holds",
            "`seccomp.socket`: the guard on its family",
            Profiled(calls.vsock, ANY_SOCKET, (SOCKETS,)), needs=("vsock",)),
    Attempt("AF_ALG", "CVE-2017-17806", "a socket to the kernel's ciphers", "`seccomp.socket`: the guard on its family",
            Profiled(calls.kernel_crypto, ANY_SOCKET, (SOCKETS,)), needs=("af_alg",)),
    Attempt("dirty socket", "seccomp(2)", "a denied family with a bit in the upper half of the register",
            "`seccomp.rules`: `width`",
            Profiled(calls.dirty_socket, denied("socket", 0, 2, width=64), (denied("socket", 0, 2),)), relative=True),
    Attempt("dirty ioctl", "ioctl_tty(2)", "TIOCSTI with bits in the upper half of the register",
            "`seccomp.rules`: `width`",
            Profiled(calls.dirty_ioctl, denied("ioctl", 1, 0x5412, width=64), (denied("ioctl", 1, 0x5412),))),
    Attempt("dirty clone", "clone(2)", "CLONE_NEWUSER with a bit in the upper half of the register",
            "`seccomp.rules`: `width`",
            Profiled(calls.dirty_clone, denied("clone", 0, 0x10000011, width=64), (denied("clone", 0, 0x10000011),))),
    Attempt("cgroup", "cgroups(7)", "the top of the cgroup tree, where no limit is", "`namespaces.cgroup`",
            Profiled(files.leave_cgroup, say(namespaces__cgroup="host"),
                     (hold("SYS_ADMIN"), allow("mount")), (HOST_USER, say(process__resources__pids=100)), alone=True),
            refused={"rootless": INITIAL}, needs=("cgroups",)),
    Attempt("memfd", "memfd_create(2)", "a program that never was a file", "`seccomp.memfd_create`",
            Profiled(calls.memfd_program, allow("memfd_create"), (NO_MEMFD,)),
            beyond="programs of today need anonymous files; noexec keeps nobody from running code of their own"),
)  # fmt: skip
