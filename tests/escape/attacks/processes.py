"""Attacks on processes, networks and names outside of the container."""

from __future__ import annotations

import ctypes
import os
import signal
import socket

from tests.escape.attacks.kit import Given, Refused, call

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_DUMP = 0x301
TCP_LISTEN = 10


def send_signal(given: Given) -> str:
    """A signal to a process of the same user on the host."""
    os.kill(given.pid, signal.SIGUSR1)
    return "delivered"


def command_line(given: Given) -> str:
    """What the host's processes were started with."""
    with open(f"/proc/{given.pid}/cmdline", "rb") as file:
        if given.canary.encode() not in file.read():
            raise Refused("another process")
    return "the canary"


def root_of_victim(given: Given) -> str:
    """The host's files, through the root of a process that has them (/proc/PID/root)."""
    with open(f"/proc/{given.pid}/root{given.folder}/secret/canary", encoding="utf-8") as file:
        if file.read() != given.canary:
            raise Refused("another file")
    return "the canary"


def launcher_memory(given: Given) -> str:
    """The memory of the launcher, this process's own parent, for writing."""
    launcher = _parent(str(_parent("self")))  # the parent of this process started the attack
    if not launcher:
        raise Refused("it is not to be seen")
    os.close(os.open(f"/proc/{launcher}/mem", os.O_RDWR))
    return "open for writing"


def _parent(pid: str) -> int:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(next(line for line in file if line.startswith("PPid:")).split()[1])


def enter_namespace(given: Given) -> str:
    """The host's names, through the namespace of a process there (setns(2))."""
    fd = os.open(f"/proc/{given.pid}/ns/uts", os.O_RDONLY)
    call("setns", fd, 0)
    if os.uname().nodename != given.host_name:
        raise Refused(os.uname().nodename)
    return os.uname().nodename


def host_name(given: Given) -> str:
    """The host's name, set to what it is."""
    name = os.uname().nodename
    call("sethostname", name.encode(), len(name))
    if name != given.host_name:
        raise Refused(f"only that of the container, {name}")
    return "set, as it was"


def abstract(given: Given) -> str:
    """A service of the host on an abstract socket."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(f"\0{given.abstract}")
    return "connected"


def path_socket(given: Given) -> str:
    """A service of the host on a socket that lies in a volume. That the volume is read-only does not matter to it."""
    with socket.socket(socket.AF_UNIX) as end:
        end.connect("/srv/socket")
    return "connected"


def loopback(given: Given) -> str:
    """A service of the host on its loopback interface."""
    with socket.socket() as end:
        end.connect(("127.0.0.1", given.port))
    return "connected"


def netlink(given: Given) -> str:
    """The host's sockets, listed by the kernel (sock_diag(7))."""
    request = bytes((2, 6, 0, 0)) + (1 << TCP_LISTEN).to_bytes(4, "little") + bytes(48)
    header = (16 + len(request)).to_bytes(4, "little") + SOCK_DIAG_BY_FAMILY.to_bytes(2, "little")
    header += NLM_F_DUMP.to_bytes(2, "little") + bytes(8)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as end:
        end.settimeout(2)
        end.send(header + request)
        found = end.recv(65536)
    if given.port.to_bytes(2, "big") not in found:
        raise Refused("no socket of the host")
    return f"port {given.port}"


def segment(given: Given) -> str:
    """A segment of shared memory of the host (sysvipc(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(given.segment, None, 0o10000)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    if ctypes.string_at(address, len(given.canary)).decode() != given.canary:
        raise Refused("other bytes")
    return "the canary"


def many_processes(given: Given) -> str:
    """More processes than the container is given: 40, which wait and end."""
    children = []
    try:
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return "40 processes"


def much_memory(given: Given) -> str:
    """More memory than the container is given: 48 MiB, each page of it touched."""
    memory = bytearray(48 << 20)
    for place in range(0, len(memory), 4096):
        memory[place] = 1
    return "48 MiB"


def address_space(given: Given) -> str:
    """More addresses than the process is given: 512 MiB, none of them touched."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    if libc.mmap(None, ctypes.c_size_t(512 << 20), 3, 0x4022, -1, 0) == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    return "512 MiB"


def fill(directory: str) -> str:
    """More of a file system in memory than the container is given: 2 MiB."""
    path = f"{directory}/fill"
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(32):
                file.write(bytes(65536))
    finally:
        os.unlink(path)
    return "2 MiB"


def fill_tmp(given: Given) -> str:
    """The same at /tmp."""
    return fill("/tmp")


def fill_shm(given: Given) -> str:
    """The same at /dev/shm."""
    return fill("/dev/shm")


def many_files(given: Given) -> str:
    """More files than a file system in memory is given: 2000, all of them empty."""
    os.mkdir("/tmp/many")
    names = [f"/tmp/many/{number}" for number in range(2000)]
    made = []
    try:
        for name in names:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
            made.append(name)
    finally:
        for name in made:
            os.unlink(name)
        os.rmdir("/tmp/many")
    return "2000 files"


def large_file(given: Given) -> str:
    """A larger file than the process is given: 2 MiB, all of it a hole."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("/tmp/large", "wb") as file:
        os.unlink("/tmp/large")
        os.ftruncate(file.fileno(), 2 << 20)
    return "2 MiB"


def many_descriptors(given: Given) -> str:
    """More open files than the process is given: 600."""
    for _ in range(600):
        os.dup(0)  # they go with this process
    return "600 descriptors"


def locked_memory(given: Given) -> str:
    """More memory than the process may keep from being swapped: 256 KiB (mlock(2))."""
    buffer = ctypes.create_string_buffer(262144)
    call("mlock", ctypes.addressof(buffer), 262144)
    return "256 KiB"
