"""Features of the kernel that a test needs: `require` skips the test where this host lacks one.

Only the kernel, its configuration and which system this is count. A missing program is a failure: set-up installs it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest

from tests.support import audit

#: How the reason of every skip by `require` begins; the summary at the end of a run collects these.
PREFIX = "this host lacks "

#: What /proc/PID/loginuid says where nobody has logged in.
UNSET_LOGINUID = str(2**32 - 1)

#: It alone keeps what was killed from dying.
FREEZER = Path("/sys/fs/cgroup/freezer")

_SYS_OPEN_TREE = 428
_SYS_MOUNT_SETATTR = 442
_SYS_LANDLOCK_CREATE_RULESET = 444


@attrs.frozen
class Feature:
    """One feature: ``what`` names it for people, ``present`` asks the kernel."""

    what: str
    present: Callable[[], bool]


def require(name: str) -> None:
    """Skip the calling test unless the host has the feature; an unknown name is a `KeyError`."""
    if not available(name):
        pytest.skip(f"{PREFIX}{name}: {FEATURES[name].what}")


@cache
def available(name: str) -> bool:
    """Whether the host has the feature, asked once a run."""
    return FEATURES[name].present()


def _unshare(*arguments: str) -> bool:
    return subprocess.run(["unshare", *arguments], check=False, capture_output=True).returncode == 0


def _gives_rights_up() -> bool:
    """Who is not root has none to give up."""
    argv = ["setpriv", "--clear-groups", "--regid=65534", "--reuid=65534", "true"]
    return os.geteuid() != 0 or subprocess.run(argv, check=False, capture_output=True).returncode == 0


def _filesystem(name: str) -> bool:
    lines = Path("/proc/filesystems").read_text().split("\n")
    return name in (line.split("\t")[-1] for line in lines)


def _mounts(*arguments: str) -> bool:
    """Whether a mount works in namespaces of our own, as whoever runs the tests."""
    return _unshare("--user", "--map-root-user", "--mount", "--pid", "--fork", "mount", *arguments, "/mnt")


def _mounts_cgroup2() -> bool:
    """As root, or in user and cgroup namespaces of our own."""
    mount = ("--mount", "mount", "-t", "cgroup2", "cgroup2", "/mnt")
    return _unshare(*mount) if os.geteuid() == 0 else _unshare("--user", "--map-root-user", "--cgroup", *mount)


def _landlock() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, 1)) > 0


def _idmapped(filesystem: str) -> bool:
    """Clone a mount of /mnt under ``filesystem`` and map its ids, mount_setattr(2)."""
    if os.geteuid() != 0:
        return False
    code = f"""
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
holder = subprocess.Popen(["unshare", "--user", "--map-users=0:0:1", "--map-groups=0:0:1", "cat"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
holder.stdin.write(b"x"); holder.stdin.flush(); holder.stdout.read(1)
user = os.open(f"/proc/{{holder.pid}}/ns/user", os.O_RDONLY)
where = sys.argv[1]
tree = libc.syscall({_SYS_OPEN_TREE}, -100, where.encode(), 1 | os.O_CLOEXEC)
attr = (ctypes.c_uint64 * 4)(0x00100000, 0, 0, user)
done = libc.syscall({_SYS_MOUNT_SETATTR}, tree, b"", 0x1000, ctypes.byref(attr), 32)
holder.stdin.close(); holder.wait()
sys.exit(done != 0)
"""
    mount = "mount -t tmpfs tmpfs /mnt && " if filesystem == "tmpfs" else ""
    where = "/mnt" if filesystem == "tmpfs" else "/var/tmp"
    script = f'{mount}exec /usr/bin/python3 -I -c "$0" {where}'
    return _unshare("--mount", "sh", "-c", script, code)


def _family(number: int) -> bool:
    try:
        socket.socket(number, socket.SOCK_SEQPACKET if number == socket.AF_ALG else socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno != errno.EAFNOSUPPORT
    return True


def _tiocsti() -> bool:
    path = Path("/proc/sys/dev/tty/legacy_tiocsti")  # since 6.2; before, it was always permitted
    return not path.exists() or path.read_text().strip() == "1"


def _leaves_cores() -> bool:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return pattern[:1] not in ("", "|", "/") and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


def _ia32() -> bool:
    """Ask for the process id (20 there) by ``int 0x80``, in a process that this may end."""
    code = """
import ctypes, mmap
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(bytes.fromhex("53b814000000cd805bc3"))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))())
"""
    if os.uname().machine != "x86_64":
        return False
    with subprocess.Popen(["/usr/bin/python3", "-I", "-S", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        return process.stdout.read().strip() == str(process.pid)


def _x32() -> bool:
    return os.uname().machine == "x86_64" and ctypes.CDLL(None).syscall(0x40000000 + 39) == os.getpid()


def _cgroup1() -> bool:
    return " - cgroup cgroup " in Path("/proc/self/mountinfo").read_text()


def _iopl() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return hasattr(libc, "iopl") and (libc.iopl(0) == 0 or ctypes.get_errno() != errno.ENOSYS)


def _controllers() -> bool:
    """Whether pids, memory and cpu can be given to a cgroup of ours, in the unified hierarchy."""
    path = Path("/sys/fs/cgroup/cgroup.controllers")
    return path.is_file() and {"pids", "memory", "cpu"} <= set(path.read_text().split()) and os.geteuid() == 0


def _any_controllers() -> bool:
    """The same in any hierarchy: of version 2, or of version 1 mounted for each controller."""
    legacy = (Path("/sys/fs/cgroup", name, "cgroup.procs") for name in ("pids", "memory", "cpu"))
    return _controllers() or all(os.access(path, os.W_OK) for path in legacy)


def _limits_huge_pages() -> bool:
    """The controller in cgroup2, and pages of 2 MiB."""
    names = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line]
    found = [Path(name, "cgroup.controllers") for name in names]
    has = any("hugetlb" in path.read_text().split() for path in found if path.exists())
    return has and os.path.exists("/sys/kernel/mm/hugepages/hugepages-2048kB")


def _login_uid() -> str:
    path = Path("/proc/self/loginuid")
    return path.read_text().strip() if path.exists() else ""


def _system() -> tuple[str, str]:
    """Name and version, os-release(5)."""
    lines = Path("/etc/os-release").read_text().splitlines()
    said = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
    return said.get("ID", ""), said.get("VERSION_ID", "")


def _kernel(*version: int) -> Callable[[], bool]:
    release = os.uname().release.split("-")[0].split(".")
    return lambda: tuple(int(part) for part in release[:2]) >= version


def _exists(path: str) -> Callable[[], bool]:
    return lambda: os.path.exists(path)


def _writes(path: str) -> bool:
    """Whether a kernel setting can be written, as it is."""
    try:
        Path(path).write_text(Path(path).read_text())
    except OSError:
        return False
    return True


FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        "x86-64": Feature("system calls of x86-64", lambda: os.uname().machine == "x86_64"),
        "userns": Feature("user namespaces for the caller", lambda: _unshare("--user", "--map-root-user", "true")),
        "no-rights": Feature("ids without rights, for us to become", _gives_rights_up),
        "timens": Feature("time namespaces (5.6)", _exists("/proc/self/ns/time")),
        "cgroupns": Feature("cgroup namespaces", _exists("/proc/self/ns/cgroup")),
        "proc-in-userns": Feature("a fresh /proc in a user namespace", lambda: _mounts("-t", "proc", "proc")),
        "sysfs-in-userns": Feature(
            "a fresh /sys in a user and network namespace",
            lambda: _unshare("-U", "-r", "-m", "-n", "mount", "-t", "sysfs", "sysfs", "/mnt"),
        ),
        "proc-hidepid": Feature("hidepid=invisible on /proc (5.8)", _kernel(5, 8)),
        "proc-subset": Feature("subset=pid on /proc (5.8)", _kernel(5, 8)),
        "overlay": Feature("overlayfs", lambda: _filesystem("overlay")),
        "mqueue": Feature("the mqueue filesystem", lambda: _filesystem("mqueue")),
        "tracefs": Feature("tracefs", lambda: _filesystem("tracefs")),
        "cgroup2": Feature("cgroup2 filesystem", lambda: _filesystem("cgroup2")),
        "cgroup2-unified": Feature("cgroup2 mounted at /sys/fs/cgroup", _exists("/sys/fs/cgroup/cgroup.controllers")),
        "cgroup2-controllers": Feature("pids, memory and cpu controllers in cgroup2, for us", _controllers),
        "cgroups": Feature("pids, memory and cpu controllers of either version, for us", _any_controllers),
        "hugetlb": Feature("limits of huge pages in cgroup2", _limits_huge_pages),
        "cgroup2-mount": Feature("somebody who may mount cgroup2", _mounts_cgroup2),
        "selinux": Feature("SELinux enabled", _exists("/sys/fs/selinux/enforce")),
        "selinux-off": Feature("SELinux switched off", lambda: not os.path.exists("/sys/fs/selinux/enforce")),
        "landlock": Feature("Landlock (5.13)", _landlock),
        "seccomp": Feature("seccomp filters", _exists("/proc/sys/kernel/seccomp/actions_avail")),
        "loginuid": Feature("audit's loginuid", _exists("/proc/self/loginuid")),
        "loginuid-unset": Feature("a session without a login uid", lambda: _login_uid() == UNSET_LOGINUID),
        "loginuid-settable": Feature(
            "a login uid that may be set",
            lambda: _login_uid() == UNSET_LOGINUID or (_login_uid() != "" and os.geteuid() == 0),
        ),
        "idmapped": Feature("id-mapped mounts of the file system under /var/tmp", lambda: _idmapped("disk")),
        "idmapped-tmpfs": Feature("id-mapped mounts of tmpfs (6.3)", lambda: _idmapped("tmpfs")),
        "fuse": Feature("the device /dev/fuse", _exists("/dev/fuse")),
        "kmsg": Feature("the device /dev/kmsg", _exists("/dev/kmsg")),
        "modules": Feature("loadable kernel modules", _exists("/proc/modules")),
        "kexec": Feature("kexec", _exists("/sys/kernel/kexec_loaded")),
        "sysrq": Feature("magic SysRq", _exists("/proc/sysrq-trigger")),
        "vsock": Feature("AF_VSOCK", lambda: _family(socket.AF_VSOCK)),
        "af_alg": Feature("AF_ALG", lambda: _family(socket.AF_ALG)),
        "tiocsti": Feature("TIOCSTI for a session's own terminal", _tiocsti),
        "vt": Feature("a virtual console, for us", lambda: os.access("/dev/tty63", os.R_OK | os.W_OK)),
        "x86_64": Feature("a machine of the architecture x86_64", lambda: os.uname().machine == "x86_64"),
        "ia32": Feature("system calls of 32-bit x86", _ia32),
        "x32": Feature("system calls of x32", _x32),
        "cgroup1": Feature("cgroups of version 1", _cgroup1),
        "freezer": Feature("the freezer of version 1, for us", lambda: os.access(FREEZER / "cgroup.procs", os.W_OK)),
        "iopl": Feature("ports of devices for processes (CONFIG_X86_IOPL_IOPERM)", _iopl),
        "audit": Feature("an audit system that can be asked and belongs to no daemon", audit.is_free),
        "core-files": Feature("core files in the working directory of who dumps core", _leaves_cores),
        "suid-dumpable": Feature("fs.suid_dumpable, for us to set", lambda: _writes("/proc/sys/fs/suid_dumpable")),
        "root": Feature("root", lambda: os.geteuid() == 0),
        "debian-13": Feature("Debian 13, whose programs were tried", lambda: _system() == ("debian", "13")),
    }
)
