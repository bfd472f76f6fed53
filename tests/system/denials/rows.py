"""Denials that people have met, each with a program that meets it, the mechanism that denies it and the smallest fix that is
known, as its thread gives it.

A row's ``stack`` is what follows ``extends``. ``{folder}`` is the row's own folder, which the command sees at the same path
read-only; ``prepare`` fills it. ``fix`` is TOML that makes the command succeed; None where nothing is to be loosened, and
``instead`` says what the thread advises. ``leaves`` are those that may be named as the reason, by how they begin; empty
where it is not this stack's doing.
"""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import attrs

#: Calls the kernel by number; `call` ends the program with the kernel's message where that fails.
PYTHON = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(number, *arguments):
    if libc.syscall(number, *arguments) >= 0:
        return 0
    return ctypes.get_errno()
def call(what, number, *arguments):
    error = attempt(number, *arguments)
    if error:
        sys.exit(f"{what}: {os.strerror(error)}")
"""


@attrs.frozen
class Row:
    """One denial."""

    name: str
    reference: str
    command: tuple[str, ...]
    leaves: tuple[str, ...]
    stack: str = ""
    base: str = "strict"
    fix: str | None = None
    options: tuple[str, ...] = ()
    fix_options: tuple[str, ...] = ()
    instead: str = ""
    size: int = 1  # how many leaves the known fix loosens
    root: bool = True
    user: bool = True
    prepare: Callable[[Path], object] | None = None
    shown: bool = True  # whether the command sees the folder
    before: tuple[str, ...] = ()  # what starts the whole, with its command line behind


def _python(code: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-c", PYTHON + code)


def _exception(*leaves: str) -> str:
    return "".join(f'[[exceptions]]\nsetting = "{leaf}"\nreason = "the known fix"\n' for leaf in leaves)


def _allowed(*calls: str) -> str:
    return f"[seccomp]\nallow = {json.dumps(list(calls))}\n" + _exception(*(f"seccomp.{call}" for call in calls))


def _answers(path: Path, name: str, action: dict[str, object]) -> None:
    """A filter in docker's format that allows all but one call."""
    rule = {"names": [name], **action}
    (path / "filter.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))


#: No shipped profile, and so none of its limits: an allow-list recorded before, as podman's or docker's is.
_RECORDED = """[selinux]
requirement = "best-effort"
[seccomp]
default = "errno:EPERM"
allow = {allowed}
[capabilities]
add = {added}
"""


def _recorded(*further: str, added: tuple[str, ...] = ()) -> str:
    return _RECORDED.format(allowed=json.dumps(["@default", *further]), added=json.dumps(list(added)))


_THREAD = _python("import threading\nt = threading.Thread(target=print, args=('done',))\nt.start()\nt.join()\n")
_URING = """
parameters = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 8, parameters)
if ring < 0:
    sys.exit(f"io_uring_setup: {os.strerror(ctypes.get_errno())}")
call("io_uring_register", 427, ring, 8, ctypes.create_string_buffer(16 + 8 * 64), 64)
call("io_uring_enter", 426, ring, 0, 0, 0, None, 0)
"""
_FALLS_BACK = "parameters = ctypes.create_string_buffer(120)\nattempt(425, 8, parameters)\nprint('epoll it is')\n"
_NUMA = "call('get_mempolicy', 239, None, None, 0, None, 0)\ncall('set_mempolicy', 238, 0, None, 0)\n"
_APT = """
os.setgroups([33])
os.setegid(33)
os.seteuid(33)
"""
_LANDLOCK = """
class Attributes(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64)]
attributes = Attributes(1 << 1)  # LANDLOCK_ACCESS_FS_WRITE_FILE
rules = libc.syscall(444, ctypes.byref(attributes), 8, 0)
other = os.fork()
if other == 0:
    import time
    time.sleep(20)
    os._exit(0)
if os.fork() == 0:
    call("landlock", 446, rules, 0)
    try:
        os.readlink(f"/proc/{other}/exe")
    except OSError as error:
        print(error, file=sys.stderr)
        os._exit(1)
    os._exit(0)
code = os.waitstatus_to_exitcode(os.wait()[1])
os.kill(other, 9)
sys.exit(code)
"""
_MDWE = """
call("prctl", 157, 65, 1, 0, 0, 0)
if os.fork() == 0:
    import mmap
    try:
        mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError as error:
        print(error, file=sys.stderr)
        os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
_FORKS = """
import time
children = []
for _ in range(24):
    child = os.fork()
    if child == 0:
        time.sleep(20)
        os._exit(0)
    children.append(child)
for child in children:
    os.kill(child, 9)
"""
_SHARED = """
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(create=True, size=40 << 20)
memory.buf[:] = bytes(40 << 20)
memory.unlink()
"""
_CODE = """
import mmap
code = os.open("/dev/shm/code", os.O_RDWR | os.O_CREAT)
os.ftruncate(code, 4096)
mmap.mmap(code, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)
"""
_LIBRARY = "import shutil\nshutil.copy('/bin/true', '{place}')\nos.execv('{place}', ['true'])\n"
_NOSUID = """
call("unshare", 272, 0x10000000 | 0x20000)
call("mount", 165, b"/tmp", b"/tmp", None, 4096, None)
call("remount", 165, None, b"/tmp", None, 4096 | 32, None)
"""


def _setcap(capability: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        import subprocess

        shutil.copy("/bin/true", path / "program")
        subprocess.run(["setcap", f"{capability}=ep", str(path / "program")], check=True)

    return prepare


#: An ELF file of i386 that calls exit(0): its header, one segment, and the code.
_THIRTY_TWO_BITS = (
    "7f454c4601010100000000000000000002000300010000005480040834000000000000000000000034002000010000000000000001000000"
    "00000000008004080080040860000000600000000500000000100000" + "31c04031dbcd80"
)


def _thirty_two_bits(path: Path) -> None:
    (path / "program").write_bytes(bytes.fromhex(_THIRTY_TWO_BITS))
    (path / "program").chmod(0o755)


def _suid(path: Path) -> None:
    shutil.copy("/usr/bin/id", path / "id")
    (path / "id").chmod(0o4755)


def _project(path: Path) -> None:
    import subprocess

    (path / "project").mkdir()
    (path / "project").chmod(0o777)
    subprocess.run(["git", "init", "-q", "project"], cwd=path, check=True)
    (path / "project/file").write_text("content\n")
    subprocess.run(["chmod", "-R", "a+rwX", "project"], cwd=path, check=True)
    # Whose the folder is: of files of others a copy is unlike them, and nothing is confirmed by it.
    subprocess.run(["chown", "-R", "--reference=.", "project"], cwd=path, check=True)


def _heredoc(path: Path) -> None:
    (path / "entrypoint").write_text("cat >/dev/null <<END\n" + "x" * 79 + "\n" + ("y" * 79 + "\n") * 2000 + "END\n")


def _entrypoint(path: Path) -> None:
    (path / "data").mkdir()
    (path / "data").chmod(0o777)
    text = '[ "$(id -u)" != 0 ] || chown 999 {0}/data || exit 1\ntouch {0}/data/started\n'.format(path)  # noqa: UP032
    (path / "entrypoint").write_text(text)


def _hidden(path: Path) -> None:
    (path / "page.hocr").write_text("recognised\n")


_BWRAP = ("bwrap", "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "--proc", "/proc", "--dev", "/dev", "true")
_NESTS = (
    "clone",
    "clone3",
    "mount",
    "umount2",
    "pivot_root",
    "unshare",
    "setns",
    "prctl",
    "socket",
    "bind",
    "sendto",
    "recvfrom",
)

ROWS = (
    Row(
        "clone3",
        "moby/moby#42680",
        _THREAD,
        ("seccomp.clone3",),
        base="base",
        stack='[seccomp]\nprofile = "{folder}/filter.json"\n',
        size=0,
        fix='[seccomp]\nrules = [{{ names = ["clone3"], action = "errno:ENOSYS" }}]\n',
        prepare=lambda path: _answers(path, "clone3", {"action": "SCMP_ACT_ERRNO", "errnoRet": 1}),
    ),
    Row(
        "open_tree",
        "systemd/systemd#38565",
        _python("call('open_tree', 428, -100, b'/tmp', 0x80000)\n"),
        ("seccomp.open_tree",),
        base="",
        stack=_recorded(),
        fix=_allowed("open_tree"),
    ),
    Row(
        "io_uring",
        "netty-incubator-transport-io_uring#41",
        _python(_URING),
        ("seccomp.io_uring", "seccomp.restrict_suid_sgid"),
        size=4,  # and what no filter of ours sees through
        base="",
        stack=_recorded(),
        fix="[seccomp]\nrestrict_suid_sgid = false\n"
        + _allowed("io_uring_setup", "io_uring_enter", "io_uring_register").removeprefix("[seccomp]\n"),
    ),
    Row(
        "io_uring kills",
        "stacklok/go-microvm#76",
        _python(_FALLS_BACK),
        ("seccomp.io_uring_setup",),
        base="base",
        size=0,
        stack='[seccomp]\nprofile = "{folder}/filter.json"\n',
        fix='[seccomp]\nrules = [{{ names = ["io_uring_setup"], action = "errno:ENOSYS" }}]\n'
        + _exception("seccomp.io_uring_setup"),
        prepare=lambda path: _answers(path, "io_uring_setup", {"action": "SCMP_ACT_KILL_PROCESS"}),
    ),
    Row(
        "set_mempolicy",
        "moby/moby#37241",
        _python(_NUMA),
        ("seccomp.get_mempolicy", "seccomp.set_mempolicy"),
        size=2,
        base="",
        stack=_recorded(added=("SYS_NICE",)).replace('"@default"', '"@strict"'),
        fix=_allowed("get_mempolicy", "set_mempolicy"),
    ),
    Row(
        "strace",
        "moby/moby#21051",
        ("strace", "-o", "/dev/null", "/bin/true"),
        ("seccomp.ptrace",),
        options=("--cap-add", "SYS_PTRACE", "--exception", "capabilities.SYS_PTRACE=as in the thread"),
        fix=_allowed("ptrace"),
    ),
    Row(
        "gdb",
        "gdb -batch -ex run",
        ("gdb", "-nx", "-batch", "-ex", "run", "-ex", "quit $_exitcode", "/bin/true"),
        ("seccomp.ptrace", "seccomp.personality"),
        fix=_allowed("ptrace", "personality"),
        size=2,
    ),
    Row(
        "keyctl",
        "rkt/rkt#3557",
        _python("call('create keyring', 250, 1, b'name')\n"),
        ("seccomp.keyctl",),
        fix=_allowed("keyctl"),
    ),
    Row(
        "name_to_handle_at",
        "systemd/systemd#6876",
        _python("call('handle', 303, -100, b'/etc', (ctypes.c_uint * 40)(128), ctypes.byref(ctypes.c_int()), 0)\n"),
        ("seccomp.name_to_handle_at",),
        fix=_allowed("name_to_handle_at"),
    ),
    Row(
        "perf_event_open",
        "containers/common 46d01fc263",
        _python(
            "a = (ctypes.c_uint64 * 16)(1 | 128 << 32, 0)\na[5] = 1 << 5 | 1 << 6\n"
            "call('perf_event_open', 298, a, 0, -1, -1, 8)\n"
        ),
        ("seccomp.perf_event_open",),
        base="",
        stack=_recorded(added=("PERFMON",)),
        fix=_allowed("perf_event_open"),
    ),
    Row(
        "ping",
        "containers/podman#2488",
        _python("import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)\n"),
        (),
        stack='[namespaces]\nnet = "host"\n'
        + _exception("namespaces.net")
        + '[seccomp]\nallow = ["@network"]\n'
        + _exception("seccomp.@network"),
        instead="the user's group in net.ipv4.ping_group_range",
        root=False,
    ),
    Row(
        "ping with a file capability",
        "perfsonar-testpoint-docker#44",
        ("{folder}/program",),
        ("capabilities.NET_RAW", "capabilities"),
        prepare=_setcap("cap_net_raw"),
        user=False,
        shown=False,
        stack='[rootfs]\nvolumes.add = ["{folder}:{folder}:ro,suid,exec"]\n' + _exception("rootfs.volumes.{folder}"),
        fix='[capabilities]\nadd = ["NET_RAW"]\n' + _exception("capabilities.NET_RAW"),
    ),
    Row(
        "vault",
        "sigstore/cosign#4879",
        ("{folder}/program",),
        ("capabilities.IPC_LOCK", "capabilities"),
        prepare=_setcap("cap_ipc_lock"),
        user=False,
        shown=False,
        base="",
        stack=_recorded() + '[rootfs]\nvolumes.add = ["{folder}:{folder}:ro,suid,exec"]\n',
        fix='[capabilities]\nadd = ["IPC_LOCK"]\n' + _exception("capabilities.IPC_LOCK"),
    ),
    Row(
        "redis",
        "xencon/aixcl#1342",
        ("sh", "{folder}/entrypoint"),
        ("capabilities.CHOWN", "seccomp.fchownat", "process.user"),
        prepare=_entrypoint,
        size=0,
        user=False,
        stack='[rootfs]\nvolumes.add = ["{folder}/data:{folder}/data:rw,idmap"]\n'
        + _exception("rootfs.volumes.{folder}/data")
        + '[seccomp]\nallow = ["@default"]\n'
        + _exception("seccomp.@default"),
        fix='[process]\nuser = "999:999"\n',
    ),
    Row(
        "gosu",
        "londonaicentre/FLIP#501",
        ("setpriv", "--reuid", "999", "--regid", "999", "--clear-groups", "true"),
        ("capabilities.SETUID", "capabilities.SETGID"),
        base="",
        stack=_recorded(added=("CHOWN", "SETPCAP")),
        fix='[capabilities]\nadd = ["SETUID", "SETGID"]\n' + _exception("capabilities.SETUID", "capabilities.SETGID"),
        size=2,
    ),
    Row(
        "apt",
        "opencontainers/runc#1860",
        _python(_APT),
        ("capabilities.SETUID", "capabilities.SETGID"),
        base="",
        stack=_recorded(),
        size=2,
        fix='[capabilities]\nadd = ["SETUID", "SETGID"]\n' + _exception("capabilities.SETUID", "capabilities.SETGID"),
    ),
    Row(
        "set-user-ID",
        "opencontainers/runc#705",
        ("sh", "-c", 'test "$({folder}/id -u)" = 0'),
        ("capabilities.no_new_privileges",),
        prepare=_suid,
        user=False,
        shown=False,
        base="",
        options=("-u", "1000"),
        stack=_recorded() + '[rootfs]\nvolumes.add = ["{folder}:{folder}:ro,suid,exec,idmap"]\n',
        fix="[capabilities]\nno_new_privileges = false\n" + _exception("capabilities.no_new_privileges"),
    ),
    Row(
        "sudo-rs",
        "trifectatechfoundation/sudo-rs#1616",
        ("sh", "-c", "grep -q 'NoNewPrivs:.0' /proc/self/status"),
        (),
        instead="leave sudo away",
    ),
    Row(
        "here-document",
        "bitnami/bitnami-docker-nginx#139",
        ("bash", "{folder}/entrypoint"),
        ("rootfs.read_only", "rootfs.path", "rootfs.tmpfs"),
        prepare=_heredoc,
        base="",
        stack=_recorded() + "[rootfs]\ntmpfs = []\n",
        fix='[rootfs]\ntmpfs.add = ["/tmp:size=16M"]\n' + _exception("rootfs.tmpfs./tmp"),
    ),
    Row(
        "snappy",
        "xerial/snappy-java#240",
        _python(_LIBRARY.format(place="/tmp/program")),
        ("rootfs.tmpfs./tmp",),
        fix='[rootfs]\ntmpfs.add = ["/tmp:size=64M,exec"]\n' + _exception("rootfs.tmpfs./tmp"),
    ),
    Row(
        "godot",
        "netblue30/firejail#6686",
        ("{folder}/program",),
        ("rootfs.volumes.",),
        shown=False,
        prepare=lambda path: shutil.copy("/bin/true", path / "program"),
        stack='[rootfs]\nvolumes.add = ["{folder}:{folder}:ro,noexec"]\n' + _exception("rootfs.volumes.{folder}"),
        fix='[rootfs]\nvolumes.add = ["{folder}:{folder}:ro,exec"]\n' + _exception("rootfs.volumes.{folder}"),
    ),
    Row(
        "ocrmypdf",
        "netblue30/firejail#6550",
        ("cat", "{folder}/page.hocr"),
        ("rootfs.tmpfs.", "rootfs.hidden_paths", "rootfs.path"),
        prepare=_hidden,
        shown=False,
        fix='[rootfs]\nvolumes.add = ["{folder}/page.hocr:{folder}/page.hocr:ro"]\n'
        + _exception("rootfs.volumes.{folder}/page.hocr"),
    ),
    Row(
        "landlock",
        "nolabs-ai/nono#800",
        _python(_LANDLOCK),
        (),
        base="",
        stack=_recorded() + '[rootfs]\nproc.hidepid = "off"\n',
        instead="none by a path",
    ),
    Row("write or execute", "Opendray/opendray#218", _python(_MDWE), (), instead="drop it from the parent"),
    Row(
        "pids",
        "cockpit-project/cockpituous#483",
        _python(_FORKS),
        ("process.resources.pids", "process.rlimits.nproc"),
        stack="[process]\nresources.pids = 16\n",
        user=False,
        fix="[process]\nresources.pids = 64\n" + _exception("process.resources.pids"),
    ),
    Row(
        "shared memory",
        "Selenium, PyTorch: Bus error in a container",
        _python(_SHARED),
        ("rootfs.shm_size",),
        fix='[rootfs]\nshm_size = "64M"\n' + _exception("rootfs.shm_size"),
    ),
    Row(
        "code in shared memory",
        "wine, libffi, a JIT: mmap of /dev/shm to execute",
        _python(_CODE),
        ("rootfs.shm_size",),
        fix='[rootfs]\ntmpfs.add = ["/dev/shm:size=16M,exec"]\n' + _exception("rootfs.tmpfs./dev/shm"),
    ),
    Row(
        "root's own file",
        "useradd, dpkg: root inside is not root of the host, whose the lock is",
        ("sh", "-c", ": >>{folder}/lock"),
        ("rootfs.volumes.",),
        user=False,
        prepare=lambda path: (path / "lock").touch(0o600),
        fix='[rootfs]\nvolumes.add = ["{folder}/lock:{folder}/lock:rw,idmap"]\n'
        + _exception("rootfs.volumes.{folder}/lock"),
    ),
    Row(
        "32 bits",
        "a program of another architecture",
        ("{folder}/program",),
        ("seccomp.architectures.",),
        prepare=_thirty_two_bits,
        fix='[seccomp]\narchitectures.add = ["x86"]\n' + _exception("seccomp.architectures.x86"),
    ),
    Row(
        "variable",
        "a variable that is not handed down",
        ("sh", "-uc", ': "$SITE_OF_MINE"'),
        ("process.environment.SITE_OF_MINE",),
        before=("env", "SITE_OF_MINE=here"),
        fix='[process]\nenvironment.add = ["SITE_OF_MINE"]\n' + _exception("process.environment.SITE_OF_MINE"),
    ),
    Row(
        "variable that is looked for without a word",
        "ssh-add: SSH_AUTH_SOCK; DISPLAY, PYTHONPATH, JAVA_HOME",
        ("sh", "{folder}/entrypoint"),
        ("process.environment.SITE_OF_MINE",),
        before=("env", "SITE_OF_MINE=here"),
        prepare=lambda path: (path / "entrypoint").write_text('test -n "$SITE_OF_MINE" || exit 3\n'),
        fix='[process]\nenvironment.add = ["SITE_OF_MINE"]\n' + _exception("process.environment.SITE_OF_MINE"),
    ),
    Row(
        "a socket of the host's",
        "docker.sock, the bus, an agent: whoever listens there gets what each run sends",
        ("ls", "{folder}/socket"),
        ("rootfs.",),
        prepare=lambda path: socket.socket(socket.AF_UNIX).bind(str(path / "socket")),
        shown=False,
        fix='[rootfs]\nvolumes.add = ["{folder}/socket:{folder}/socket:ro"]\n'
        + _exception("rootfs.volumes.{folder}/socket"),
    ),
    Row(
        "hidden home",
        "npm, go: a cache in a home that is not shown",
        ("sh", "-c", 'mkdir -p "$HOME/.cache/tool"'),
        ("rootfs.hidden_paths.",),
        base="default",
        user=False,
        fix='[rootfs]\ntmpfs."/root" = "16M"\n',
    ),
    Row(
        "owner",
        "git: detected dubious ownership in repository",
        ("git", "-C", "{folder}/project", "status"),
        ("rootfs.volumes.",),
        shown=False,
        user=False,
        prepare=_project,
        stack='[rootfs]\nvolumes.add = ["{folder}/project:{folder}/project:ro"]\n'
        + _exception("rootfs.volumes.{folder}/project"),
        fix='[rootfs]\nvolumes.add = ["{folder}/project:{folder}/project:ro,idmap"]\n'
        + _exception("rootfs.volumes.{folder}/project"),
    ),
    Row(
        "git",
        "anthropics/claude-code#28730",
        ("git", "-c", "safe.directory=*", "-C", "{folder}/project", "add", "file"),
        ("rootfs.",),
        prepare=_project,
        fix='[rootfs]\nvolumes.add = ["{folder}/project:{folder}/project:rw,noexec"]\n'
        + _exception("rootfs.volumes.{folder}/project"),
    ),
    Row(
        "bubblewrap",
        "containers/bubblewrap#284",
        _BWRAP,
        ("rootfs.masked_paths", "rootfs.proc", "rootfs.read_only_paths", "rootfs.hidden_paths"),
        base="",
        stack=_recorded(*_NESTS),
        size=6,
        root=False,
        fix='[rootfs]\nproc.subset = ""\nproc.hidepid = "off"\nmasked_paths = []\nread_only_paths = []\n'
        '[seccomp]\nrestrict_suid_sgid = false\nallow = ["openat2"]\n',
    ),
    Row(
        "locked flags",
        "containers/buildah#4228",
        _python(_NOSUID),
        (),
        base="",
        stack=_recorded("unshare", "mount"),
        instead="keep the flags",
    ),
    Row(
        "loginuid",
        "podman troubleshooting 33",
        ("sh", "-c", "echo 5 | tee /proc/self/loginuid"),
        (),
        instead="start it from a service, or let pam_loginuid be optional",
        before=("sh", "-c", 'echo 1234 >/proc/self/loginuid; exec "$@"', "sh"),
        user=False,
    ),
    Row(
        "setgroups",
        "opencontainers/runc#2517",
        _python("os.setgroups([0])\n"),
        ("namespaces.",),
        base="",
        stack=_recorded(added=("SYS_ADMIN", "SETGID")) + '[namespaces]\nid_map = "one-id"\n',
        fix='[namespaces]\nid_map = "keep-id"\n' + _exception("namespaces.id_map"),
        root=False,
    ),
    Row(
        "subordinate ids",
        "podman troubleshooting 19",
        _python("os.setgid(70000)\n"),
        (),
        base="",
        stack=_recorded(added=("SETUID", "SETGID")),
        instead="a larger range in /etc/subgid",
        root=False,
    ),
    Row(
        "netlink",
        "ngoduykhanh/wireguard-ui#176",
        ("sh", "-c", "ip address add 10.9.9.9/24 dev lo || exit 1"),
        ("capabilities.NET_ADMIN",),
        base="",
        stack=_recorded(),
        fix='[capabilities]\nadd = ["NET_ADMIN"]\n' + _exception("capabilities.NET_ADMIN"),
    ),
    Row(
        "setcap",
        "openbao/openbao#355",
        ("sh", "-c", "cp /bin/true /tmp/program && setcap cap_ipc_lock=+ep /tmp/program"),
        ("capabilities.SETFCAP", "seccomp.restrict_suid_sgid"),
        base="",
        stack=_recorded(),
        size=2,
        user=False,
        fix='[capabilities]\nroot = ["SETFCAP"]\n[seccomp]\nrestrict_suid_sgid = false\n'
        + _exception("capabilities.SETFCAP", "seccomp.restrict_suid_sgid"),
    ),
    Row(
        "chroot",
        "SSSD/sssd-ci-containers#25",
        ("sh", "-c", "chroot / true || exit 1"),
        ("seccomp.chroot", "capabilities.SYS_CHROOT"),
        base="",
        stack=_recorded(),
        size=2,
        fix='[capabilities]\nadd = ["SYS_CHROOT"]\n' + _exception("capabilities.SYS_CHROOT") + _allowed("chroot"),
    ),
    Row(
        "root of a namespace below",
        "containers/buildah#1901",
        ("unshare", "--map-root-user", "true"),
        ("seccomp.unshare", "capabilities.SETFCAP"),
        base="",
        stack=_recorded(),
        size=2,
        user=False,
        fix='[capabilities]\nroot = ["SETFCAP"]\n' + _exception("capabilities.SETFCAP") + _allowed("unshare"),
    ),
    Row(
        "a file given away",
        "chown(1) of a file that the command has made, which another user would not be denied and not do",
        ("sh", "-c", "cd /tmp && touch f && chown 1:1 f && test $(stat -c %u f) = 1"),
        ("capabilities.CHOWN",),
        fix='[capabilities]\nadd = ["CHOWN"]\n' + _exception("capabilities.CHOWN"),
    ),
    Row(
        "another's file in memory",
        "cat of a file that an entrypoint has given away",
        ("sh", "-c", "cd /tmp && touch f && chmod 600 f && chown 33 f && cat f"),
        ("process.user", "capabilities.DAC_OVERRIDE"),
        base="",
        stack=_recorded(added=("CHOWN",)),
        size=0,
        user=False,
        fix='[process]\nuser = "33:33"\n',
    ),
    Row(
        "set-group-ID",
        "a chmod that does nothing",
        ("sh", "-c", "cd /tmp && touch f && chown 0:33 f && chmod 2755 f && test -g f"),
        ("capabilities.FSETID",),
        base="",
        stack=_recorded(added=("CHOWN",)).replace("[seccomp]", "[seccomp]\nrestrict_suid_sgid = false"),
        user=False,
        fix='[capabilities]\nroot = ["FSETID"]\n' + _exception("capabilities.FSETID"),
    ),
    Row(
        "locked memory",
        "mlock of a megabyte",
        _python("call('mlock', 149, ctypes.create_string_buffer(1 << 20), ctypes.c_size_t(1 << 20))\n"),
        ("process.rlimits.memlock",),
        base="",
        stack=_recorded(),
        fix='[process]\nrlimits.memlock = "2M"\n' + _exception("process.rlimits.memlock"),
    ),
    Row(
        "pid file",
        "a service that is not root",
        ("sh", "-c", "echo 1 >/run/app.pid"),
        ("rootfs.tmpfs./run",),
        options=("-u", "1000"),
        user=False,
        fix='[rootfs]\ntmpfs."/run" = "size=16M,mode=1777"\n' + _exception("rootfs.tmpfs./run"),
    ),
    Row(
        "lock",
        "flock, dpkg, minicom: /var/lock is a link to what /run begins without",
        ("sh", "-c", ": >/var/lock/hardening-row"),
        ("rootfs.tmpfs./run",),
        fix='[rootfs]\ntmpfs.add = ["/run/lock:size=1M"]\n' + _exception("rootfs.tmpfs./run/lock"),
    ),
    Row(
        "clock",
        "containers/podman#19771",
        ("date", "--set", "now"),
        ("capabilities.SYS_TIME",),
        base="",
        stack=_recorded("clock_settime") + '[namespaces]\nuser = "host"\n',
        user=False,
        instead="set it from the host",
    ),
)
