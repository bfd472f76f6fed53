"""One run of a command under a composition, traced, which leaves nothing on the host."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from hardening.assemble import bundles, handover, pipeline
from hardening.assemble.bundle import write
from hardening.base import places, trees
from hardening.base.linux import children
from hardening.base.pointer import lookup
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import UsageError
from hardening.launch.container.directory import BUNDLE
from hardening.launch.request import LaunchRequest
from hardening.mechanism.denial import SystemCall
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RootDirectory
from hardening.mechanism.runtime import Runtime
from hardening.plugin.plugins import Plugins
from hardening.runs import containers
from hardening.trace import recording
from hardening.trace.tracer import CHECK, GRACE, INTERRUPT, PAUSE, TIME, Idle, Trace, trace
from hardening.why import copies
from hardening.why.until import Until

#: Most of standard input that is kept, to be given to each run.
MOST_INPUT = 64 << 20
#: Most of what runs say that is heard.
MOST_HEARD = 1 << 16
_Start: TypeAlias = Callable[[LaunchRequest, Path, Mapping[int, int], Until | None], Trace]


@frozen(eq=False)
class Ran:
    """What one run came to: the trace, what it ran under, and the seconds from its launch to its end. ``unlike`` is in what
    copies were unlike the volumes that they stood in for."""

    trace: Trace
    composition: Composition
    context: Context
    document: Mapping[str, Any]
    succeeded: bool
    seconds: float = 0.0
    unlike: tuple[str, ...] = ()


@frozen(eq=False)
class CommandRunner:
    """Runs one command. ``launch`` is how each run is launched; ``input`` is a descriptor of what was at standard input,
    -1 where that is a terminal or nothing; ``secrets`` that of the values of secrets. ``seconds`` is how long each may run,
    None for ever, and ``idle`` when one that is looked at is ended before; ``until`` a command of the host's shell that says
    whether it has succeeded, empty for exit code 0. ``in_place``: they write to what they may write to, and not to
    copies. ``output`` is a descriptor for what runs say that are not shown, -1 for nowhere."""

    plugins: Plugins
    engine: Runtime
    host: Host
    command: tuple[str, ...]
    launch: LaunchRequest
    input: int = -1
    secrets: int = -1
    seconds: float | None = None
    idle: Idle | None = None
    until: str = ""
    in_place: bool = False
    output: int = -1

    def run(
        self, composition: Composition, *, shown: bool = False, on_call: Callable[[SystemCall], None] | None = None
    ) -> Ran:
        """Run the command once, and look at it; where it is ``shown``, with what the caller has at standard error and, where
        that is a terminal, standard input. ``on_call`` is told every call. Raises what a launch raises before its command
        runs."""

        def start(launch: LaunchRequest, bundle: Path, streams: Mapping[int, int], until: Until | None) -> Trace:
            return trace(
                launch, bundle, seconds=self.seconds, idle=self.idle, until=until, streams=streams, on_call=on_call
            )  # fmt: skip

        return self._run(composition, start, shown=shown)

    def run_unseen(self, composition: Composition) -> Ran:
        """Run it once without a look at it, as a command that traces others needs it: a process has one tracer."""
        return self._run(composition, self._untraced, shown=False)

    def recorded(self, composition: Composition) -> Ran:
        """Run it once, and count every call that its filter permits (`hardening.trace.recording`)."""

        def start(launch: LaunchRequest, bundle: Path, streams: Mapping[int, int], until: Until | None) -> Trace:
            recording.prepare(bundle)
            return trace(launch, bundle, seconds=self.seconds, until=until, streams=streams, recording=True)

        return self._run(composition, start, shown=False)

    def _run(self, composition: Composition, start: _Start, *, shown: bool) -> Ran:
        launch = self.launch.changed(id=places.new_id())
        bundle = Path(launch.directory, BUNDLE)
        assembly = pipeline.assembled(
            self.plugins, composition, self.host, self.command, bundle=bundle, stays=False, runtime=self.engine
        )
        pipeline.judge(assembly, self.engine)
        if not self.in_place:
            require_no_labels(assembly)
        pipeline.apply_host_changes(assembly)
        values = handover.typed_variables(assembly.spec, composition)
        lock = bundles.make(bundle)
        opened: list[int] = []
        unlike: tuple[str, ...] = ()
        try:
            spec = assembly.spec
            if not self.in_place:
                copied = copies.made(spec, launch.directory, composition.image_ids(self.host))
                spec, unlike = copied.spec, copied.unlike
            spec, launch = handover.split(self.engine, spec, values, launch)
            opened += [launch.variables] if launch.variables >= 0 else []
            write(spec, bundle, private=True)
            streams = self._streams(opened, shown=shown)
            begun = time.monotonic()
            with self._asked() as until:
                found = start(launch.changed(lock=lock, secrets=self.secrets, remove=True), bundle, streams, until)
                seconds = time.monotonic() - begun
                succeeded = self._succeeded(found, until)
            unlike += tuple(filter(None, [copies.full(launch.directory)]))
        finally:
            for fd in opened:
                os.close(fd)
            with suppress(OSError):  # the next launch prunes what is left
                copies.remove(launch.directory)
                trees.remove(launch.directory)
            os.close(lock)
        return Ran(found, composition, assembly.context, assembly.spec.document, succeeded, seconds, unlike)

    def _untraced(self, launch: LaunchRequest, bundle: Path, streams: Mapping[int, int], until: Until | None) -> Trace:
        """A run that nobody looks at: only how it ends is known."""
        passed = [fd for fd in (launch.lock, launch.secrets, launch.variables) if fd >= 0]
        process = subprocess.Popen(
            launch.argv(bundle), stdin=streams.get(0), stdout=streams.get(1), stderr=streams.get(2), pass_fds=passed,
            preexec_fn=partial(children.end_with, os.getpid()),  # a service would outlive whoever is killed here
        )  # fmt: skip
        end = None if self.seconds is None else time.monotonic() + self.seconds
        ended = ""
        try:
            while ended == "":
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PAUSE)
                    break
                if until is not None and until(_command(launch)):
                    ended = CHECK
                elif end is not None and time.monotonic() > end:
                    ended = TIME
        except KeyboardInterrupt:
            ended = INTERRUPT
        if process.poll() is None:
            pid = _command(launch) if ended == TIME else 0
            if pid:  # it has failed: a server would take its time to end as it should
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            else:
                process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()  # and its cleanup process does the rest
        code = process.wait()
        return Trace((), MappingProxyType({}), 0, 128 - code if code < 0 else code, ended, 0)

    def _streams(self, opened: list[int], *, shown: bool) -> dict[int, int]:
        """What a run has at descriptors 0, 1 and 2; what is opened for it is added to ``opened``."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        opened.append(null)
        said = 2 if shown else null if self.output < 0 else self.output
        streams = {0: null, 1: said, 2: said}
        if self.input >= 0:
            # From its begin: a duplicate would go on where another run has stopped to read.
            streams[0] = os.open(f"/proc/self/fd/{self.input}", os.O_RDONLY | os.O_CLOEXEC)
            opened.append(streams[0])
        elif shown and self.launch.stdin:
            del streams[0]
        return streams

    def _succeeded(self, found: Trace, until: Until | None) -> bool:
        if until is None:
            return found.status == 0 and not found.ended
        return found.ended == CHECK or (not found.ended and until.at_last(found.command))

    def _asked(self) -> AbstractContextManager[Until | None]:
        """The caller's check, as long as a run takes; None where it has none."""
        return Until(self.until) if self.until else nullcontext()


@contextmanager
def listening(runner: CommandRunner) -> Iterator[tuple[CommandRunner, Callable[[], str]]]:
    """A runner whose runs that are not shown are heard, and what tells all that they have said so far."""
    said = os.memfd_create("hardening-output", os.MFD_CLOEXEC)
    try:
        yield attrs.evolve(runner, output=said), lambda: os.pread(said, MOST_HEARD, 0).decode("utf-8", "replace")
    finally:
        os.close(said)


def require_no_labels(assembly: pipeline.Assembly) -> None:
    """Raise `UsageError` where a launch would label files of the host anew (SELinux), which outlasts it: a copy with another
    label would show nothing of how the command fares with the volume."""
    root = assembly.context.of(RootDirectory)
    volumes = root.mounted_volumes() if root is not None else ()
    relabelled = next((volume for volume in volumes if volume.relabel), None)
    if relabelled is not None and lookup(assembly.spec.document, "/process/selinuxLabel"):
        raise UsageError(
            f"each run would relabel {relabelled.source} on the host ({relabelled.relabel})",
            origin=relabelled.origin,
            hint=f"leave out {relabelled.relabel} where its label is right already, or add --in-place",
        )


def _command(launch: LaunchRequest) -> int:
    """The pid of the command of a launch, 0 before it has started."""
    found = containers.read(Path(launch.directory))
    return found.process.pid if found is not None and found.process is not None else 0


def kept_input(fd: int = 0) -> int:
    """A descriptor of all that can be read of one, held in memory that nobody can write to; -1 for a terminal. Raises
    `UsageError` for more than `MOST_INPUT`."""
    if os.isatty(fd):
        return -1
    with os.fdopen(fd, "rb", closefd=False) as stream:
        data = stream.read(MOST_INPUT + 1)
    if len(data) > MOST_INPUT:
        raise UsageError(
            f"standard input is more than {MOST_INPUT >> 20}M, which is kept for each run",
            hint="mount a file instead (-v FILE:DST:ro), or leave out -i",
        )
    kept = handover.sealed(data, "hardening-input")  # or what one run writes to it would be what the next one reads
    os.set_inheritable(kept, False)
    return kept
