"""Asking the kernel: install programs one after another in a child and see what becomes of system calls."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import struct
from collections.abc import Sequence

from hardening_seccomp.actions import Action, Kind

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
KILLED = "killed"
RAN = "ran"
PENDING = -(1 << 40)

Call = tuple[int, Sequence[int]]


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _syscall(libc: ctypes.CDLL, number: int, *arguments: int) -> int:
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments))
    return -ctypes.get_errno() if result == -1 else int(result)


def install(libc: ctypes.CDLL, seccomp: int, data: bytes) -> int:
    """0, or the negative errno of seccomp(2)."""
    buffer = ctypes.create_string_buffer(data, len(data))
    program = Program(len(data) // 8, ctypes.cast(buffer, ctypes.c_void_p).value)
    return _syscall(libc, seccomp, SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(program))


def accepts(seccomp: int, data: bytes) -> bool:
    """Whether the kernel takes a program; it is installed in a child that ends at once, however it ends."""
    return _in_child(seccomp, [data], [])[0] == 0


def answers(seccomp: int, programs: Sequence[bytes], calls: Sequence[Call]) -> list[str]:
    """What each call comes to under all programs: `RAN`, `KILLED`, or the name of its errno."""
    found: list[str] = []
    while len(found) < len(calls):
        installed, *results = _in_child(seccomp, programs, calls[len(found) :])
        assert installed == 0, f"the kernel refuses a filter: {errno.errorcode.get(-installed, installed)}"
        for result in results:
            if result == PENDING:
                found.append(KILLED)
                break
            found.append(RAN if result >= 0 else errno.errorcode[-result])
    return found


def expected(action: Action) -> str:
    """What `answers` reports for an action without a tracer or a handler (seccomp(2))."""
    if action.kind in (Kind.ALLOW, Kind.LOG):
        return RAN
    if action.kind is Kind.TRACE:
        return "ENOSYS"
    return errno.errorcode[action.data] if action.kind is Kind.ERRNO else KILLED


def _in_child(seccomp: int, programs: Sequence[bytes], calls: Sequence[Call]) -> list[int]:
    """The result of installing, then those of the calls; they come back through shared memory, not system calls."""
    shared = mmap.mmap(-1, 8 * (len(calls) + 1))
    struct.pack_into("=q", shared, 0, PENDING)
    for index in range(len(calls)):
        struct.pack_into("=q", shared, 8 * (index + 1), PENDING)
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        results = [0]
        for program in programs:
            results[0] = results[0] or install(libc, seccomp, program)
        struct.pack_into("=q", shared, 0, results[0])
        for index, (number, arguments) in enumerate(calls):
            struct.pack_into("=q", shared, 8 * (index + 1), _syscall(libc, number, *arguments))
        os._exit(0)
    os.waitpid(child, 0)
    first = struct.unpack_from("=q", shared, 0)[0]
    rest = [struct.unpack_from("=q", shared, 8 * (index + 1))[0] for index in range(len(calls))]
    if first == PENDING:
        first = 0  # the child was killed by its own filter after installing it
    return [first, *rest]
