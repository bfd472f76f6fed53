"""Attacks that are one system call, or a few: they ask for a handle, and let it go."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal

from tests.escape.attacks.kit import Given, Refused, call, capabilities, packed

CLONE_NEWUSER = 0x10000000
PTRACE_SEIZE = 0x4206
KEYCTL_READ = 11


def _child_with_capabilities(pid: int, reader: int) -> str:
    text = os.read(reader, 32).decode()
    os.waitpid(pid, 0)
    if not int(text or "0", 16):
        raise Refused("a process without capabilities")
    return f"CapEff {text}"


def unshare_user(given: Given) -> str:
    """A user namespace gives every capability, and with it the kernel's code that only root reaches."""
    call("unshare", CLONE_NEWUSER)
    return f"CapEff {capabilities():x}"


def clone_user(given: Given) -> str:
    """The same by clone(2)."""
    reader, writer = os.pipe()
    pid = call("clone", CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.write(writer, f"{capabilities():x}".encode())
        os._exit(0)
    os.close(writer)
    return _child_with_capabilities(pid, reader)


def clone3_user(given: Given) -> str:
    """The same by clone3(2), whose flags lie in memory, where no filter sees them."""
    reader, writer = os.pipe()
    pid = call("clone3", packed(CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    if pid == 0:
        os.write(writer, f"{capabilities():x}".encode())
        os._exit(0)
    os.close(writer)
    return _child_with_capabilities(pid, reader)


def read_key(given: Given) -> str:
    """A key of the caller, by its serial number: no namespace separates the keys of one user."""
    buffer = ctypes.create_string_buffer(64)
    size = call("keyctl", KEYCTL_READ, given.key, buffer, 64)
    text = buffer.raw[:size].decode()
    if text != given.canary:
        raise Refused(text)
    return f"key {given.key}"


def bpf_map(given: Given) -> str:
    """A map of the kernel's virtual machine: BPF_MAP_CREATE of an array with one word."""
    attributes = b"".join(word.to_bytes(4, "little") for word in (2, 4, 4, 1))
    os.close(call("bpf", 0, attributes.ljust(72, b"\0"), 72))
    return "a map"


def perf_event(given: Given) -> str:
    """A counter of the kernel: the software clock of this process."""
    attributes = (1).to_bytes(4, "little") + (112).to_bytes(4, "little") + bytes(32) + packed(0x60)
    os.close(call("perf_event_open", attributes.ljust(112, b"\0"), 0, -1, -1, 0))
    return "a counter"


def io_uring(given: Given) -> str:
    """A ring, whose requests no filter sees."""
    os.close(call("io_uring_setup", 1, ctypes.create_string_buffer(120)))
    return "a ring"


def userfaultfd(given: Given) -> str:
    """Page faults that this process answers when it likes, which wins races in the kernel (UFFD_USER_MODE_ONLY)."""
    os.close(call("userfaultfd", os.O_CLOEXEC | 1))
    return "a descriptor"


def ptrace(given: Given) -> str:
    """Control of a process of the same user outside of the container. It is never stopped."""
    call("ptrace", PTRACE_SEIZE, given.pid, 0, 0)
    return "attached"


def process_vm_readv(given: Given) -> str:
    """The memory of a process of the same user outside of the container."""
    buffer = ctypes.create_string_buffer(len(given.canary))
    local = packed(ctypes.addressof(buffer), len(buffer.raw))
    remote = packed(given.address, len(given.canary))
    call("process_vm_readv", given.pid, local, 1, remote, 1, 0)
    if buffer.raw[: len(given.canary)].decode() != given.canary:
        raise Refused("other bytes")
    return "the canary"


def pidfd_getfd(given: Given) -> str:
    """An open descriptor of a process of the same user outside of the container."""
    stolen = call("pidfd_getfd", os.pidfd_open(given.pid), given.descriptor, 0)
    if os.pread(stolen, 100, 0).decode() != given.canary:
        raise Refused("another file")
    return "the canary"


def init_module(given: Given) -> str:
    """Code for the kernel. Nothing of it is any: ENOEXEC is the answer to those who may load a module."""
    return _answered(8, "init_module", b"\0" * 64, 64, b"")


def kexec_load(given: Given) -> str:
    """Another kernel. The flags make no sense: EINVAL is the answer to those who may."""
    return _answered(22, "kexec_load", 0, 0, 0, 0x8000)


def reboot(given: Given) -> str:
    """A restart with wrong magic numbers: EINVAL is the answer to those who may."""
    return _answered(22, "reboot", 0, 0, 0, 0)


def swapon(given: Given) -> str:
    """Swap on a file that is not there: ENOENT is the answer to those who may."""
    return _answered(2, "swapon", b"/nowhere", 0)


def set_clock(given: Given) -> str:
    """The time of day, with neither a time nor a zone: nothing changes for those who may."""
    call("settimeofday", 0, 0)
    return "permitted"


def tune_clock(given: Given) -> str:
    """The rate of the clock, at a value that is out of range: EINVAL is the answer to those who may (ADJ_TICK)."""
    return _answered(22, "adjtimex", packed(0x4000).ljust(88, b"\0") + packed(1).ljust(120, b"\0"))


def ports(given: Given) -> str:
    """The ports of devices (iopl(2)); no port is touched."""
    call("iopl", 3)
    return "level 3"


def kernel_log(given: Given) -> str:
    """The kernel's log, with addresses and names of the host (SYSLOG_ACTION_READ_ALL)."""
    size = call("syslog", 3, ctypes.create_string_buffer(4096), 4096)
    return f"{size} bytes"


def fanotify(given: Given) -> str:
    """Reports of what others do with files (FAN_CLASS_NOTIF with FAN_REPORT_FID)."""
    os.close(call("fanotify_init", 0x200, os.O_RDONLY))
    return "a group"


def local_descriptors(given: Given) -> str:
    """The local descriptor table of the processor (modify_ldt(2)), a frequent place of defects."""
    call("modify_ldt", 0, ctypes.create_string_buffer(16), 16)
    return "the table"


def persona(given: Given) -> str:
    """Execution without address randomisation (ADDR_NO_RANDOMIZE)."""
    call("personality", 0x0040000)
    return f"persona {call('personality', 0xFFFFFFFF):x}"


def compare(given: Given) -> str:
    """Which objects of the kernel two processes share, and in which order they lie in memory (kcmp(2))."""
    me = os.getpid()
    return f"order {call('kcmp', me, me, 0, 0, 1)}"


def memfd_program(given: Given) -> str:
    """A program that never was a file: noexec mounts do not see it (memfd_create(2))."""
    fd = os.memfd_create("payload")
    with open("/usr/bin/true", "rb") as file:
        os.write(fd, file.read())
    if os.spawnv(os.P_WAIT, f"/proc/self/fd/{fd}", ["payload"]):
        raise Refused("not executed")
    return "executed"


def vsock(given: Given) -> str:
    """A socket to the hypervisor, whom no network namespace hides (vsock(7))."""
    return _socket(40)


def kernel_crypto(given: Given) -> str:
    """A socket to the kernel's ciphers (AF_ALG)."""
    return _socket(38)


def dirty_socket(given: Given) -> str:
    """AF_INET with a bit in the upper half of the register: the kernel reads 32 bits."""
    return _socket(1 << 32 | 2)


def dirty_clone(given: Given) -> str:
    """CLONE_NEWUSER with a bit in the upper half of the register."""
    reader, writer = os.pipe()
    pid = call("clone", 1 << 63 | CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.write(writer, f"{capabilities():x}".encode())
        os._exit(0)
    os.close(writer)
    return _child_with_capabilities(pid, reader)


def dirty_ioctl(given: Given) -> str:
    """TIOCSTI with bits in the upper half of the register, on a pipe: ENOTTY is the kernel's own answer."""
    return _answered(25, "ioctl", os.pipe()[0], 0xDEAD_0000_5412, 0)


def through_ia32(given: Given) -> str:
    """clone(2) by the 32-bit entry of the kernel (``int 0x80``): its number there, 120, is getresgid elsewhere."""
    return _cloned_by(b"\x53\xb8\x78\x00\x00\x00\xbb\x11\x00\x00\x10\x31\xc9\x31\xd2\x31\xf6\x31\xff\xcd\x80\x5b\xc3")


def through_x32(given: Given) -> str:
    """clone(2) by the x32 entry of the kernel, where a high bit is set in its number."""
    return _cloned_by(b"\xb8\x38\x00\x00\x40\xbf\x11\x00\x00\x10\x31\xf6\x31\xd2\x45\x31\xd2\x45\x31\xc0\x0f\x05\xc3")


def _cloned_by(code: bytes) -> str:
    """Run machine code that clones with CLONE_NEWUSER and SIGCHLD."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    reader, writer = os.pipe()
    pid = ctypes.c_int(ctypes.CFUNCTYPE(ctypes.c_int)(start)()).value
    if pid == 0:
        os.write(writer, f"{capabilities():x}".encode())
        os._exit(0)
    os.close(writer)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return _child_with_capabilities(pid, reader)


def _socket(family: int) -> str:
    os.close(call("socket", family, 1 if family & 0xFF != 38 else 5, 0))
    return "a socket"


def _answered(number: int, name: str, *arguments: int | bytes) -> str:
    """The errno that only the kernel gives, and only to those who have the right."""
    try:
        call(name, *arguments)
    except OSError as error:
        if error.errno == number:
            return "permitted"
        raise
    raise Refused("no answer")
