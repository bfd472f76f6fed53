"""Seccomp programs: which one a launcher loads, how many instructions of it a call takes, and how many nanoseconds."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp import bpf, symbolic
from hardening_seccomp.actions import ActionKind
from hardening_seccomp.diagrams import ARGUMENTS, WIDTH, Diagram, apply, constant
from tests.bench.contenders import BenchError

SOURCE = Path(__file__).with_name("percall.c")
_ATTACH, _INTERRUPT, _DETACH, _GET_FILTER = 0x4206, 0x4207, 17, 0x420C  # linux/ptrace.h
_WALL = 0x40000000
_RUNS = frozenset({ActionKind.ALLOW, ActionKind.LOG})


def loaded(pid: int) -> bytes:
    """The filter that a process runs under, the newest if there are several: PTRACE_SECCOMP_GET_FILTER (ptrace(2)). Needs
    root. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    call = partial(_checked, libc)
    call(_ATTACH, pid, None)
    try:
        call(_INTERRUPT, pid, None)
        os.waitpid(pid, _WALL)
        buffer = ctypes.create_string_buffer(8 * call(_GET_FILTER, pid, None))
        call(_GET_FILTER, pid, ctypes.addressof(buffer))
    finally:
        with suppress(ProcessLookupError):
            call(_DETACH, pid, None)
    return buffer.raw


def _checked(libc: ctypes.CDLL, request: int, pid: int, data: int | None) -> int:
    result = libc.ptrace(request, pid, None, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of process {pid}: {os.strerror(ctypes.get_errno())}")
    return int(result)


def instructions(data: bytes) -> dict[str, int]:
    """For each system call of this machine that may run: the most instructions it takes, whatever its arguments."""
    program = bpf.decode(data)
    library = Libseccomp.load()
    arch = library.native()
    found = {}
    for name, number in library.names(arch).items():
        results = [bpf.evaluate(program, arch, number, vector) for vector in vectors(program, arch, number)]
        steps = [result.executed for result in results if result.action.kind in _RUNS]
        if steps:
            found[name] = max(steps)
    return found


def vectors(program: bpf.Program, arch: int, number: int) -> Iterator[tuple[int, ...]]:
    """Arguments for every way that a call can take through a program, one vector a way."""
    concrete = bpf.seccomp_data(arch, number, ())
    waiting: list[tuple[symbolic.State, Diagram[bool]]] = [((0, None), constant(True))]
    while waiting:
        state, region = waiting.pop()
        found = symbolic._run(program, state, arch, concrete)
        if not isinstance(found, symbolic.Branch):
            yield member(region)
            continue
        held = apply(lambda here, test: here and test, region, found.test)
        failed = apply(lambda here, test: here and not test, region, found.test)
        waiting += [pair for pair in ((found.then, held), (found.otherwise, failed)) if pair[1] != constant(False)]


def member(region: Diagram[bool]) -> tuple[int, ...]:
    """An argument vector for which a diagram is true, which some must be."""
    arguments = [0] * ARGUMENTS
    ref = region.root
    while ref >= 0:
        bit, low, high = region.branches[ref]
        dead = low < 0 and not region.leaves[~low]
        if dead:
            arguments[bit // WIDTH] |= 1 << (WIDTH - 1 - bit % WIDTH)
        ref = high if dead else low
    return tuple(arguments)


def compiled(folder: Path) -> Path:
    """Compile the program that calls. Raises `BenchError`."""
    program = folder / "percall"
    done = subprocess.run(["gcc", "-O2", "-o", program, SOURCE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"gcc: {done.stderr.strip()}")
    return program


def percall(
    program: Path, filters: Mapping[str, Path | None], calls: int, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Nanoseconds a call, by filter and by name of the call; the filters take turns."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in filters}
    for _ in range(rounds):
        for name, path in filters.items():
            done = subprocess.run([program, path or "-", str(calls)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BenchError(f"the calls under the filter of {name}: {done.stderr.strip()}")
            for line in done.stdout.splitlines():
                call, nanoseconds = line.split()
                found[name].setdefault(call, []).append(float(nanoseconds))
    return found
