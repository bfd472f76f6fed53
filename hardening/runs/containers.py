"""Containers as others find them: those that run, and detached ones that have ended. What the launcher writes down
(`hardening.launch.container.container_state`) is read here, and the processes are signalled through pidfds
(pidfd_open(2))."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from hardening.base import jsontext, places, state, trusted
from hardening.base.files import Opened, open_file
from hardening.base.locks import is_locked, open_directory
from hardening.base.values import frozen
from hardening.errors import HardeningError, LaunchError, UsageError
from hardening.launch.config.bundle import read_file
from hardening.launch.container.container_state import (
    DESCRIPTION,
    LOST,
    description,
    identify,
    remove,
)
from hardening.launch.container.directory import EXIT, has_ended
from hardening.launch.supervise.supervise import NOT_FORWARDED

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

STARTING, RUNNING, EXITED, KILLED, DAMAGED = "starting", "running", "exited", "killed", "damaged"
#: What the launcher cannot pass on, or answers itself.
DIRECT = {*NOT_FORWARDED, signal.SIGKILL, signal.SIGSTOP, signal.SIGWINCH}
_LATEST = 2**36  # what a time (seconds since 1970), a start time or a number of bytes does not exceed
_MOST = {"pid": 2**22, "code": 255, "bytes": 2**63}
LAST_WAIT = 10.0  # seconds in which a launcher whose command was killed has cleaned up


@frozen
class ProcessId:
    """A process: ``start`` is its start time in clock ticks since the ``boot``, which a later process of its number has
    not."""

    pid: int
    start: int
    boot: str

    @contextmanager
    def opened(self) -> Iterator[int | None]:
        """A pidfd of exactly this process; None where it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        with Opened(descriptor):
            # Asked after the opening: what has this start time now had it then.
            yield descriptor if identify(self.pid) == attrs.asdict(self) else None


@frozen
class End:
    """How a command ended: its exit code, when (seconds since 1970), and whether that was because its launcher was killed;
    ``why`` is why the kernel has ended it, where that is known."""

    code: int
    finished: float
    killed: bool = False
    why: str = ""


@frozen
class Lost:
    """Output that the log has not taken, in bytes, and why."""

    bytes: int
    reason: str


@frozen
class Container:
    """One container. ``launcher`` is the process that runs it, ``process`` its command, where that has started.

    ``running`` says whether the launcher lived when the container was looked at; ``end`` is None while it does, and for one
    whose launcher was killed with all that would have written down its end.
    """

    path: Path
    id: str
    name: str
    command: tuple[str, ...]
    profiles: str
    runtime: str
    detached: bool
    auto_remove: bool
    created: float
    launcher: ProcessId | None
    process: ProcessId | None
    running: bool
    end: End | None
    lost: Lost | None = None
    damage: str = ""

    @property
    def status(self) -> str:
        """`STARTING`, `RUNNING`, `EXITED`, `KILLED` for one whose launcher was killed, or `DAMAGED` for one of which
        what is written down cannot be read; `rm -f` ends and removes that."""
        if self.damage:
            return DAMAGED
        if self.running:
            return RUNNING if self.process is not None else STARTING
        return EXITED if self.end is not None and not self.end.killed else KILLED

    @property
    def is_over(self) -> bool:
        """Whether it was to be removed by now. Damage stays, to be seen."""
        return self.auto_remove and not self.running and not self.damage

    @property
    def shown(self) -> str:
        """The name, or the id of one without a name."""
        return self.name or self.id


def own() -> list[Container]:
    """The caller's containers, as `known` has them. Raises `LaunchError` where somebody else could have written them
    down."""
    place = state.existing()
    return known(place / places.LAUNCHES) if place is not None else []


def known(place: Path) -> list[Container]:
    """The containers written down below ``place``, in the order of their start.

    What was to be removed at its end, and whose launcher was killed before it could, is none any more. Raises `LaunchError`
    where somebody else could have written one down.
    """
    try:
        _require_own(place, os.lstat(place))
        names = os.listdir(place)
    except FileNotFoundError:
        return []
    found = [container for name in names if (container := read(place / name)) is not None]
    return sorted((item for item in found if not item.is_over), key=lambda item: item.created)


def read(path: Path) -> Container | None:
    """The container of a directory; None where there is none, or it is just being made or removed. One of which what is
    written down cannot be understood is `DAMAGED`."""
    try:
        place = open_directory(str(path))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    with Opened(place):
        _require_own(path, os.fstat(place))
        try:
            return _read(path, place)
        except FileNotFoundError:  # of one of its files
            return None


def _require_own(path: Path, status: os.stat_result) -> None:
    """A directory that somebody else made could name any process as a container's."""
    if not stat.S_ISDIR(status.st_mode) or not trusted.is_own(status, str(path)):
        raise LaunchError(
            f"is not a directory that only uid {os.geteuid()} could have written",
            origin=path,
            hint=state.OWN,
        )


#: What reading a file raises that is not what the launcher writes, or is none.
_NOT_UNDERSTOOD = (LaunchError, ValueError, KeyError, TypeError, AttributeError)


def _damage(error: Exception, what: str) -> str:
    """Why a file is not ``what`` it is to be. Raises `FileNotFoundError` for one that is gone, as when it is removed."""
    if isinstance(error.__cause__, FileNotFoundError):
        raise error.__cause__
    return error.message if isinstance(error, LaunchError) else f"not {what}: {error!r}"


def _read(path: Path, place: int) -> Container:
    try:
        found = _described(path, place)
    except _NOT_UNDERSTOOD as error:
        found = _damaged(path, place, _damage(error, "the description of a container"))
    # In this order: who is not held any more has written how it ended before.
    found = attrs.evolve(found, running=is_locked(str(path)))
    try:
        end = _end(read_file(place, EXIT, str(path), jsontext.MAX_BYTES), path)
        return attrs.evolve(found, end=None if found.running else end, lost=_lost(path, place))
    except _NOT_UNDERSTOOD as error:
        return found if found.damage else attrs.evolve(found, damage=_damage(error, "how a container ended"))


def _described(path: Path, place: int) -> Container:
    """A container as its description has it, whatever became of it since."""
    data = _parsed(read_file(place, DESCRIPTION, str(path), jsontext.MAX_BYTES), path / DESCRIPTION)
    if _typed(data, "id", str) != path.name:
        raise ValueError(f"id is {data['id']!r}")
    return Container(
        path=path,
        id=path.name,
        name=_typed(data, "name", str),
        command=_words(_typed(data, "command", list)),
        profiles=_typed(data, "profiles", str),
        runtime=_typed(data, "runtime", str),
        detached=_typed(data, "detached", bool),
        auto_remove=_typed(data, "auto_remove", bool),
        created=_typed(data, "created", float),
        launcher=_process(data["launcher"]),
        process=_process(data["process"]),
        running=False,
        end=None,
    )


def _parsed(text: bytes, path: Path) -> Any:
    return jsontext.parse(text, str(path))


def _typed(data: Any, key: str, kind: type[T]) -> T:
    """A member that the launcher writes as this type; `TypeError` for another one."""
    value = data[key]
    most = _MOST.get(key, _LATEST)
    if type(value) is not kind or (isinstance(value, int | float) and not 0 <= value <= most):
        raise TypeError(f"{key} is {value!r}")
    return value


def _words(items: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(word, str) for word in items):
        raise TypeError("command is not a list of strings")
    return tuple(items)


def _damaged(path: Path, place: int, why: str) -> Container:
    """What can be told all the same: the name, and which process its launcher is."""
    status = os.fstat(place)
    name = (description(str(path)) or {}).get("name")
    return Container(
        path=path, id=path.name, name=name if isinstance(name, str) else "", command=(), profiles="", runtime="",
        detached=True, auto_remove=False, created=status.st_mtime, launcher=_holder(status), process=None,
        running=False, end=None, damage=why,
    )  # fmt: skip


def _holder(status: os.stat_result) -> ProcessId | None:
    """The process that holds a directory under flock(2) (proc_locks(5))."""
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if "FLOCK" in words and "->" not in words and words[5] == device and int(words[4]) > 0:
            found = identify(int(words[4]))
            return _process(found)
    return None


def _process(data: Any) -> ProcessId | None:
    return ProcessId(_typed(data, "pid", int), _typed(data, "start", int), _typed(data, "boot", str)) if data else None


def _lost(path: Path, place: int) -> Lost | None:
    try:
        text = read_file(place, LOST, str(path), jsontext.MAX_BYTES).strip()
    except LaunchError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # one of the foreground has no log
            return None
        raise
    data = _parsed(text, path / LOST) if text else None
    return Lost(_typed(data, "bytes", int), _typed(data, "reason", str)) if data else None


def _end(text: bytes, path: Path) -> End | None:
    if not has_ended(text):
        return None
    whole = {"killed": False, "why": "", **_parsed(text, path / EXIT)}
    return End(
        _typed(whole, "code", int), _typed(whole, "finished", float), _typed(whole, "killed", bool),
        _typed(whole, "why", str),
    )  # fmt: skip


def find(word: str, among: Sequence[Container]) -> Container:
    """The container that has a name or an id, or is the only one whose id begins so. Raises `UsageError`."""
    exact = [item for item in among if word and item.name == word] or [item for item in among if item.id == word]
    if exact:
        return exact[0]
    found = [item for item in among if word and item.id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(item.shown for item in found)
        raise UsageError(f"{word!r} may be each of {len(found)} containers: {names}", hint="write more of it")
    from hardening.base.text import nearest

    words = [word for item in among for word in (item.name, item.id) if word]
    hint = nearest(word, words) or "`hardening ps -a` lists the containers"
    raise UsageError(f"no such container: {word!r}", hint=hint)


def signal_container(container: Container, number: int) -> bool:
    """Send a signal to the command; False where that has ended. Raises `OSError`.

    The launcher passes it on, and gives it the effect that it has on any other process; what a launcher cannot pass on
    goes to the command itself.
    """
    target = container.process if number in DIRECT and container.process is not None else container.launcher
    return container.running and target is not None and _send(target, number)


def _send(process: ProcessId, number: int) -> bool:
    with process.opened() as descriptor:
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
    return True


def stop(containers: Sequence[Container], seconds: float) -> None:
    """End containers: SIGTERM to the commands, and after ``seconds`` SIGKILL to all of a container. Raises `OSError`."""
    deadline = time.monotonic() + seconds
    for container in containers:
        signal_container(container, signal.SIGTERM)
        signal_container(container, signal.SIGCONT)  # one that is stopped could not answer
    for container in containers:
        launcher = container.launcher
        if not container.running or launcher is None:
            continue
        if not _ends(launcher, deadline - time.monotonic()):
            signal_container(container, signal.SIGKILL)
            if not _ends(launcher, LAST_WAIT):
                _send(launcher, signal.SIGKILL)
        with suppress(HardeningError):
            await_end(container)


def _ends(process: ProcessId, seconds: float) -> bool:
    """Wait until a process has ended, at most so long; whether it has."""
    with process.opened() as descriptor:
        if descriptor is None:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))


def await_end(container: Container) -> End | None:
    """Wait until a container has ended: how, or None where nothing was written down of that.

    Raises `OSError`, and `HardeningError` for one that was removed at its end before this could be asked.
    """
    if not container.running:
        return container.end
    try:
        with Opened(open_directory(str(container.path))) as place:
            # Opened now: the directory may be removed at the end.
            try:
                descriptor = open_file(EXIT, place)
            except FileNotFoundError:
                raise
            except OSError:  # of one that is damaged
                fcntl.flock(place, fcntl.LOCK_SH)
                return None
            with os.fdopen(descriptor, "rb") as file:
                fcntl.flock(place, fcntl.LOCK_SH)
                return _end(file.read(), container.path)
    except FileNotFoundError:
        raise HardeningError(
            f"{container.shown} has ended and is removed, and its exit code with it", hint="start it without --rm"
        ) from None
    except _NOT_UNDERSTOOD:  # of one that is damaged
        return None


def discard(container: Container) -> None:
    """Remove what is kept of a container that has ended. Raises `OSError`."""
    with suppress(FileNotFoundError):
        remove(str(container.path))
