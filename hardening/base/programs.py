"""Programs that this one starts and waits for. Each of them has an end, and so has what it has started itself; and which
program it is, and what it finds, does not depend on the place where the caller stands."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from hardening.base import files, places
from hardening.base.linux import children

#: Seconds that a program may take: by itself, and where there is a terminal on which it may be asking somebody.
PATIENCE, ASKING = 60.0, 600.0
#: An environment that says nothing of the caller, for programs of the system of which the answer is read.
BARE = {"PATH": places.OF_COMMANDS, "LC_ALL": "C"}
#: Names, and how names begin, of what has another program's dynamic linker, C library, shell or interpreter run code of a
#: place that is named. All else is the caller's to say: where keys are, how a terminal is asked, what a helper is told.
_CHOOSING = frozenset({"GCONV_PATH", "LOCPATH", "BASH_ENV", "ENV"})
_CHOOSING_ALL = ("LD_", "BASH_FUNC_", "PYTHON", "PERL5", "OPENSSL_")


def terminal() -> str | None:
    """The path of the controlling terminal, on which somebody can be asked; None without one."""
    found = files.terminal()
    return None if found is None else f"/dev/{found}"


def path() -> str:
    """The caller's PATH without the empty and relative entries, which stand for the place where the caller is; what commands
    get that are given none where nothing is left."""
    return (
        ":".join(entry for entry in os.environ.get("PATH", "").split(":") if entry.startswith("/"))
        or places.OF_COMMANDS
    )


def find(program: str, among: str | None = None) -> str | None:
    """The absolute path of a program by its name, or of one that is named so, ``among`` the directories of a PATH, which is
    `path` where none is given; None where there is none."""
    return None if "/" in program and not program.startswith("/") else shutil.which(program, path=among or path())


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment, and ``more``, for a program: with `path`, and without directories of the XDG specification
    that are relative, and what chooses code. Raises `UsageError` where the home of GnuPG is, which names programs of its
    own."""
    places.named(os.environ, "GNUPGHOME")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _CHOOSING
        and not name.startswith(_CHOOSING_ALL)
        and (value.startswith("/") or not (name.startswith("XDG_") or name == "TMPDIR"))
    }
    return {**kept, "PATH": path(), **(more or {})}


def run(
    argv: Sequence[str],
    data: bytes,
    patience: float,
    *,
    env: Mapping[str, str] | None = None,
    passed: Sequence[int] = (),
    bound: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of which both streams are read, with ``data`` as its input, for so many seconds; the rest as `start` has
    it. Raises `OSError`, and `subprocess.TimeoutExpired`."""
    pipe = subprocess.PIPE
    process = start(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, passed=passed, bound=bound)
    try:
        out, err = process.communicate(data, timeout=patience)
    finally:
        end(process)
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)


def start(
    argv: Sequence[str],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    more: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    asks: bool = False,
    private: bool = False,
    passed: Sequence[int] = (),
    bound: bool = False,
) -> subprocess.Popen[bytes]:
    """Start the program that `find` has, in the root directory and with the `environment`, to which ``more`` is added, or
    with ``env`` alone. One that ``asks`` stays where a terminal can be read, any other has a session of its own (setsid(2)):
    it has no terminal, and ends with all that it starts. One that is ``private`` leaves no core dump, one that is ``bound``
    is killed when the thread ends that has started it. It has the descriptors that are ``passed``. Raises `OSError`."""
    program = find(argv[0])
    if program is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    own = os.getpid()

    def prepare() -> None:
        if private:
            leave_no_dump()
        if bound:
            children.end_with(own)

    return subprocess.Popen(
        argv,
        executable=program,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=environment(more) if env is None else env,
        cwd="/",
        start_new_session=not asks,
        preexec_fn=prepare if private or bound else None,
        pass_fds=passed,
    )


def leave_no_dump() -> None:
    """Have this process, and what it starts, leave no core dump. A program that the kernel pipes core dumps to (core(5))
    gets them whatever the limit, unless that is one byte."""
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that has not been waited for, with its session where it has one, and close what was read of it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            alone = os.getpgid(process.pid) == process.pid
            (os.killpg if alone else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
