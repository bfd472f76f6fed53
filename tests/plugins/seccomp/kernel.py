"""Asking the kernel: install programs one after another in a child and see what becomes of system calls."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import mmap
import os
import resource
import signal
import struct
from collections.abc import Sequence

from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, Action, ActionKind
from hardening_seccomp.bpf import Instruction

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
KILLED = "killed"
RAN = "ran"
PENDING = -(1 << 40)

Call = tuple[int, Sequence[int]]

#: void f(void *table), on x86_64: makes one call after another, of which each has nine words: 0 for syscall and 1 for int
#: 0x80, the number, six arguments, and room for the result. Beyond them it ends the process by ud2. Nothing else is called:
#: under a filter that kills, whatever Python needs by itself would look like an answer.
MACHINE = bytes.fromhex(
    "4989fc49833c24017751498b442408498b542420741d498b7c2410498b7424184d8b5424284d8b4424304d8b4c24380f05eb1d"
    "498b5c2410498b4c2418498b742428498b7c2430498b6c2438cd80489849894424404983c448eba80f0b"
)
WORDS = 9
SYSCALL, INT80, END = range(3)
AUDIT_ARCH_X86_64, SECCOMP_X86_64, EXIT_GROUP_X86_64 = 0xC000003E, 317, 231


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


def verdicts(programs: Sequence[bytes], calls: Sequence[tuple[str, int, Sequence[int]]]) -> list[str]:
    """What all programs together make of calls of x86_64, x32 and x86, each an architecture, a number and arguments; the
    names of `expected`. None of the calls is made: the oldest filter answers what the others let run, by an errno that
    they do not have. So a call is asked for even where this kernel has none of its architecture, as with x32."""
    found: list[str] = []
    while len(found) < len(calls):
        installed, *results = _by_machine([_last(), *programs], calls[len(found) :])
        assert installed == 0, f"the kernel refuses a filter: {errno.errorcode.get(-installed, installed)}"
        for result in results:
            if result == PENDING:
                found.append(KILLED)
                break
            found.append(RAN if result == -errno.EBADE else errno.errorcode[-result])
    return found


def _last() -> bytes:
    """The filter that lets nothing run but further filters, and the end of the process."""
    return bpf.encode(
        (
            Instruction(bpf.LD_ABS, 0, 0, bpf.ARCHITECTURE),
            Instruction(bpf.JMP | bpf.JEQ, 0, 4, AUDIT_ARCH_X86_64),
            Instruction(bpf.LD_ABS, 0, 0, bpf.NUMBER),
            Instruction(bpf.JMP | bpf.JEQ, 1, 0, SECCOMP_X86_64),
            Instruction(bpf.JMP | bpf.JEQ, 0, 1, EXIT_GROUP_X86_64),
            Instruction(bpf.RET_K, 0, 0, ALLOW.returned),
            Instruction(bpf.RET_K, 0, 0, Action(ActionKind.ERRNO, errno.EBADE).returned),
        )
    )


def _by_machine(programs: Sequence[bytes], calls: Sequence[tuple[str, int, Sequence[int]]]) -> list[int]:
    """The result of installing, then those of the calls, made by `MACHINE` in a child that ends with them."""
    buffers = [ctypes.create_string_buffer(data, len(data)) for data in programs]
    loaded = [Program(len(data) // 8, ctypes.addressof(buffer)) for data, buffer in zip(programs, buffers, strict=True)]
    rows: list[tuple[int, ...]] = [
        (SYSCALL, SECCOMP_X86_64, SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(one), 0, 0, 0) for one in loaded
    ]
    rows += [(INT80 if name == "x86" else SYSCALL, number, *arguments) for name, number, arguments in calls]
    rows += [(SYSCALL, EXIT_GROUP_X86_64, *[0] * 6), (END, *[0] * 7)]
    with (
        mmap.mmap(-1, 8 * WORDS * len(rows)) as table,
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code,
    ):
        table.write(b"".join(struct.pack("=8Qq", *row, PENDING) for row in rows))
        code.write(MACHINE)
        start, first = (ctypes.addressof(ctypes.c_char.from_buffer(page)) for page in (code, table))
        child = os.fork()
        if child == 0:
            _end_by_signals()
            ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(start)(first)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGSYS, -signal.SIGILL), status
        results = [row[-1] for row in struct.iter_unpack("=8Qq", table[:])]
    made = results[: len(programs)]
    return [next((result for result in made if result), 0), *results[len(programs) : len(rows) - 2]]


def expected(action: Action) -> str:
    """What `answers` reports for an action without a tracer or a handler (seccomp(2))."""
    if action.kind in (ActionKind.ALLOW, ActionKind.LOG):
        return RAN
    if action.kind is ActionKind.TRACE:
        return "ENOSYS"
    return errno.errorcode[action.data] if action.kind is ActionKind.ERRNO else KILLED


def _end_by_signals() -> None:
    """Let a signal end this process at once: pytest's handler of faults makes calls, and makes those again that a filter
    answers with EINTR."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()


def _in_child(seccomp: int, programs: Sequence[bytes], calls: Sequence[Call]) -> list[int]:
    """The result of installing, then those of the calls; they come back through shared memory, not system calls."""
    shared = mmap.mmap(-1, 8 * (len(calls) + 1))
    struct.pack_into("=q", shared, 0, PENDING)
    for index in range(len(calls)):
        struct.pack_into("=q", shared, 8 * (index + 1), PENDING)
    child = os.fork()
    if child == 0:
        _end_by_signals()
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        results = [0]
        for program in programs:
            results[0] = results[0] or install(libc, seccomp, program)
        struct.pack_into("=q", shared, 0, results[0])
        for index, (number, arguments) in enumerate(calls):
            struct.pack_into("=q", shared, 8 * (index + 1), _syscall(libc, number, *arguments))
        ctypes.string_at(0)  # the filters may deny exit_group
    os.waitpid(child, 0)
    first = struct.unpack_from("=q", shared, 0)[0]
    rest = [struct.unpack_from("=q", shared, 8 * (index + 1))[0] for index in range(len(calls))]
    if first == PENDING:
        first = 0  # the child was killed by its own filter after installing it
    return [first, *rest]
