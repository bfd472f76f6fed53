"""Names of the numbers that system calls are given, of which the arguments matter (the kernel's headers; a test compares
them)."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping

from hardening.base.linux import abi

#: Beside the namespaces, what is worth telling of clone(2) and its like.
NAMESPACES = {
    name: getattr(abi, name)
    for name in (
        "CLONE_NEWNS", "CLONE_NEWCGROUP", "CLONE_NEWUTS", "CLONE_NEWIPC", "CLONE_NEWUSER", "CLONE_NEWPID", "CLONE_NEWNET",
        "CLONE_NEWTIME",
    )
}  # fmt: skip
CLONE = {
    name: value for name, value in NAMESPACES.items() if name != "CLONE_NEWTIME"
}  # CSIGNAL has its bit in clone(2)

FAMILIES = {
    "AF_UNIX": 1, "AF_INET": 2, "AF_AX25": 3, "AF_IPX": 4, "AF_APPLETALK": 5, "AF_X25": 9, "AF_INET6": 10, "AF_KEY": 15,
    "AF_NETLINK": 16, "AF_PACKET": 17, "AF_RDS": 21, "AF_PPPOX": 24, "AF_CAN": 29, "AF_TIPC": 30, "AF_BLUETOOTH": 31,
    "AF_ALG": 38, "AF_VSOCK": 40, "AF_QIPCRTR": 42, "AF_SMC": 43, "AF_XDP": 44,
}  # fmt: skip
SOCKETS = {"SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3, "SOCK_RDM": 4, "SOCK_SEQPACKET": 5, "SOCK_PACKET": 10}
PROTOCOLS = {
    "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17, "IPPROTO_ICMPV6": 58, "IPPROTO_SCTP": 132, "IPPROTO_RAW": 255,
}  # fmt: skip
NETLINK = {
    "NETLINK_ROUTE": 0, "NETLINK_USERSOCK": 2, "NETLINK_FIREWALL": 3, "NETLINK_SOCK_DIAG": 4, "NETLINK_NFLOG": 5,
    "NETLINK_XFRM": 6, "NETLINK_SELINUX": 7, "NETLINK_ISCSI": 8, "NETLINK_AUDIT": 9, "NETLINK_FIB_LOOKUP": 10,
    "NETLINK_CONNECTOR": 11, "NETLINK_NETFILTER": 12, "NETLINK_KOBJECT_UEVENT": 15, "NETLINK_GENERIC": 16,
    "NETLINK_CRYPTO": 21,
}  # fmt: skip
ROUTE = {
    "RTM_NEWLINK": 16, "RTM_DELLINK": 17, "RTM_GETLINK": 18, "RTM_SETLINK": 19, "RTM_NEWADDR": 20, "RTM_DELADDR": 21,
    "RTM_NEWROUTE": 24, "RTM_DELROUTE": 25, "RTM_NEWNEIGH": 28, "RTM_DELNEIGH": 29, "RTM_NEWRULE": 32, "RTM_DELRULE": 33,
    "RTM_NEWQDISC": 36, "RTM_DELQDISC": 37, "RTM_NEWTCLASS": 40, "RTM_NEWTFILTER": 44, "RTM_NEWNSID": 88,
}  # fmt: skip
SOCKET_OPTIONS = {
    "SO_DEBUG": 1, "SO_PRIORITY": 12, "SO_BINDTODEVICE": 25, "SO_ATTACH_FILTER": 26, "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33, "SO_MARK": 36, "SO_REUSEPORT": 15, "SO_REUSEADDR": 2, "SO_ATTACH_BPF": 50, "SO_KEEPALIVE": 9,
}  # fmt: skip
IP_OPTIONS = {"IP_HDRINCL": 3, "IP_TRANSPARENT": 19, "IP_FREEBIND": 15, "IP_TOS": 1}
LEVELS = {"SOL_SOCKET": 1, "SOL_IP": 0, "SOL_TCP": 6, "SOL_UDP": 17, "SOL_IPV6": 41, "SOL_RAW": 255, "SOL_PACKET": 263,
          "SOL_ALG": 279}  # fmt: skip

MOUNT = {
    "MS_RDONLY": 1, "MS_NOSUID": 2, "MS_NODEV": 4, "MS_NOEXEC": 8, "MS_SYNCHRONOUS": 16, "MS_REMOUNT": 32, "MS_BIND": 4096,
    "MS_MOVE": 8192, "MS_REC": 16384, "MS_UNBINDABLE": abi.MS_UNBINDABLE, "MS_PRIVATE": abi.MS_PRIVATE,
    "MS_SLAVE": abi.MS_SLAVE, "MS_SHARED": abi.MS_SHARED,
}  # fmt: skip
PROTECTION = {"PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4}
MAPPING = {"MAP_LOCKED": abi.MAP_LOCKED, "MAP_HUGETLB": 0x40000}
PRCTL = {
    "PR_SET_PDEATHSIG": 1, "PR_GET_PDEATHSIG": 2, "PR_GET_DUMPABLE": 3, "PR_SET_DUMPABLE": 4, "PR_GET_KEEPCAPS": 7,
    "PR_SET_KEEPCAPS": 8, "PR_SET_TIMING": 14, "PR_SET_NAME": 15, "PR_GET_NAME": 16, "PR_GET_SECCOMP": 21,
    "PR_SET_SECCOMP": 22, "PR_CAPBSET_READ": 23, "PR_CAPBSET_DROP": 24, "PR_SET_SECUREBITS": 28, "PR_SET_TIMERSLACK": 29,
    "PR_MCE_KILL": 33, "PR_SET_MM": 35, "PR_SET_CHILD_SUBREAPER": 36, "PR_SET_NO_NEW_PRIVS": 38, "PR_GET_NO_NEW_PRIVS": 39,
    "PR_SET_THP_DISABLE": 41, "PR_CAP_AMBIENT": 47, "PR_GET_SPECULATION_CTRL": 52, "PR_SET_SPECULATION_CTRL": 53,
    "PR_SET_IO_FLUSHER": 57, "PR_SET_SYSCALL_USER_DISPATCH": 59, "PR_SCHED_CORE": 62, "PR_SET_MDWE": 65,
    "PR_SET_VMA": 0x53564D41, "PR_SET_PTRACER": 0x59616D61,
}  # fmt: skip
PTRACE = {
    "PTRACE_TRACEME": 0, "PTRACE_PEEKDATA": 2, "PTRACE_CONT": 7, "PTRACE_ATTACH": 16, "PTRACE_DETACH": 17,
    "PTRACE_SEIZE": 0x4206,
}  # fmt: skip
BPF = {
    "BPF_MAP_CREATE": 0, "BPF_MAP_LOOKUP_ELEM": 1, "BPF_MAP_UPDATE_ELEM": 2, "BPF_PROG_LOAD": 5, "BPF_OBJ_PIN": 6,
    "BPF_OBJ_GET": 7, "BPF_PROG_ATTACH": 8, "BPF_BTF_LOAD": 18, "BPF_LINK_CREATE": 28,
}  # fmt: skip
KEYCTL = {
    "KEYCTL_GET_KEYRING_ID": 0, "KEYCTL_JOIN_SESSION_KEYRING": 1, "KEYCTL_REVOKE": 3, "KEYCTL_SETPERM": 5,
    "KEYCTL_DESCRIBE": 6, "KEYCTL_LINK": 8, "KEYCTL_SEARCH": 10, "KEYCTL_READ": 11,
}  # fmt: skip
SECCOMP = {"SECCOMP_SET_MODE_STRICT": 0, "SECCOMP_SET_MODE_FILTER": 1, "SECCOMP_GET_ACTION_AVAIL": 2,
           "SECCOMP_GET_NOTIF_SIZES": 3}  # fmt: skip
MLOCKALL = {"MCL_CURRENT": 1, "MCL_FUTURE": 2, "MCL_ONFAULT": 4}
FCNTL = {"F_SETFL": 4, "F_SETLK": 6, "F_SETLKW": 7, "F_SETOWN": 8, "F_SETLEASE": 1024, "F_SETPIPE_SZ": 1031,
         "F_ADD_SEALS": 1033}  # fmt: skip
#: ioctl(2): requests that something may refuse, by the device or kind of file that they are for.
IOCTL = {
    "TCGETS": 0x5401, "TCSETS": 0x5402, "TCSETSW": 0x5403, "TCSETSF": 0x5404, "TIOCSCTTY": 0x540E, "TIOCGPGRP": 0x540F,
    "TIOCSPGRP": 0x5410, "TIOCSTI": 0x5412, "TIOCGWINSZ": 0x5413, "TIOCSWINSZ": 0x5414, "TIOCLINUX": 0x541C,
    "TIOCCONS": 0x541D, "TIOCNOTTY": 0x5422, "FIONREAD": 0x541B, "FIONBIO": 0x5421, "TIOCGPTPEER": 0x5441,
    "TIOCSPTLCK": abi.TIOCSPTLCK, "TIOCGPTN": 0x80045430,
    "FS_IOC_GETFLAGS": 0x80086601, "FS_IOC_SETFLAGS": 0x40086602, "FICLONE": 0x40049409, "FIFREEZE": 0xC0045877,
    "FITRIM": 0xC0185879, "BLKGETSIZE64": 0x80081272, "BLKRRPART": 0x125F,
    "SIOCGIFCONF": 0x8912, "SIOCGIFFLAGS": abi.SIOCGIFFLAGS, "SIOCSIFFLAGS": abi.SIOCSIFFLAGS, "SIOCGIFADDR": 0x8915,
    "SIOCSIFADDR": 0x8916, "SIOCSIFMTU": 0x8922, "SIOCGIFHWADDR": 0x8927, "SIOCSIFNAME": 0x8923, "SIOCETHTOOL": 0x8946,
    "TUNSETIFF": 0x400454CA, "KVM_CREATE_VM": 0xAE01, "KVM_GET_API_VERSION": 0xAE00, "LOOP_CTL_GET_FREE": 0x4C82,
    "LOOP_SET_FD": 0x4C00, "LOOP_CONFIGURE": 0x4C0A, "RTC_SET_TIME": 0x4024700A, "RTC_RD_TIME": 0x80247009,
    "PERF_EVENT_IOC_ENABLE": 0x2400, "NS_GET_USERNS": abi.NS_GET_USERNS, "NS_GET_PARENT": abi.NS_GET_PARENT,
    "NS_GET_NSTYPE": abi.NS_GET_NSTYPE,
}  # fmt: skip
SIGNALS = {member.name: int(member) for member in signal.Signals}
#: All of them.
NUMBERS = {
    **NAMESPACES, **FAMILIES, **SOCKETS, **PROTOCOLS, **NETLINK, **ROUTE, **SOCKET_OPTIONS, **IP_OPTIONS, **LEVELS, **MOUNT,
    **PROTECTION, **MAPPING, **PRCTL, **PTRACE, **BPF, **KEYCTL, **SECCOMP, **MLOCKALL, **FCNTL, **IOCTL, **SIGNALS,
}  # fmt: skip


def word(table: Mapping[str, int], number: int) -> str:
    """The name of a number; the number itself, in hexadecimal, without one."""
    return next((name for name, value in table.items() if value == number), hex(number))


def words(table: Mapping[str, int], bits: int) -> Iterator[str]:
    """The names of the bits that are set."""
    return (name for name, value in table.items() if value and bits & value == value)
