"""The native run: prepares what needs the caller's eyes and privileges, starts the container, cleans up after it."""

from __future__ import annotations

from hardening.base import files
from hardening.base.guarded import TERMINAL_USE, block_signals
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os, signal
from hardening.errors import LaunchError
from hardening.launch.config import config
from hardening.launch.config.bundle import Bundle
from hardening.launch.native.channel import Channel, from_message
from hardening.launch.native.operation import Checking, LaunchState, Mapping, Preparation, Starting
from hardening.launch.native.processes import StartInit, StartProcess
from hardening.launch.native.sources import clone
from hardening.launch.native.translate import translate
from hardening.launch.supervise.cleaning import Cleaning, finally_do

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.launch.context import LaunchContext
    from hardening.launch.native.setup import NativeSupervisor
    from hardening.launch.supervise.cleanup_process import CleanupProcess


def run(bundle: Bundle, context: LaunchContext) -> int:
    """Run the bundle's command to its end: its exit code. `LaunchError` when it never ran; nothing is left then."""
    state = _read(bundle)
    state.keep_stdin, state.secrets = context.request.stdin, context.secrets
    if context.request.debug:
        state.debug = os.dup(2)  # which stays the caller's where the container gets another one
    traced = bool(context.request.receipt) or context.request.tracer >= 0
    state.waits = traced or state.first("StartInit") is not None
    state.signal_mask = block_signals()
    observer = context.observer
    # Without a group, a bundle to be removed and an entry among the containers there is nothing that does not die with it.
    cleanup = None
    if (
        state.first("CreateCgroup")
        or context.cleaning.takes_bundle
        or (observer is not None and observer.needs_cleanup)
    ):
        cleanup = _start_cleanup(context)
        state.tell = cleanup.tell
    try:
        if cleanup is not None and observer is not None:
            observer.guarded = True
        state.perform(Preparation)
        return _Run(state, context, cleanup).run()
    finally:
        finally_do(*([state.group.remove] if state.group is not None else []), context.cleaning.finish)
        if cleanup is not None:
            cleanup.dismiss()


def _read(bundle: Bundle) -> LaunchState:
    """What is to be done for a bundle, and for which command. `LaunchError`."""
    parsed = config.read(bundle.document, files.join(bundle.directory, "config.json"))
    return LaunchState(translate(parsed), bundle, parsed.process.command)


def _start_cleanup(context: LaunchContext) -> CleanupProcess:
    from hardening.launch.supervise.cleanup_process import CleanupProcess

    without = [context.secrets.fd] if context.secrets is not None else []
    if context.request.tracer >= 0:
        without.append(context.request.tracer)
    return CleanupProcess(lambda words: _clean(words, context.cleaning), without=without)


def _clean(words: Iterator[str], cleaning: Cleaning) -> None:
    """What the cleanup process does after a launcher that was killed."""

    def remove_groups() -> None:
        heard = list(words)
        if heard:
            from hardening.launch.cgroup.removal import remove_left

            remove_left(heard)

    cleaning.after_kill(remove_groups)


def _answer(channel: Channel, word: str) -> list[str]:
    """Wait for a message of the process that makes the namespaces: its fields. `LaunchError` for any other."""
    message, _ = channel.receive()
    if message[:1] == ["fail"]:
        raise from_message(message[1:])
    if message[:1] != [word]:
        raise LaunchError("the process that makes the namespaces exited unexpectedly")
    return message[1:]


class _Run:
    """One native run, in the order of its methods."""

    def __init__(self, state: LaunchState, context: LaunchContext, cleanup: CleanupProcess | None) -> None:
        self._state = state
        self._context = context
        self._cleanup = cleanup
        self._io = -1
        self._has_pids = any(
            isinstance(one, (StartProcess, StartInit)) and one.flags & abi.CLONE_NEWPID for one in state.operations
        )

    def run(self) -> int:
        """Start, supervise, clean up."""
        state = self._state
        try:
            clone(state)
        except PermissionError:
            if self._state.first("MapSourceIds"):
                raise LaunchError(
                    "id-mapped mounts need privilege over the file system",
                    origin="config.json:/mounts",
                    hint="run as root, or leave idmap out",
                ) from None
            # Else the user namespace will permit it (`CloneInside`).
        try:
            self._start()
        finally:
            state.close_trees()
        # From here on the process makes its namespaces and mounts, while this one prepares what it will need of it.
        from hardening.launch.native.setup import NativeSupervisor

        signals = kernel.signalfd(signal.valid_signals() - TERMINAL_USE)
        supervisor = NativeSupervisor(state, signals)
        supervisor.observer = self._context.observer
        supervisor.io = self._io
        supervisor.reaps_orphans = not self._has_pids
        supervisor.on_wait = self._prepare
        supervisor.on_release = lambda: self._launched(supervisor)
        try:
            self._begin(supervisor)
            code = supervisor.run()
            self._context.records.waited(supervisor.status, self._why(code, supervisor))
            return supervisor.settled(code)
        finally:
            os.close(signals)
            if not self._has_pids:
                from hardening.launch.supervise.supervise import kill_orphans

                kill_orphans(spare=self._cleanup.pid if self._cleanup is not None else 0)
            if not supervisor.executed:
                supervisor.remove_made()

    def _why(self, code: int, supervisor: NativeSupervisor) -> str:
        """What the command was denied, which is told; empty where it has not failed, or the kernel does not say."""
        if not code:
            return ""
        from hardening.launch.supervise.denied import tell  # which no command that succeeds needs

        group, document = self._state.group, self._state.bundle.document
        groups = group.leaves() if group is not None else ()
        return tell(supervisor.failed(code, document, groups), self._context)

    def _launched(self, supervisor: NativeSupervisor) -> None:
        """Record the launch, when all is there that the command is to have."""
        self._context.records.launched()
        supervisor.count_network(self._state.bundle.document)

    def _prepare(self) -> None:
        """What is done while the process builds its root: the filter, which is checked, and the way of the records."""
        self._state.perform(Checking)
        self._context.records.prepare()

    def _start(self) -> None:
        """Start the process that becomes the command, and map its ids."""
        state = self._state
        if not self._has_pids:
            kernel.prctl(abi.PR_SET_CHILD_SUBREAPER, 1)
        state.perform(Starting)
        for fd in (*state.namespaces.values(), *state.writers.values()):
            os.close(fd)
        if state.secrets is not None:
            state.secrets.close()
        pid = state.pid
        try:
            with_intermediate = state.first("StartInit") is not None
            if with_intermediate:
                _answer(state.near, "entered")
            else:
                self._io = files.open_counter(pid, files.IO)  # while that is the caller's, and not yet root's inside
            state.perform(Mapping)
            state.near.send("mapped")
            if not with_intermediate:
                return
            state.pid = int(_answer(state.near, "child")[0])
            self._io = files.open_counter(state.pid, files.IO)
        except (OSError, LaunchError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        os.waitpid(pid, 0)

    def _begin(self, supervisor: NativeSupervisor) -> None:
        """Let a process that waits go on to its mounts. An error is its end."""
        if not self._state.waits:
            return
        try:
            self._trace(supervisor)
            self._state.near.send("begin")
        except BrokenPipeError:  # it has ended; whoever listens to it learns why
            return
        except (OSError, LaunchError):
            supervisor.send_signal(signal.SIGKILL)
            os.waitpid(supervisor.pid, 0)
            raise

    def _trace(self, supervisor: NativeSupervisor) -> None:
        target = self._context.request.receipt
        if target:
            from hardening.launch.record import receipt

            with Step("trace the container's first process for its receipt", hint="run as root, or without a receipt"):
                report = receipt.Report(self._state.bundle, self._context.secrets)
                supervisor.trace_until_exec(
                    report.helpers, lambda stopped: report.write(target, stopped, self._state.program)
                )
        if self._context.request.tracer >= 0:
            have_traced(supervisor.pid, self._context.request.tracer)


def have_traced(pid: int, tracer: int) -> None:
    """Tell a pid, as a line, to the socket ``tracer``, and wait until its other end answers with one byte: from then on init
    lets itself be traced by nobody. `LaunchError` where the other end is closed."""
    with Step("have the container's first process traced"):
        try:
            os.write(tracer, f"{pid}\n".encode())
            answer = os.read(tracer, 1)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
    os.close(tracer)
    if not answer:
        raise LaunchError("whoever was to trace the launch has ended, or may not")
