"""Attacks on files: the kernel's own in /proc, mounts, devices, and what the volumes of the attempts show.

The volume `/srv` is the victim's directory; `/opt` is another one with programs in it.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from tests.escape.attacks.kit import Given, Refused, call, packed

MS_REMOUNT, MS_BIND, MS_RDONLY = 0x20, 0x1000, 1
AT_FDCWD = -100
OPEN_TREE_CLONE = 1
AT_EMPTY_PATH = 0x1000


def _opened(path: str) -> str:
    """Open for writing; nothing is written."""
    os.close(os.open(path, os.O_WRONLY))
    return f"{path} open for writing"


def _same(path: str, given: Given) -> str:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text != given.canary:
        raise Refused("another file")
    return "the canary"


def _text(fd: int, what: str) -> str:
    size = len(os.read(fd, 4096))
    os.close(fd)
    if not size:
        raise Refused("an empty file")
    return f"{size} bytes of {what}"


def core_pattern(given: Given) -> str:
    """The program that the host's kernel starts as root when a process crashes."""
    return _opened("/proc/sys/kernel/core_pattern")


def sysctl(given: Given) -> str:
    """A setting of the whole machine."""
    return _opened("/proc/sys/vm/overcommit_memory")


def sysrq(given: Given) -> str:
    """Commands to the host's kernel, among them to restart at once."""
    return _opened("/proc/sysrq-trigger")


def masked(given: Given) -> str:
    """A masked file: when which device interrupts tells when keys are pressed."""
    return _text(os.open("/proc/interrupts", os.O_RDONLY), "interrupts")


def home(given: Given) -> str:
    """A secret in the home directory of whoever launched."""
    return _same(given.secret, given)


def shown(given: Given) -> str:
    """A file of the host that a volume shows."""
    return _same("/srv/canary", given)


def write_volume(given: Given) -> str:
    """A file in a volume that is meant to be read."""
    return _opened("/srv/canary")


def remount(given: Given) -> str:
    """Make a read-only mount writable again (mount(2), MS_REMOUNT)."""
    call("mount", 0, b"/srv", 0, MS_REMOUNT | MS_BIND, 0)
    return _opened("/srv/canary")


def mount_setattr(given: Given) -> str:
    """Make a read-only mount writable again (mount_setattr(2))."""
    call("mount_setattr", AT_FDCWD, b"/srv", 0, packed(0, 1, 0, 0), 32)
    return _opened("/srv/canary")


def bind_proc(given: Given) -> str:
    """Look at /proc past the mounts that mask files in it: a bind mount that leaves them out."""
    os.makedirs("/tmp/proc", exist_ok=True)
    call("mount", b"/proc", b"/tmp/proc", 0, MS_BIND, 0)
    return _text(os.open("/tmp/proc/interrupts", os.O_RDONLY), "interrupts")


def clone_proc(given: Given) -> str:
    """The same without a mount point (open_tree(2))."""
    tree = call("open_tree", AT_FDCWD, b"/proc", OPEN_TREE_CLONE | os.O_CLOEXEC)
    return _text(os.open("interrupts", os.O_RDONLY, dir_fd=tree), "interrupts")


def cover_mask(given: Given) -> str:
    """Take a mask away (umount2(2))."""
    call("umount2", b"/proc/interrupts", 2)
    return masked(given)


def move_mask(given: Given) -> str:
    """Move a mask elsewhere (move_mount(2))."""
    os.close(os.open("/tmp/mask", os.O_CREAT | os.O_WRONLY, 0o600))
    call("move_mount", AT_FDCWD, b"/proc/interrupts", AT_FDCWD, b"/tmp/mask", 0)
    return masked(given)


def new_proc(given: Given) -> str:
    """A new /proc, without masks (mount(2))."""
    os.makedirs("/tmp/new", exist_ok=True)
    call("mount", b"proc", b"/tmp/new", b"proc", 0, 0)
    return _text(os.open("/tmp/new/interrupts", os.O_RDONLY), "interrupts")


def fsopen(given: Given) -> str:
    """A new file system (fsopen(2))."""
    os.close(call("fsopen", b"tmpfs", 1))
    return "a context"


def fspick(given: Given) -> str:
    """The parameters of a mounted file system (fspick(2))."""
    os.close(call("fspick", AT_FDCWD, b"/tmp", 1))
    return "a context"


def pivot_root(given: Given) -> str:
    """Another root for every process; these directories cannot be one, and EINVAL is the answer to those who may."""
    try:
        call("pivot_root", b"/usr/lib", b"/usr/lib")
    except OSError as error:
        if error.errno == 22:
            return "permitted"
        raise
    raise Refused("no answer")


def chroot_low(given: Given) -> str:
    """A root of the attacker's choice, for the set-user-id programs that it starts there (chroot(2))."""
    call("chroot", b"/usr")
    return str(sorted(os.listdir("/"))[:1])


def release_agent(given: Given) -> str:
    """The program that the host's kernel starts as root when a cgroup is empty (CVE-2022-0492)."""
    os.makedirs("/tmp/cgroup", exist_ok=True)
    call("mount", b"cgroup", b"/tmp/cgroup", b"cgroup", 0, given.controller.encode())
    try:
        with open("/tmp/cgroup/release_agent", "rb+", buffering=0) as file:
            file.write(file.read() or b"\n")  # as it is; the kernel asks who writes
    finally:
        call("umount2", b"/tmp/cgroup", 2)
    return "written, as it was"


def leave_cgroup(given: Given) -> str:
    """Move to the top of the cgroup tree, where no limit is (cgroups(7))."""
    os.makedirs("/tmp/cgroup", exist_ok=True)
    kind, options, mark = (b"cgroup", b"pids", ":pids:") if given.controller else (b"cgroup2", 0, "0::")
    call("mount", kind, b"/tmp/cgroup", kind, 0, options)
    before = _group(mark)
    with open("/tmp/cgroup/cgroup.procs", "wb", buffering=0) as file:
        file.write(b"0")
    if _group(mark) == before:
        raise Refused(f"still in {before}")
    return f"from {before} to {_group(mark)}"


def _group(mark: str) -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return next(line.rstrip("\n").split(":", 2)[2] for line in file if mark in line)


def disk(given: Given) -> str:
    """The host's disk, whole: a node for it, opened to read."""
    name = "/tmp/disk"
    os.mknod(name, 0o600 | stat.S_IFBLK, given.disk)
    os.close(os.open(name, os.O_RDONLY))
    return "open for reading"


def plant_set_user_id(given: Given) -> str:
    """A file on the host that has the bit; nothing is in it, and it goes at once."""
    with open("/srv/planted", "wb") as file:
        try:
            os.fchmod(file.fileno(), 0o4700)
            return oct(os.fstat(file.fileno()).st_mode)
        finally:
            os.unlink("/srv/planted")


def plant_capability(given: Given) -> str:
    """The same with CAP_KILL: struct vfs_cap_data, version 2."""
    with open("/srv/planted", "wb") as file:
        try:
            os.setxattr(file.fileno(), "security.capability", struct.pack("<5I", 0x02000001, 1 << 5, 0, 0, 0))
            return str(os.listxattr(file.fileno()))
        finally:
            os.unlink("/srv/planted")


def planted_disk(given: Given) -> str:
    """A node for the host's disk that lies in a volume."""
    os.close(os.open("/opt/disk", os.O_RDONLY))
    return "open for reading"


def dropped_program(given: Given) -> str:
    """A program that the attacker has put into a writable directory."""
    with open("/usr/bin/true", "rb") as source, open("/tmp/payload", "wb") as file:
        file.write(source.read())
    os.chmod("/tmp/payload", 0o700)
    _ran("/tmp/payload")
    return "executed"


def set_user_id(given: Given) -> str:
    """A program that lends the id of its owner."""
    before = os.geteuid()
    now = int(_ran("/opt/whoami"))
    if now == before:
        raise Refused(f"still {before}")
    return f"from {before} to {now}"


def file_capability(given: Given) -> str:
    """A program that lends a capability (capabilities(7))."""
    found = _ran("/opt/capable", "--status")
    held = int(next(line for line in found.splitlines() if line.startswith("CapPrm:")).split()[1], 16)
    if not held:
        raise Refused("no capability")
    return f"CapPrm {held:x}"


def _ran(*argv: str) -> str:
    """What a program prints; `OSError` where it cannot be executed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, 1)
            os.execv(argv[0], list(argv))
        except OSError as error:
            os._exit(error.errno or 1)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code and not text:
        raise OSError(code, os.strerror(code))
    return text


def open_by_handle(given: Given) -> str:
    """A file outside of the root, by its number in the file system (open_by_handle_at(2), CVE-2014-3519)."""
    kind, data = given.handle
    handle = bytes.fromhex(data)
    structure = len(handle).to_bytes(4, "little") + kind.to_bytes(4, "little") + handle
    there = os.open("/usr", os.O_RDONLY)
    fd = call("open_by_handle_at", there, ctypes.create_string_buffer(structure, len(structure)), os.O_RDONLY)
    if os.read(fd, 100).decode() != given.canary:
        raise Refused("another file")
    return "the canary"
