"""What the native launcher itself does, which no setting switches off. The attempts succeed against a launcher in which
one step is left out, in the process of that one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hardening.launch.config.bundle import PROFILES
from tests.escape.attacks import calls, files, launcher
from tests.escape.attempt import FOLDER, Attempt, Profiled, allow, hold, say
from tests.escape.attempts.common import HOST_USER, WHOLE_PROC, volume
from tests.escape.launches import COMMAND

#: The caller of the launcher has left a directory of the host open, and a socket on which one waits.
CARELESS = f"""
import os as full, socket, array
full.set_inheritable(full.dup2(full.open("{FOLDER}", full.O_RDONLY), 77), True)
near, far = socket.socketpair()
near.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [77]))])
full.set_inheritable(full.dup2(far.detach(), 78), True)
"""
LEAKING = "from hardening.base.linux import kernel; kernel.close_on_exec_from = lambda first: None"
ANY_DIRECTORY = "import posix; posix.getcwd = lambda: '/'"
#: A launcher that changes the root as simple tools do.
CHROOT = """
from hardening.base.linux import kernel
from hardening.launch.native import root
import posix
def attach(self):
    place = posix.open("/mnt", posix.O_PATH)
    kernel.move_mount(self.tree, place)
def enter(self, propagation, *, recursive):
    posix.fchdir(self.tree)
    posix.chroot(".")
root.Root.attach, root.Root.enter = attach, enter
"""
SESSION_KEY = f"""
import ctypes
from hardening.base.linux import kernel
libc = ctypes.CDLL(None)
keyctl = lambda *words: libc.syscall(kernel.call_number("keyctl"), *words)
keyctl(1, 0)  # KEYCTL_JOIN_SESSION_KEYRING
canary = open("{FOLDER}/secret/canary", "rb").read()
key = libc.syscall(ADD_KEY, b"user", b"hardening-escape", canary, len(canary), -3)
for each in (keyctl(0, -3, 0), key):
    keyctl(5, each, 0x3F3F3F3F)  # KEYCTL_SETPERM
"""
NO_NEW_SESSION = "from hardening.base.linux import kernel; kernel.new_session_keyring = lambda: None"
NO_FIRST_LOOK = "from hardening.launch.native import lookup; lookup.refuse_magic = lambda path: None\n"
NO_SECOND_LOOK = (
    "from hardening.launch.native import setup; setup.NativeSupervisor._refuse_own_interpreter = lambda self: None\n"
)
WRITABLE_NODES = """
from hardening.base.linux import abi, kernel
from hardening.launch.native import devices, mounts, session
careful = mounts.clone_device
def clone_device(path, number):
    tree = careful(path, number)
    kernel.mount_setattr(tree, clear=abi.MOUNT_ATTR_RDONLY)
    return tree
mounts.clone_device = devices.clone_device = session.clone_device = clone_device
"""
#: The host of this launch: a mount namespace in which the victim's directory is a mount that is shared with others. Once the
#: container has ended, it tells of a mount that came from there.
SHARED = (
    *("unshare", "--mount", "--propagation", "shared", "sh", "-c"),
    f"""mount --bind {FOLDER}/secret {FOLDER}/secret; "$@"; code=$?
    if [ "$(grep -c ' {FOLDER}/secret ' /proc/self/mountinfo)" -gt 1 ]; then
        echo '{{"attack": "{launcher.__name__}.shared_mount", "escaped": true, "said": "mounted on the host"}}'
    fi
    exit $code""",
    "sh",
)
#: The same filter without its question for the architecture, which is its second instruction: both answers go on.
ANY_ARCHITECTURE = """
from hardening.base.linux import kernel
from hardening.launch.native import identity
def load_filter(self, state):
    program = state.program
    assert program[8:12] == bytes((0x15, 0, 1, 0)), program[8:16]
    kernel.seccomp(program[:10] + bytes((1, 1)) + program[12:], 0)
identity.LoadFilter.execute = load_filter
"""
#: A filter that denies clone (56) with CLONE_NEWUSER, and allows every number that it does not know.
ANY_NUMBER = """
from hardening.base.linux import kernel
from hardening.launch.native import identity
import struct
words = ((0x20, 0, 0, 0), (0x15, 0, 3, 56), (0x20, 0, 0, 16), (0x45, 0, 1, 0x10000000), (0x06, 0, 0, 0x50001),
         (0x06, 0, 0, 0x7FFF0000))
program = b"".join(struct.pack("=HBBI", *word) for word in words)
identity.LoadFilter.execute = lambda self, state: kernel.seccomp(program, 0)
"""
#: The host of this launch: its null device is a node of the test, which belongs to root as it should.
OWN_NULL = (
    *("unshare", "--mount", "sh", "-c"),
    f"""[ -e {FOLDER}/null ] || mknod -m 666 {FOLDER}/null c 1 3; mount --bind {FOLDER}/null /dev/null && exec "$@" """,
    "sh",
)
PRIVATE_VOLUME = volume(f"{FOLDER}/secret:/srv:rprivate", at="/srv")
SHARED_VOLUME = volume(f"{FOLDER}/secret:/srv:rshared", at="/srv")
PROGRAMS = volume(f"{FOLDER}/programs:/srv:ro", at="/srv")
ANY_LINK = "from hardening.base import links; import posix; links.find = lambda path: posix.open(path, posix.O_PATH)"
OWNER = "the node belongs to the host's root, whom no ordinary user's namespace maps"
SLAVES = "in a user namespace every mount of the host becomes a slave of it, or private (mount_namespaces(7))"


def planted(document: dict[str, Any]) -> None:
    """A configuration that was made elsewhere, whose volume has a link as its source: hardening writes what it leads to."""
    del document["annotations"][PROFILES]
    (volume,) = [mount for mount in document["mounts"] if mount["destination"] == "/srv"]
    volume["source"] += "/data"


def process(**values: object) -> Callable[[dict[str, Any]], None]:
    """A configuration with other values of `/process`."""

    def change(document: dict[str, Any]) -> None:
        document["process"].update(values)

    return change


RUNTIME = process(args=["/proc/self/exe", *COMMAND[1:]])
INSIDE = process(cwd="/proc/self/fd/77")

ATTEMPTS = (
    Attempt("runtime", "CVE-2019-5736", "the launcher's own program, as the command `/proc/self/exe`",
            "launcher: the command is looked up without magic links",
            Profiled(launcher.own_program, overlap_of_root=(HOST_USER,), before=NO_SECOND_LOOK, left_out=NO_FIRST_LOOK,
                     change=RUNTIME), fails_closed=True),
    Attempt("runtime, raced", "CVE-2019-5736", "the same where the first look was won by a race",
            "launcher: a second look from outside, after execve",
            Profiled(launcher.own_program, overlap_of_root=(HOST_USER,), before=NO_FIRST_LOOK, left_out=NO_SECOND_LOOK,
                     change=RUNTIME), fails_closed=True),
    Attempt("leaked directory", "CVE-2024-21626", "a directory of the host in an inherited descriptor",
            "launcher: close-on-exec from 3 on",
            Profiled(launcher.inherited_directory, before=CARELESS, left_out=LEAKING)),
    Attempt("leaked socket", "unix(7)", "a directory of the host that waits on an inherited socket (SCM_RIGHTS)",
            "launcher: close-on-exec from 3 on",
            Profiled(launcher.inherited_socket, overlap=(allow("@network"),), before=CARELESS, left_out=LEAKING)),
    Attempt("leaked working directory", "CVE-2024-21626", "the same, named as the working directory",
            "launcher: the working directory must lie inside",
            Profiled(launcher.working_directory, before=CARELESS, left_out=ANY_DIRECTORY, change=INSIDE),
            fails_closed=True),
    Attempt("chroot out", "chroot(2)", "out of the root by an open descriptor and a second root",
            "launcher: pivot_root, and the old root is detached",
            Profiled(launcher.chroot_out, overlap=(allow("chroot"), hold("SYS_CHROOT")), left_out=CHROOT)),
    Attempt("session keyring", "session-keyring(7)", "a key in the caller's session", "launcher: a new session keyring",
            Profiled(launcher.session_key, overlap=(allow("keyctl"),), before=SESSION_KEY, left_out=NO_NEW_SESSION)),
    Attempt("null device", "null(4)", "the mode of the host's null device, through a masked path",
            "launcher: nodes of the host on read-only mounts",
            Profiled(launcher.null_device, overlap=(WHOLE_PROC,), overlap_of_root=(HOST_USER,), left_out=WRITABLE_NODES,
                     prefix=OWN_NULL), refused={"rootless": OWNER}, needs=("root",)),
    Attempt("device node", "full(4)", "the mode of a device of the host that each container is given",
            "launcher: nodes of the host on read-only mounts",
            Profiled(launcher.host_device, overlap_of_root=(say(namespaces__id_map="keep-id"),),
                     left_out=WRITABLE_NODES),
            refused={"rootless": OWNER}),
    Attempt("propagation", "mount_namespaces(7)", "a mount that the host sees as well", "`rootfs.volumes`: `rprivate`",
            Profiled(launcher.shared_mount, SHARED_VOLUME, (PRIVATE_VOLUME, allow("mount"), hold("SYS_ADMIN")),
                     (HOST_USER,), prefix=SHARED, alone=True),
            refused={"rootless": SLAVES}, needs=("root",)),
    Attempt("planted link", "CVE-2021-25741", "a volume's source that another container has made a link to elsewhere",
            "launcher: no links of others on the way to a source",
            Profiled(files.shown, overlap=(PROGRAMS,), left_out=ANY_LINK, change=planted), needs=("root",),
            fails_closed=True),
    Attempt("ia32", "seccomp(2)", "clone by the kernel's 32-bit entry, whose numbers mean other calls",
            "`seccomp`: other architectures kill",
            Profiled(calls.through_ia32, left_out=ANY_ARCHITECTURE, alone=True), needs=("ia32",)),
    Attempt("x32", "seccomp(2)", "clone by the kernel's x32 entry, whose numbers have one more bit",
            "`seccomp`: numbers of x32 kill",
            Profiled(calls.through_x32, left_out=ANY_NUMBER, alone=True), needs=("x32",)),
)  # fmt: skip
