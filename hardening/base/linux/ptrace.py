"""Another process, seen from outside: its stops, its calls, its memory (ptrace(2), process_vm_readv(2)).

Every function raises `OSError` with the kernel's errno.
"""

from __future__ import annotations

import errno

from hardening.base.linux import abi
from hardening.base.linux._libc import ffi
from hardening.base.linux.kernel import call, call_number, syscall
from hardening.base.linux.system import os

_ORIG_RAX = 15 * 8  # where struct user has the number of the system call (sys/user.h)


def request(number: int, pid: int, data: int = 0) -> None:
    """A ``PTRACE_*`` request without an address."""
    call("ptrace", number, pid, 0, data)


def event_message(pid: int) -> int:
    """What a stop of ptrace(2) for an event has to say: a new pid, or after execve(2) the former one."""
    message = ffi.new("uint64_t *")
    call("ptrace", abi.PTRACE_GETEVENTMSG, pid, 0, message)
    return int(message[0])


def skip_call(pid: int) -> None:
    """Have a tracee that has stopped before a system call not make it: it is answered ENOSYS. `OSError`."""
    if os.uname().machine == "x86_64":  # where that is the answer until there is another
        call("ptrace", abi.PTRACE_POKEUSER, pid, _ORIG_RAX, -1)
        return
    registers, vector = ffi.new("uint64_t[34]"), ffi.new("struct iovec *")
    vector.base, vector.len = ffi.cast("char *", registers), ffi.sizeof(registers)
    call("ptrace", abi.PTRACE_GETREGSET, pid, abi.NT_PRSTATUS, vector)
    registers[0] = (1 << 64) - errno.ENOSYS
    call("ptrace", abi.PTRACE_SETREGSET, pid, abi.NT_PRSTATUS, vector)
    number = ffi.new("int *", -1)
    vector.base, vector.len = ffi.cast("char *", number), ffi.sizeof("int")
    call("ptrace", abi.PTRACE_SETREGSET, pid, abi.NT_ARM_SYSTEM_CALL, vector)


def signal_info(pid: int) -> tuple[int, int, int]:
    """The number and the code of the signal that a tracee has stopped for, and of a fault the address (sigaction(2),
    siginfo_t)."""
    found = ffi.new("int[32]")
    call("ptrace", abi.PTRACE_GETSIGINFO, pid, 0, found)
    return found[0], found[2], int(ffi.cast("uint64_t *", found)[2])


class SyscallStops:
    """What tracees that have stopped at system calls say (ptrace(2), PTRACE_GET_SYSCALL_INFO), read to one place: there are
    two stops a call, and what is done at each is done thousands of times."""

    def __init__(self) -> None:
        self._info = ffi.new("struct syscall_info *")
        self._place = int(ffi.cast("intptr_t", self._info))
        self._size = ffi.sizeof("struct syscall_info")
        self._words = ffi.cast("uint64_t *", self._info)
        self._ptrace = call_number("ptrace")

    def read(self, pid: int) -> tuple[int, int, int, tuple[int, ...], int]:
        """Of the stop of a tracee: its kind (``PTRACE_SYSCALL_INFO_*``), the ``AUDIT_ARCH_*`` token, the number of the call,
        six unsigned arguments, and the filter's data; at the end of a call the result stands for the number, and whether it
        is an error in the first byte of the first argument. `OSError`."""
        if syscall(self._ptrace, abi.PTRACE_GET_SYSCALL_INFO, pid, self._size, self._place, 0, 0) < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        words = ffi.unpack(self._words, 11)  # one call in the place of one for each member
        return words[0] & 0xFF, words[0] >> 32, words[3], tuple(words[4:10]), words[10] & 0xFFFFFFFF

    def resume(self, pid: int, request: int, number: int = 0) -> None:
        """Have a tracee go on by a request such as ``PTRACE_CONT``, with a signal; one that was killed this moment does not,
        which its status will say. `OSError`."""
        if syscall(self._ptrace, request, pid, 0, number, 0, 0) < 0 and ffi.errno != errno.ESRCH:
            raise OSError(ffi.errno, os.strerror(ffi.errno))


class Memory:
    """The memory of another process (process_vm_readv(2)), read to one place of ``most`` bytes."""

    def __init__(self, pid: int, most: int) -> None:
        self._pid, self._most = pid, most
        self._buffer, self._places = ffi.new("char[]", most), ffi.new("uint64_t[4]")  # two of struct iovec
        self._places[0] = int(ffi.cast("intptr_t", self._buffer))
        self._own = int(ffi.cast("intptr_t", self._places))
        self._other = self._own + ffi.sizeof("struct iovec")
        self._read = call_number("process_vm_readv")

    def read(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes, and no more than there is room for; fewer where what follows is not mapped. `OSError`."""
        size = min(size, self._most)
        self._places[1], self._places[2], self._places[3] = size, address, size
        found = syscall(self._read, self._pid, self._own, 1, self._other, 1, 0)
        if found < 0:
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        return ffi.unpack(self._buffer, found)  # type: ignore[no-any-return]


def seccomp_filter(pid: int, index: int) -> bytes:
    """The BPF program of a stopped tracee's filter, the one that was loaded last being 0 (ptrace(2),
    PTRACE_SECCOMP_GET_FILTER). `OSError`: ENOENT beyond the last, EACCES without the right, EINVAL without any."""
    length = call("ptrace", abi.PTRACE_SECCOMP_GET_FILTER, pid, index, 0)
    program = ffi.new("char[]", length * 8)  # struct sock_filter
    call("ptrace", abi.PTRACE_SECCOMP_GET_FILTER, pid, index, program)
    return bytes(ffi.buffer(program))
