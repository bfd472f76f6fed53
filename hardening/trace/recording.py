"""Recording all that a command asks for at less cost: the filter itself says which calls are worth a look.

A filter may answer `SECCOMP_RET_TRACE` (seccomp(2)): then a tracer is asked, and all other calls run as fast as ever. So
what a filter permits is asked about, but for calls that every program makes all the time and whose arguments say nothing;
what it denies it goes on to deny.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from hardening.base import files, jsontext
from hardening.base.digest import ANNOTATION, of_filter
from hardening.errors import LaunchError
from hardening.launch.config.bundle import FILTER
from hardening.trace import calls

#: Calls that are not seen: what programs do often, to begin and to end, on what they have open already and to other
#: processes of theirs. A profile says no more of them than that they are permitted, and `strict` permits each. Which of them
#: were made, and how often, a run that is traced tells.
UNSEEN = (
    *("read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek"),
    *("close", "fstat", "getdents64", "futex", "mmap", "munmap", "mremap", "brk", "madvise", "mprotect", "getrandom"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "poll", "ppoll", "select", "pselect6", "time"),
    *("epoll_wait", "epoll_pwait", "epoll_ctl", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday"),
    *("getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "sched_yield", "wait4", "waitid"),
    *("arch_prctl", "set_tid_address", "set_robust_list", "rseq", "exit", "exit_group", "fork", "vfork", "prlimit64"),
    *("dup", "dup2", "dup3", "pipe", "pipe2", "fcntl", "fsync", "fdatasync", "fadvise64", "getcwd", "umask", "uname"),
    *("getpgrp", "setpgid", "getrusage", "times", "sysinfo", "sched_getaffinity", "rt_sigsuspend", "rt_sigtimedwait"),
)
#: Instructions of classic BPF (linux/filter.h), and where a filter finds the call (struct seccomp_data).
_RETURN, _JUMP, _JUMP_IF_EQUAL, _JUMP_IF_SET, _JUMP_IF_NOT_LESS, _LOAD = 0x06, 0x05, 0x15, 0x45, 0x35, 0x20
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_LOWER, _UPPER = (tuple(_ARGUMENTS + 8 * at + half for at in range(6)) for half in (0, 4))
_ANY = 0xFFFFFFFF
#: Of `UNSEEN` those that are seen if an argument, by the place of its lower or upper half, is such: memory that is to be
#: executed, a limit that is set, and what is done to a descriptor beyond a copy of it and its flags (F_SETFL is 4).
SEEN_IF = {
    "mmap": [(_LOWER[2], _JUMP_IF_SET, 4)],
    "mprotect": [(_LOWER[2], _JUMP_IF_SET, 4)],
    "prlimit64": [(_LOWER[2], _JUMP_IF_SET, _ANY), (_UPPER[2], _JUMP_IF_SET, _ANY)],
    "fcntl": [(_LOWER[1], _JUMP_IF_NOT_LESS, 5)],
}
_ALLOW, _LOG, _TRACE, _ERRNO = 0x7FFF0000, 0x7FFC0000, 0x7FF00000, 0x00050000
_ACTION = 0xFFFF0000
#: By this a question of the filter's is told from one of a program's own filter, whose tracer is not there.
MARK = 0x7E11
_LONGEST = 4096  # BPF_MAXINSNS


def prepare(bundle: Path) -> None:
    """Have the filter of a bundle ask a tracer about the calls that it permits. The bundle is then good for a recording
    alone. `LaunchError` for one without a filter, or with one that leaves no room."""
    document = jsontext.parse((bundle / "config.json").read_bytes(), str(bundle / "config.json"))
    table = document if isinstance(document, dict) else {}
    seccomp, annotations = table.get("linux", {}).get("seccomp"), table.get("annotations", {})
    if seccomp is None or ANNOTATION not in annotations:
        raise LaunchError("the bundle has no filter that could tell of system calls", origin=bundle / "config.json")
    program = asking((bundle / FILTER).read_bytes())
    annotations[ANNOTATION] = of_filter(seccomp, program)
    files.replace(str(bundle / FILTER), program)
    files.replace(str(bundle / "config.json"), jsontext.dump(table).encode())


def asking(program: bytes) -> bytes:
    """A filter that asks a tracer where ``program`` would let a call go on. Its own answers are left; those that permit
    become a jump to the end, where the calls that are `UNSEEN` go on. Its own question to a tracer is answered by ENOSYS, as
    where there is none: else the call would go on. `LaunchError` where it would be too long."""
    end = len(program) // 8
    found = bytearray()
    for place in range(end):
        instruction = program[8 * place : 8 * place + 8]
        code, answer = _word(instruction, 0, 2), _word(instruction, 4, 4) & _ACTION
        if code == _RETURN and answer in (_ALLOW, _LOG):
            instruction = _instruction(_JUMP, end - place - 1)
        elif code == _RETURN and answer == _TRACE:
            instruction = _instruction(_RETURN, _ERRNO | errno.ENOSYS)
        found += instruction
    found += b"".join(_end())
    if len(found) // 8 > _LONGEST:
        raise LaunchError(f"the filter has {end} instructions, which leaves no room to record")
    return bytes(found)


def _end() -> Iterator[bytes]:
    """Ask about a call of another architecture, let one go on that is `UNSEEN`, look at the argument of one that is so in
    part, and ask about all others."""
    native = calls.native("read", 0).architecture
    unseen = sorted(number for token, number in calls.numbers(*UNSEEN) if token == native)
    unseen = [number for number in unseen if calls.name(native, number) not in SEEN_IF]
    parts = [_asks_if(name, tests) for name, tests in SEEN_IF.items()]
    size = sum(map(len, parts))
    yield _instruction(_LOAD, _ARCHITECTURE)
    yield _instruction(_JUMP_IF_EQUAL, native, 0, 1 + len(unseen) + size)
    yield _instruction(_LOAD, _NUMBER)
    for place, number in enumerate(unseen):
        yield _instruction(_JUMP_IF_EQUAL, number, len(unseen) - place + size, 0)
    for part in parts:
        yield from part
    yield _instruction(_RETURN, _TRACE | MARK)
    yield _instruction(_RETURN, _ALLOW)


def _asks_if(name: str, tests: Sequence[tuple[int, int, int]]) -> list[bytes]:
    """Ask about a call if one of some tests holds, each of a half of an argument, and let it go on if none does; nothing, if
    it is another call."""
    found = [_instruction(_JUMP_IF_EQUAL, calls.native(name, 0).number, 0, 2 * len(tests) + 2)]
    for left, (place, test, value) in zip(range(len(tests), 0, -1), tests, strict=True):
        found += [_instruction(_LOAD, place), _instruction(test, value, 2 * left - 1, 0)]
    return [*found, _instruction(_RETURN, _ALLOW), _instruction(_RETURN, _TRACE | MARK)]


def _instruction(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return code.to_bytes(2, "little") + bytes((true, false)) + value.to_bytes(4, "little")


def _word(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "little")
