"""Which system calls ask for which capability, as data (capabilities(7), and the places in the kernel where it asks).

What decides over files by their owners and modes, and over ports, stands in `hardening_capabilities.denied`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping
from types import MappingProxyType

from hardening.base.linux import abi
from hardening.base.values import frozen
from hardening.mechanism.denial import SystemCall

#: Whose user namespace the kernel asks: the caller's own, that of its network, host name or mounts, that of the process
#: that it is about, the one above the one that it has just made, or the host's.
OWN, NET, UTS, MOUNT, PID, ABOVE, HOST = "user", "net", "uts", "mount", "pid", "above", "host"


@frozen(eq=False)
class Check:
    """Where the kernel asks for a ``capability``, and answers with one of ``errors`` without it. ``arguments`` maps an
    index to the values that it may have, in the bits of ``mask``; ``path``, ``address`` and ``attribute`` are patterns that
    what the call is about has to match, ``requests`` the types of messages of netlink(7) that it may be the answer to.
    ``always``: it is asked of every such call, whoever and whatever that is about. ``lifts``: it lifts a limit, which
    decides without it. ``stays``: what such a call changes outlasts the command, where that is not its own."""

    capability: str
    calls: frozenset[str]
    whose: str = OWN
    errors: Collection[str] = ("EPERM",)
    arguments: Mapping[int, Collection[int]] = MappingProxyType({})
    mask: int = 0xFFFFFFFF
    path: str = ""
    address: str = ""
    requests: Container[int] = ()
    attribute: str = ""
    always: bool = False
    lifts: bool = False
    stays: bool = False

    def fits(self, call: SystemCall) -> bool:
        """Whether a call, with its outcome, is one of these."""
        return (
            (not self.calls or call.name in self.calls)
            and call.outcome in self.errors
            and all(call.arguments[index] & self.mask in values for index, values in self.arguments.items())
            and (not self.path or re.fullmatch(self.path, call.path) is not None)
            and (not self.address or re.fullmatch(self.address, call.address) is not None)
            and (not self.requests or call.request in self.requests)
            and (not self.attribute or re.fullmatch(self.attribute, call.attribute) is not None)
        )


def _of(capability: str, calls: str, whose: str = OWN, **more: object) -> Check:
    return Check(capability, frozenset(calls.split()), whose, **more)  # type: ignore[arg-type]


def _each(capability: str, calls: str, whose: str = OWN, **more: object) -> Check:
    return _of(capability, calls, whose, always=True, **more)


_INTERFACE = (  # netdevice(7), and what bridges, routes, tunnels and ethtool(8) have
    0x890B, 0x890C, 0x8914, 0x8916, 0x8918, 0x891A, 0x891C, 0x891E, 0x8922, 0x8923, 0x8924, 0x8930, 0x8931, 0x8932,
    0x8934, 0x8936, 0x8937, 0x8943, 0x8946, 0x8948, 0x8971, 0x89A0, 0x89A1, 0x89A2, 0x89A3, 0x89F1, 0x89F2, 0x89F3,
)  # fmt: skip
#: Of another process's these are shown to who may trace it (proc(5), ptrace(2) "Ptrace access mode checking").
_TRACED = (
    r"/proc/(\d+|self)(/task/\d+)?/(auxv|cwd|environ|exe|fd|fdinfo|io|map_files|maps|mem|mountinfo|mounts|ns|pagemap|"
)
_TRACED += r"personality|root|smaps|smaps_rollup|stack|syscall|wchan)(/.*)?"

_PROCESS = r"/proc/(\d+|self|thread-self)(/task/\d+)?"

#: Records that programs send to the audit system, and what commands it (linux/audit.h, audit_netlink_ok).
_AUDIT_RECORDS = frozenset({1005, *range(1100, 1200), *range(2100, 3000)})
_AUDIT_COMMANDS = frozenset(range(1000, 1100)) - _AUDIT_RECORDS

CHECKS: tuple[Check, ...] = (
    _of("SETUID", "setuid setuid32 setreuid setreuid32 setresuid setresuid32 setfsuid"),
    _of("SETGID", "setgid setgid32 setregid setregid32 setresgid setresgid32 setgroups setgroups32"),
    # Ids of a user namespace below this one: others than one's own, and the root of this one (user_namespaces(7)).
    _of("SETUID", "", ABOVE, path=_PROCESS + "/uid_map"),
    _of("SETGID", "", ABOVE, path=_PROCESS + "/gid_map"),
    _of("SETFCAP", "", ABOVE, path=_PROCESS + "/uid_map"),
    _of("KILL", "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal", PID, stays=True),
    _of("SETPCAP", "prctl", arguments={0: (24, 28)}),  # PR_CAPBSET_DROP, PR_SET_SECUREBITS
    _of("SETFCAP", "setxattr lsetxattr fsetxattr setxattrat", attribute=r"security\.capability"),
    _of("SYS_ADMIN", "setxattr lsetxattr fsetxattr setxattrat", HOST, attribute=r"trusted\..*"),
    _each("SYS_ADMIN", "mount umount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsmount fspick fsconfig "
        "mount_setattr", MOUNT, stays=True),
    _each("SYS_ADMIN", "setns", HOST),  # of namespaces that others have made
    _each("SYS_ADMIN", "sethostname setdomainname", UTS, stays=True),
    _each("SYS_ADMIN", "swapon swapoff lookup_dcookie bdflush", HOST, stays=True),
    _of("SYS_ADMIN", "quotactl quotactl_fd", HOST, stays=True),
    _of("SYS_ADMIN", "fanotify_init", HOST),
    _of("SYS_ADMIN", "io_uring_setup", HOST),  # kernel.io_uring_disabled
    _of("SYS_ADMIN", "ioctl", arguments={1: (0x5412, 0x541D)}),  # TIOCSTI, TIOCCONS
    _of("SYS_ADMIN", "ioctl", arguments={1: (0xC0045877, 0xC0045878, 0xC0185879)}, stays=True),  # FIFREEZE, FITHAW, FITRIM
    _each("SYS_CHROOT", "chroot"),
    _of("SYS_PTRACE", "ptrace", PID, arguments={0: (16, 0x4206)}, stays=True),  # PTRACE_ATTACH, PTRACE_SEIZE
    _of("SYS_PTRACE", "process_vm_writev process_madvise", PID, stays=True),
    _of("SYS_PTRACE", "process_vm_readv kcmp pidfd_getfd get_robust_list", PID),
    _of("SYS_PTRACE", "", errors=("EACCES", "EPERM"), path=_TRACED),
    _of("SYS_PTRACE", "userfaultfd", HOST),
    _each("NET_RAW", "socket", NET, arguments={0: (2, 10), 1: (3, 10)}, mask=0xF),
    _each("NET_RAW", "socket", NET, arguments={0: (17,)}),  # AF_PACKET
    _of("NET_ADMIN", "ioctl", NET, arguments={1: _INTERFACE}, stays=True),
    _of("NET_ADMIN", "ioctl", arguments={1: (0x400454CA,)}),  # TUNSETIFF
    _of("NET_ADMIN", "setsockopt", NET, arguments={1: (1,), 2: (12, 32, 33, 36)}),  # SO_PRIORITY, …FORCE, SO_MARK
    _of("NET_ADMIN", "setsockopt getsockopt", NET, arguments={1: (0, 41), 2: (19, 64, 65, 66, 67, 75)}, stays=True),
    _of("NET_ADMIN", "bind", NET, address="netlink .*"),  # groups of multicast (netlink(7))
    _of("NET_ADMIN", "setsockopt", NET, arguments={1: (270,), 2: (1, 8)}),  # netlink(7): …ADD_MEMBERSHIP, …LISTEN_ALL_NSID
    # What is asked of the kernel by a message is answered by one.
    _of("NET_ADMIN", "recvmsg recvfrom", NET, address="netlink (?!audit).*", stays=True),
    _of("AUDIT_CONTROL", "recvmsg recvfrom", HOST, address="netlink audit", requests=_AUDIT_COMMANDS, stays=True),
    _of("AUDIT_WRITE", "recvmsg recvfrom", HOST, address="netlink audit", requests=_AUDIT_RECORDS),
    _of("NET_RAW", "setsockopt", NET, arguments={1: (1,), 2: (25,)}),  # SO_BINDTODEVICE
    _of("IPC_LOCK", "mlock mlock2 mlockall", HOST, errors=("EPERM", "ENOMEM", "EAGAIN"), lifts=True),
    _of("IPC_LOCK", "mmap mmap2", HOST, errors=("EPERM", "ENOMEM", "EAGAIN"), arguments={3: (abi.MAP_LOCKED,)},
        mask=abi.MAP_LOCKED, lifts=True),
    _of("IPC_LOCK", "shmctl", HOST, arguments={1: (11,)}, lifts=True),  # SHM_LOCK
    _of("IPC_OWNER", "msgget msgsnd msgrcv semget semop semtimedop shmget shmat", errors=("EACCES",)),
    _each("SYS_MODULE", "init_module finit_module delete_module", HOST, stays=True),
    _each("SYS_RAWIO", "iopl ioperm", HOST, stays=True),
    _each("SYS_PACCT", "acct", HOST, stays=True),
    _each("SYS_BOOT", "reboot", PID, stays=True),
    _each("SYS_BOOT", "kexec_load kexec_file_load", HOST, stays=True),
    _of("SYS_NICE", "setpriority nice sched_setscheduler sched_setparam sched_setattr", HOST, errors=("EPERM", "EACCES"),
        lifts=True),
    _of("SYS_NICE", "sched_setaffinity ioprio_set migrate_pages move_pages mbind", HOST),
    _of("SYS_RESOURCE", "setrlimit prlimit64 mq_open msgctl", HOST, lifts=True),
    _of("SYS_RESOURCE", "prctl", HOST, arguments={0: (35,)}),  # PR_SET_MM
    _of("SYS_RESOURCE", "fcntl fcntl64", HOST, arguments={1: (1031,)}),  # F_SETPIPE_SZ
    _of("SYS_RESOURCE", "", HOST, errors=("EACCES", "EPERM"), path=_PROCESS + "/(oom_score_adj|oom_adj)"),
    _each("SYS_TIME", "settimeofday stime clock_settime clock_settime64", HOST, stays=True),
    _of("SYS_TIME", "adjtimex clock_adjtime clock_adjtime64", HOST, stays=True),
    _each("SYS_TTY_CONFIG", "vhangup", HOST),
    _of("SYS_TTY_CONFIG", "ioctl", HOST, arguments={1: (0x4B3A, 0x4B61, 0x5605, 0x5606, 0x5607)}),  # KD*, VT_*
    _each("MKNOD", "mknod", HOST, arguments={1: (0x2000, 0x6000)}, mask=0xF000),  # S_IFCHR, S_IFBLK
    _each("MKNOD", "mknodat", HOST, arguments={2: (0x2000, 0x6000)}, mask=0xF000),
    _of("LEASE", "fcntl fcntl64", errors=("EACCES",), arguments={1: (1024,)}),  # F_SETLEASE
    _of("LINUX_IMMUTABLE", "ioctl", HOST, arguments={1: (0x40086602, 0x401C5820)}),  # FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR
    _of("AUDIT_CONTROL", "", HOST, path=_PROCESS + "/(loginuid|sessionid)"),
    _of("SYSLOG", "syslog", HOST, arguments={0: (4, 5, 6, 7, 8)}, stays=True),  # what empties the log, or the console
    _of("SYSLOG", "syslog", HOST),
    _of("SYSLOG", "open openat openat2", HOST, path="/dev/kmsg|/proc/kmsg"),
    _of("WAKE_ALARM", "timer_create timerfd_create", HOST, arguments={0: (8, 9)}),  # CLOCK_*_ALARM
    _of("PERFMON", "perf_event_open", HOST, errors=("EACCES", "EPERM")),
    _of("SYS_ADMIN", "bpf", HOST, arguments={0: (11, 12, 13, 14, 19, 20, 23, 30, 31)}),  # others' programs and maps
    _of("BPF", "bpf", HOST),
    _of("PERFMON", "bpf", HOST, arguments={0: (5,)}),  # BPF_PROG_LOAD, by its type
    _of("NET_ADMIN", "bpf", HOST, arguments={0: (5,)}),
    _each("DAC_READ_SEARCH", "open_by_handle_at", HOST),
)  # fmt: skip

#: What the kernel answers without one of them.
ERRORS = frozenset(error for check in CHECKS for error in check.errors)


#: Calls that every program makes, of which a capability opens some by their arguments.
_ORDINARY = frozenset(
    [
        "bind",
        "fcntl",
        "fcntl64",
        "getsockopt",
        "ioctl",
        "mmap",
        "mmap2",
        "prctl",
        "recvfrom",
        "recvmsg",
        "setsockopt",
        "socket",
    ]
)


def opened_by(capability: str) -> frozenset[str]:
    """The calls that a capability is for, and hardly anything else."""
    checks = [check for check in CHECKS if check.capability == capability and not check.attribute]
    return frozenset(call for check in checks for call in check.calls - _ORDINARY)


def has_other_uses(capability: str) -> bool:
    """Whether a capability is for something else, too: files of the kernel's, or what is no call at all."""
    checks = [check for check in CHECKS if check.capability == capability]
    return not checks or any(not check.calls or check.calls & _ORDINARY for check in checks)


def any_call(capability: str, whose: str = OWN) -> Check:
    """The kernel asks for a capability, of a call that is looked at elsewhere."""
    return _of(capability, "", whose)


def fitting(call: SystemCall) -> list[Check]:
    """Where the kernel may have asked during a call that failed, each capability once. Of a call that nobody has made, a
    question, where it always asks."""
    checks = [check for check in (*CHECKS, *_of_namespaces(call)) if check.fits(call)]
    found = {check.capability: check for check in reversed(checks) if check.always or not call.is_question}
    return list(found.values())


def _of_namespaces(call: SystemCall) -> Iterator[Check]:
    """What new namespaces take, unless a user namespace comes with them, which gives the capability in it."""
    if call.new_namespaces and not call.new_namespaces & abi.CLONE_NEWUSER:
        yield _each("SYS_ADMIN", call.name)
