"""Processes of a function's own: one that answers, and one that only keeps namespaces."""

from __future__ import annotations

import select
import time

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    A = TypeVar("A")
    B = TypeVar("B")


def start(work: Callable[[int], object]) -> tuple[int, int]:
    """Do ``work`` in a process of its own, which writes to a descriptor: its pid, and where that is read. It ends with
    exit code 0, 1 where ``work`` raises. Raises `OSError` where no process can be made."""
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if child == 0:
        code = 1
        try:
            os.close(reader)  # so that it learns it when nobody listens any more
            work(writer)
            code = 0
        finally:
            os._exit(code)  # this copy must not go on as if it were the process that was started
    os.close(writer)
    return child, reader


def side_by_side(items: Sequence[A], work: Callable[[A], B]) -> list[B]:
    """What ``work`` gives of each item, in their order: of the first here, for what is learnt with it serves the others too,
    and of those in a process for each processor. What one of these does not answer is done here, and raises what it raised
    there."""
    import pickle  # of what copies of this process say

    def do(share: Sequence[A]) -> list[B]:
        return [work(item) for item in share]

    def answer(writer: int, share: Sequence[A]) -> None:
        with open(writer, "wb") as file:
            pickle.dump(do(share), file)

    found, rest = do(items[:1]), items[1:]
    count = min(len(os.sched_getaffinity(0)), len(rest))
    shares = [rest[begin::count] for begin in range(count)]
    started = [start(lambda writer, share=share: answer(writer, share)) for share in shares]  # type: ignore[misc]
    found += found * len(rest)
    for begin, (child, reader) in enumerate(started):
        with files.Opened(reader):
            told = files.read_all(reader)
        found[1 + begin :: count] = pickle.loads(told) if wait(child) == 0 else do(shares[begin])  # noqa: S301
    return found


def wait(child: int) -> int:
    """The exit code of a child once it has ended, -n for signal n."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_with(parent: int) -> None:
    """Have this process killed when the thread ends that has made it, of the process ``parent``, which may be over already
    (PR_SET_PDEATHSIG of prctl(2): other ids take that back)."""
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def ask(work: Callable[[int], object], seconds: float | None = None) -> tuple[bytes, int]:
    """Do ``work`` as `start` does: what it writes, and the exit code. Raises `OSError`: `TimeoutError` where it takes longer
    than so many ``seconds``, and is killed, with the process group that it leads."""
    child, reader = start(work)
    ended = False
    try:
        answer = files.read_all(reader) if seconds is None else _read(reader, child, time.monotonic() + seconds)
        ended = True
    finally:
        os.close(reader)
        if seconds is not None and not ended:
            _kill(child)
        code = wait(child)
    return answer, code


def _read(reader: int, child: int, end: float) -> bytes:
    """What a child answers that is over before ``end``; `TimeoutError`."""
    data = bytearray()
    piece = b"\0"
    while piece:
        if not _is_ready(reader, end - time.monotonic()):
            raise TimeoutError
        piece = os.read(reader, files.RELAYED)
        data += piece
    if not ends(child, end - time.monotonic()):  # it may live on though it has closed the pipe
        raise TimeoutError
    return bytes(data)


def ends(child: int, seconds: float) -> bool:
    """Whether a child is over in so many seconds; it stays to be waited for. Raises `OSError`."""
    with files.Opened(os.pidfd_open(child)) as process:
        return _is_ready(process, seconds)


def _is_ready(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):  # it may lead no group yet
        try:
            kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


class Holder:
    """A process that keeps new namespaces (``CLONE_NEW*``) until the end of a ``with`` block, which gets its pid."""

    def __init__(self, flags: int) -> None:
        """Start it. Raises `OSError`."""
        reader, self._writer = os.pipe()
        with files.Opened(reader):
            try:
                self._pid = kernel.clone(flags)
            except OSError:
                os.close(self._writer)
                raise
            if self._pid == 0:
                os.close(self._writer)
                os.read(reader, 1)  # the end of who started it
                os._exit(0)

    def __enter__(self) -> int:
        return self._pid

    def __exit__(self, *_: object) -> None:
        os.close(self._writer)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
