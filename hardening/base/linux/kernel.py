"""One thin wrapper for each system call that the standard library lacks.

Every wrapper raises `OSError` with the kernel's errno; `remedy` puts an errno of a failed step into words.
"""

from __future__ import annotations

import errno
import sys

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.linux import abi
from hardening.base.linux._libc import ffi
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

syscall = ffi.dlopen(None).syscall
_CALLS = {**abi.CALLS.get(os.uname().machine, {}), **abi.UNIFIED_CALLS}

CONTROL = 16  # sizeof(struct cmsghdr): what stands before the descriptors

REMEDIES = {
    errno.ENOSYS: "this kernel lacks the call (Linux 5.12 or later has all that is needed), or a seccomp filter around"
    " this process answers ENOSYS",
    errno.EPERM: "the kernel refuses this to the caller: run as root or with a user namespace, and check that no outer"
    " container, seccomp filter, AppArmor or sysctl (kernel.unprivileged_userns_clone,"
    " kernel.apparmor_restrict_unprivileged_userns) forbids it",
    errno.EACCES: "a directory on the path cannot be traversed, or the file not opened, by this user",
    errno.ENOSPC: "a limit is reached: see user.max_*_namespaces and fs.mount-max in sysctl",
    errno.EUSERS: "user namespaces are nested too deep (32 levels)",
    errno.ENODEV: "the kernel does not know this file system type",
    errno.EROFS: "the file system is read-only: create the directory beforehand",
    errno.EAGAIN: "a limit on processes is reached: see `ulimit -u` and pids.max",
    errno.ENOMEM: "the memory limit is too small, or the host has none left",
}


def remedy(number: int | None) -> str | None:
    """What a person can do about an errno, or None when the message says enough."""
    return REMEDIES.get(number) if number is not None else None


def call_number(name: str) -> int:
    """The number of a system call on this machine; `OSError` ENOSYS for a machine that is not known."""
    number = _CALLS.get(name)
    if number is None or "clone" not in _CALLS:
        raise OSError(errno.ENOSYS, f"no table of system calls for the machine {os.uname().machine}")
    return number


def call(name: str, *arguments: Any) -> int:
    """Call the kernel. Integers go as they are, bytes as a C string, cdata as its address."""
    raw = [0, 0, 0, 0, 0, 0]
    alive = []
    for index, argument in enumerate(arguments):
        if type(argument) is int:
            raw[index] = argument
            continue
        pointer = ffi.new("char[]", argument) if type(argument) is bytes else argument
        alive.append(pointer)
        raw[index] = int(ffi.cast("intptr_t", pointer))
    result: int = syscall(call_number(name), *raw)
    if result < 0:
        number = ffi.errno
        raise OSError(number, os.strerror(number))
    return result


def clone(flags: int) -> int:
    """fork(2) with ``CLONE_*`` flags: 0 in the child, its pid in the parent. Only for a process of one thread."""
    return call("clone", flags | abi.SIGCHLD, 0, 0, 0, 0)


def unshare(flags: int) -> None:
    """unshare(2)."""
    call("unshare", flags)


def setns(fd: int, kind: int) -> None:
    """setns(2); ``kind`` is the ``CLONE_NEW*`` flag that the namespace must have."""
    call("setns", fd, kind)


def syncfs(fd: int) -> None:
    """syncfs(2)."""
    call("syncfs", fd)


def pivot_root(new: bytes, old: bytes) -> None:
    """pivot_root(2)."""
    call("pivot_root", new, old)


def umount(path: bytes, flags: int) -> None:
    """umount2(2)."""
    call("umount2", path, flags)


def open_tree(directory: int, path: bytes, flags: int) -> int:
    """open_tree(2): a descriptor, close-on-exec."""
    if not path:
        flags |= abi.AT_EMPTY_PATH
    return call("open_tree", directory, path, flags | abi.OPEN_TREE_CLOEXEC)


def move_mount(tree: int, target: int) -> None:
    """move_mount(2) of a detached tree onto the place that ``target`` (O_PATH) holds open."""
    call("move_mount", tree, b"", target, b"", abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH)


def mount_setattr(
    tree: int, *, add: int = 0, clear: int = 0, propagation: int = 0, userns: int = 0, recursive: bool = False
) -> None:
    """mount_setattr(2) on the mount that ``tree`` refers to, with ``recursive`` on all below it."""
    attributes = ffi.new("struct mount_attr *")
    attributes.attr_set, attributes.attr_clr = add, clear
    attributes.propagation, attributes.userns_fd = propagation, userns
    flags = abi.AT_EMPTY_PATH | (abi.AT_RECURSIVE if recursive else 0)
    call("mount_setattr", tree, b"", flags, attributes, ffi.sizeof("struct mount_attr"))


def new_filesystem(kind: str, options: Iterable[tuple[str, str | None]], attributes: int, source: str = "") -> int:
    """fsopen(2), fsconfig(2), fsmount(2): a detached mount. The kernel's own words go into the `OSError`."""
    with Opened(call("fsopen", files.encode(kind), abi.FSOPEN_CLOEXEC)) as context:
        try:
            for key, value in (("source", source or kind), *options):
                if value is None:
                    call("fsconfig", context, abi.FSCONFIG_SET_FLAG, key.encode(), 0, 0)
                else:
                    call("fsconfig", context, abi.FSCONFIG_SET_STRING, key.encode(), files.encode(value), 0)
            call("fsconfig", context, abi.FSCONFIG_CMD_CREATE, 0, 0, 0)
            return call("fsmount", context, abi.FSMOUNT_CLOEXEC, attributes)
        except OSError as error:
            raise OSError(error.errno, _context_message(context) or os.strerror(error.errno or 0)) from error


def _context_message(context: int) -> str:
    """The last complaint in a file system context's log, or ''."""
    lines: list[str] = []
    while True:
        try:
            lines.append(os.read(context, 4096).decode(errors="replace").strip())
        except OSError:  # ENODATA: the log is empty
            return lines[-1].partition(" ")[2] if lines else ""


def openat2(directory: int, path: bytes, flags: int, resolve: int) -> int:
    """openat2(2), close-on-exec. With RESOLVE_IN_ROOT ``directory`` is the root for every link and `..`."""
    how = ffi.new("struct open_how *")
    how.flags, how.resolve = flags | os.O_CLOEXEC, resolve
    while True:
        try:
            return call("openat2", directory, path, how, ffi.sizeof("struct open_how"))
        except OSError as error:
            if error.errno != errno.EAGAIN:  # a rename raced with the look-up of '..'
                raise


def mount_id(path: str) -> int:
    """The id of the mount that the file behind ``path`` is seen through (statx(2))."""
    buffer = ffi.new("char[256]")
    call("statx", abi.AT_FDCWD, files.encode(path), 0, abi.STATX_MNT_ID, buffer)
    return int.from_bytes(ffi.buffer(buffer)[144:152], "little")


def file_attributes(path: str) -> int:
    """The ``STATX_ATTR_*`` of a file (statx(2)); a link is not followed."""
    buffer = ffi.new("char[256]")
    call("statx", abi.AT_FDCWD, files.encode(path), abi.AT_SYMLINK_NOFOLLOW, 0, buffer)
    return int.from_bytes(ffi.buffer(buffer)[8:16], "little")


def prctl(option: int, *arguments: int) -> int:
    """prctl(2)."""
    return call("prctl", option, *arguments)


def prlimit(pid: int, number: int, soft: int, hard: int) -> None:
    """prlimit(2) on a process, 0 for this one; 2**64 - 1 is no limit."""
    limit = ffi.new("struct rlimit64 *")
    limit.soft, limit.hard = soft, hard
    call("prlimit64", pid, number, limit, 0)


def socket(family: int, kind: int, protocol: int = 0) -> int:
    """socket(2), close-on-exec."""
    return call("socket", family, kind | abi.SOCK_CLOEXEC, protocol)


def connect_unix(fd: int, path: bytes) -> None:
    """connect(2) in the UNIX domain to the socket at a path."""
    address = abi.AF_UNIX.to_bytes(2, sys.byteorder) + path + b"\0"
    call("connect", fd, address, len(address))


def socketpair(kind: int) -> tuple[int, int]:
    """socketpair(2) in the UNIX domain, close-on-exec."""
    pair = ffi.new("int[2]")
    call("socketpair", abi.AF_UNIX, kind | abi.SOCK_CLOEXEC, 0, pair)
    return pair[0], pair[1]


def sendmsg(fd: int, data: bytes, rights: tuple[int, ...] = ()) -> None:
    """sendmsg(2) of one packet, with descriptors beside it (cmsg(3), SCM_RIGHTS). A closed other end is EPIPE."""
    beside = b""
    if rights:
        numbers = (abi.SOL_SOCKET, abi.SCM_RIGHTS, *rights)
        length = CONTROL + 4 * len(rights)
        beside = length.to_bytes(8, sys.byteorder) + b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)
    buffer, control = ffi.new("char[]", data), ffi.new("char[]", beside)
    message, _vector = _message(buffer, len(data), control, len(beside))
    call("sendmsg", fd, message, abi.MSG_NOSIGNAL)


def recvmsg(fd: int, longest: int, most: int) -> tuple[bytes, tuple[int, ...]]:
    """recvmsg(2) of one packet of at most ``longest`` bytes with at most ``most`` descriptors, which are close-on-exec.

    The packet is b'' when the other end is closed.
    """
    buffer, control = ffi.new("char[]", longest), ffi.new("char[]", CONTROL + 4 * most)
    message, _vector = _message(buffer, longest, control, CONTROL + 4 * most)
    got = call("recvmsg", fd, message, abi.MSG_CMSG_CLOEXEC)
    beside = bytes(ffi.buffer(control, message.controllen))[CONTROL:]
    rights = [beside[at : at + 4] for at in range(0, len(beside) - 3, 4)]
    return bytes(ffi.buffer(buffer, got)), tuple(int.from_bytes(right, sys.byteorder) for right in rights)


def _message(buffer: Any, size: int, control: Any, control_size: int) -> tuple[Any, Any]:
    """A struct msghdr of one vector, and the vector, which the caller must keep alive."""
    message, vector = ffi.new("struct msghdr *"), ffi.new("struct iovec *")
    vector.base, vector.len = buffer, size
    message.iov, message.iovlen = vector, 1
    message.control, message.controllen = control, control_size
    return message, vector


def capget() -> tuple[int, int, int]:
    """This process's (effective, permitted, inheritable) sets as bit masks."""
    header, data = _capability_buffers()
    call("capget", header, data)
    return (
        data[0].effective | data[1].effective << 32,
        data[0].permitted | data[1].permitted << 32,
        data[0].inheritable | data[1].inheritable << 32,
    )


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) from three bit masks."""
    header, data = _capability_buffers()
    for half in (0, 1):
        data[half].effective = effective >> 32 * half & 0xFFFFFFFF
        data[half].permitted = permitted >> 32 * half & 0xFFFFFFFF
        data[half].inheritable = inheritable >> 32 * half & 0xFFFFFFFF
    call("capset", header, data)


def _capability_buffers() -> tuple[Any, Any]:
    header = ffi.new("struct cap_header *")
    header.version = abi.LINUX_CAPABILITY_VERSION_3
    return header, ffi.new("struct cap_data[2]")


def seccomp(program: bytes, flags: int) -> None:
    """Install a BPF program (struct sock_filter, 8 bytes each) as seccomp filter of this process."""
    code = ffi.new("char[]", program)
    filter_ = ffi.new("struct sock_fprog *")
    filter_.len, filter_.filter = len(program) // 8, code
    call("seccomp", abi.SECCOMP_SET_MODE_FILTER, flags, filter_)


def sethostname(name: bytes) -> None:
    """sethostname(2)."""
    call("sethostname", name, len(name))


def setdomainname(name: bytes) -> None:
    """setdomainname(2)."""
    call("setdomainname", name, len(name))


def new_session_keyring() -> None:
    """Leave the caller's session keyring for a new, anonymous one (keyctl(2)).

    Nothing where there are no keys. EPERM can only come from a filter around this process, and what that forbids here
    it forbids to the command as well.
    """
    try:
        call("keyctl", abi.KEYCTL_JOIN_SESSION_KEYRING, 0)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def madvise(start: int, size: int, advice: int) -> None:
    """madvise(2) on ``size`` bytes from the address ``start`` on."""
    call("madvise", start, size, advice)


def close_on_exec_from(first: int) -> None:
    """Mark every descriptor from ``first`` up as close-on-exec (close_range(2))."""
    call("close_range", first, 0xFFFFFFFF, abi.CLOSE_RANGE_CLOEXEC)


def signalfd(signals: Iterable[int]) -> int:
    """signalfd(2) for ``signals``, close-on-exec, non-blocking."""
    mask = sum(1 << number - 1 for number in signals)
    return call("signalfd4", -1, mask.to_bytes(8, "little"), 8, os.O_CLOEXEC | os.O_NONBLOCK)


def pidfd_getfd(process: int, fd: int) -> int:
    """A copy of a descriptor of the process that ``process`` (pidfd_open(2)) refers to, close-on-exec."""
    return call("pidfd_getfd", process, fd, 0)


def inotify(path: bytes, events: int) -> int:
    """An inotify(7) descriptor, close-on-exec, for ``events`` (``IN_*``) of one file or directory."""
    fd = call("inotify_init1", os.O_CLOEXEC)
    try:
        call("inotify_add_watch", fd, path, events)
    except OSError:
        os.close(fd)
        raise
    return fd
