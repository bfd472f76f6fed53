"""A container in the background: this process forks, waits for word of the start, and goes; the child is the launcher.

There is no other process and no daemon. The child is in a session of its own, so that no terminal stops or ends it; the
audit trail (loginuid) is inherited.
"""

from __future__ import annotations

import fcntl
import sys

from hardening.base import files, locks
from hardening.base.guarded import complain
from hardening.base.linux import children
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os, signal
from hardening.errors import EXIT_LAUNCHER, HardeningError, LaunchError
from hardening.launch.container.container_state import ContainerEntry, describe, identify, remove
from hardening.launch.container.directory import ROOM
from hardening.launch.container.outputlog import OutputLog
from hardening.launch.supervise.run_observer import RunObserver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hardening.launch.container.directory import LaunchDirectory
    from hardening.launch.request import LaunchRequest

    RunBundle = Callable[[RunObserver | None], int]

STARTED = b"+"
FAILED = b"-"


def run(request: LaunchRequest, directory: LaunchDirectory, run_bundle: RunBundle) -> int:
    """Start the container; print its id when its command runs. `LaunchError` where that failed, and nothing is left."""
    with Step("start a process"):
        pid, reader = children.start(lambda writer: _become_launcher(Detached(request, directory, writer), run_bundle))
    for kept in (request.lock, request.secrets, request.variables):
        if kept >= 0:
            os.close(kept)
    word = os.read(reader, 1)
    if word == STARTED:
        try:
            os.write(1, f"{request.id}\n".encode())
        except OSError as error:  # no failure of the launch, after which somebody would begin another
            complain(f"the container {request.id} runs; its id cannot be written: {error.strerror}")
        return 0
    text = files.read_all(reader)
    if word == FAILED:
        code, _, message = text.decode("utf-8", "replace").partition("\n")
        what, _, hint = message.partition("\nhint: ")
        raise LaunchError(what, hint=hint or None, exit_code=int(code))
    status = children.wait(pid)
    if not locks.is_locked(request.directory):
        remove(request.directory)
    raise LaunchError(f"the launcher exited with {status} before the command ran", hint="was it killed?")


def _become_launcher(observer: Detached, run_bundle: RunBundle) -> None:
    """Be the child. Does not return."""
    code = EXIT_LAUNCHER
    try:
        os.setsid()
        _close_inherited()
        os.chdir("/")
        observer.directory.adopt()
        ended = run_bundle(observer)
    except HardeningError as error:
        observer.fail(error.exit_code if isinstance(error, LaunchError) else EXIT_LAUNCHER, str(error))
    except (OSError, MemoryError) as error:
        observer.fail(EXIT_LAUNCHER, f"the launch failed: {error or 'out of memory'}")
    else:
        observer.end(ended)
        code = ended
    finally:
        kind, defect, trace = sys.exc_info()
        if kind is not None and defect is not None:
            sys.excepthook(kind, defect, trace)
        os._exit(code)


class Detached(RunObserver):
    """Keeps what there is to know of a detached container. ``writer`` is the pipe to the process that waits."""

    captures = True

    def __init__(self, request: LaunchRequest, directory: LaunchDirectory, writer: int) -> None:
        super().__init__(request, directory)
        self._writer = writer
        self._entry: ContainerEntry | None = None
        self._log: OutputLog | None = None
        self._runs = False
        self._problem = ""

    def prepare(self, document: object) -> None:
        self._entry = ContainerEntry(self.directory, describe(self.request, document))
        self._entry.create(self.request.name)
        with Step("open the container's log", hint=ROOM):
            self._log = OutputLog(self._entry, self.request.log_size)
        with Step("connect the container's output with its log"):
            _connect_input(keep=self.request.stdin)
            for number in (1, 2):
                reader, writer = os.pipe()
                # So that the container's ids can open /dev/stdout again, though the pipe belongs to the caller.
                os.fchmod(writer, 0o622)
                os.dup2(writer, number)
                os.close(writer)
                self.readers[reader] = number

    def started(self, pid: int) -> bool:
        try:
            if self._entry is not None:
                self._entry.update(process=identify(pid))
            os.write(self._writer, STARTED)
        except BrokenPipeError:  # the caller was interrupted, and would never learn the id
            return False
        except OSError as error:
            self._problem = f"cannot record the container in {self.request.directory}: {error.strerror}\nhint: {ROOM}"
            return False
        os.close(self._writer)
        self._runs = True
        return True

    def write(self, number: int, data: bytes) -> None:
        if self._log is not None:
            self._log.write(number, data)

    def tell(self, text: str) -> None:
        if self._log is not None:
            self._log.say(f"hardening: {text}")

    def end(self, code: int) -> None:
        """Keep the exit code. Where that cannot be, the log says so: it does not change how the command has ended."""
        if not self._runs:
            problem = self._problem or f"the launch was interrupted, and ended with {code}"
            self.fail(EXIT_LAUNCHER if self._problem else code, problem)
        elif self._entry is not None:
            try:
                self._entry.finish(code, self.why)
                if self.request.auto_remove:
                    self._entry.remove()
            except OSError as error:  # somebody has removed it, or has begun to
                if self._log is not None:
                    self._log.say(f"hardening: {self.request.directory}: {error.strerror}")

    def fail(self, code: int, text: str) -> None:
        """Say why the command does not run, or not any more."""
        if self._runs:
            if self._log is not None:
                self._log.say(f"hardening: {text}")
            self.end(code)
            return
        if self.directory.fd >= 0:
            remove(self.directory.path)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        try:
            os.write(self._writer, FAILED + f"{code}\n{text}".encode("utf-8", "backslashreplace"))
        except BrokenPipeError:  # the caller was interrupted
            return


def _close_inherited() -> None:
    """Close what the caller left open beyond the standard descriptors: its pipes and locks are not ours to keep.

    Whatever this process has opened itself is close-on-exec, and stays.
    """
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        try:
            if number > 2 and not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                os.close(number)
        except OSError:  # the descriptor of the list itself
            continue


def _connect_input(*, keep: bool) -> None:
    """Make standard input the null device, unless it is to be kept; a terminal is not, and becomes an input without end."""
    if keep and not os.isatty(0):
        return
    if keep:
        reader, _ = os.pipe()  # the other end stays open as long as this process lives
        os.dup2(reader, 0)
        os.close(reader)
    else:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(null, 0)
        os.close(null)
