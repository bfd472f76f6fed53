"""The frame of every program of the launcher: the process as the caller left it, and errors as one message."""

from __future__ import annotations

import _stat as stat

from hardening.base import files
from hardening.base.linux.system import os, signal
from hardening.base.text import printable
from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Code = TypeVar("Code", int, int | None)

#: What stops a job that uses a terminal from the background; it stays as it is in every process.
TERMINAL_USE = {signal.SIGTTIN, signal.SIGTTOU}

MIN_DESCRIPTORS = 32


def guarded(action: Callable[[], Code]) -> Code:
    """The exit code of an action in a process that is as the caller left it; what goes wrong becomes a message."""
    # Python turns SIGINT into an exception and ignores SIGPIPE; the command must find both as the caller had them.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    code = EXIT_LAUNCHER
    try:
        open_standard_descriptors()
        require_clock()
        return action()
    except HardeningError as error:
        if isinstance(error, LaunchError):
            code = error.exit_code
        problem = str(error)
    except (OSError, ImportError) as error:
        # The second: a module that cannot be read for want of descriptors or memory, or is not there.
        problem = f"the launch failed: {error}"
    except MemoryError:
        problem = "the launch failed: out of memory\nhint: give it more memory (ulimit -v, the cgroup's limit)"
    except Exception as error:  # noqa: BLE001 - an exit code of 1 would be the command's
        module, _, line = frames(error)[-1]
        problem = f"the launch failed: {type(error).__name__} ({module}:{line})"
        problem += "\nhint: report this to the authors of hardening"
    # All is cleaned up: a pipe that nobody reads must not keep, behind `block_signals`, what no signal ends.
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    complain(problem)
    return code


def frames(error: BaseException) -> list[tuple[str, str, int]]:
    """The module, file and line of each step to where an exception was raised, the outermost first."""
    found, steps = error.__traceback__, []
    while found is not None:
        frame = found.tb_frame
        steps.append((str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename, found.tb_lineno))
        found = found.tb_next
    return steps


def require_clock() -> None:
    """Raise `LaunchError` where Python has no clock: with a time zone of more than a day it cannot load it (tzset(3))."""
    try:
        import time  # noqa: F401 - which everything that follows uses
    except RuntimeError as error:
        raise LaunchError(f"the time zone in TZ cannot be used: {error}", hint="unset TZ") from None


def open_standard_descriptors() -> None:
    """Open /dev/null where the caller has closed 0, 1 or 2, or the next descriptor that is opened would be taken for it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open("/dev/null", os.O_RDWR), True)


def block_signals() -> frozenset[int]:
    """Block what a supervisor reads from its signalfd: the mask as it was.

    A launch goes back to that when all is cleaned up, and not before: a signal that comes once more would end it halfway.
    """
    return frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - TERMINAL_USE))


def stand_between(may_open: Callable[[os.stat_result], bool]) -> tuple[dict[int, int], dict[int, int]]:
    """Pipes to put before standard output and error: the end of the container's for each number that gets one, and for
    `Supervisor.copies` what comes out of which for which number.

    None is needed for a nameless pipe, and for a file that the command ``may_open`` as /dev/stdout. A device of the caller's
    is nothing for it: who holds a terminal can also read from it what the user types, and make it type (ioctl_tty(2)). A
    socket can be opened by nobody.
    """
    writers: dict[int, int] = {}
    copies: dict[int, int] = {}
    for number in (1, 2):
        status = os.fstat(number)
        if open_to_all(number, stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
            continue
        if stat.S_ISREG(status.st_mode) and may_open(status):
            continue
        if number == 2 and 1 in writers and files.same(os.fstat(1), status):
            writers[2] = os.dup(writers[1])  # what comes first is written first
            continue
        reader, writers[number] = os.pipe()
        copies[reader] = number
        # So that the container's ids can open /dev/stdout again, though the pipe belongs to the caller.
        os.fchmod(writers[number], 0o622)
    return writers, copies


def open_to_all(number: int, permissions: int) -> bool:
    """Let the container's ids open a nameless pipe of the caller's again, as /dev/stdout; whether it is one, and they can.
    Others have no way to it but /proc of who holds it."""
    if not is_nameless_pipe(number):
        return False
    try:
        os.fchmod(number, stat.S_IMODE(os.fstat(number).st_mode) | permissions)
    except PermissionError:  # it is another user's
        return False
    return True


def is_nameless_pipe(number: int) -> bool:
    """Whether a descriptor is of pipe(2), and not a FIFO of a file system."""
    is_fifo = stat.S_ISFIFO(os.fstat(number).st_mode)
    return is_fifo and os.readlink(f"/proc/self/fd/{number}").startswith("pipe:")


def require_descriptors() -> None:
    """Raise `LaunchError` where too few files could be opened to launch, or to take away again what a launch leaves."""
    opened: list[int] = []
    try:
        while len(opened) < MIN_DESCRIPTORS:
            opened.append(os.dup(0))
    except OSError as error:
        raise LaunchError(
            f"a launch needs {MIN_DESCRIPTORS} more open files: {error.strerror}", hint="raise the limit: ulimit -n"
        ) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def complain(text: str) -> None:
    """Write a message to standard error."""
    remark(f"hardening: {text}")


def remark(text: str) -> None:
    """Write a line of advice to standard error, as it is."""
    # A message may quote what a container's files say: no control character of theirs may reach the terminal.
    shown = printable(text, keep="\n")
    try:
        os.write(2, f"{shown}\n".encode())
    except OSError:
        return
