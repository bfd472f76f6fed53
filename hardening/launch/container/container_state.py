"""What is on disk of a container: who runs it, for as long as it runs, and of a detached one until it is removed.

``containers/ID/`` in the state directory holds ``container.json`` (what it is, and its processes), ``exit`` (blank, then
how it ended) and, of a detached one, ``log``, ``log.1`` and ``lost``. The launch stage holds the directory under flock(2)
for as long as it lives: a process id alone would say nothing once it has been given to another process.
"""

from __future__ import annotations

import time

from hardening.base import files, jsontext, locks, trees
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.base.locks import BLANK, EXIT, is_locked, open_directory
from hardening.errors import LaunchError, quoted
from hardening.launch.config.bundle import read_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.request import LaunchRequest

DESCRIPTION = "container.json"
LOG = "log"
OLD_LOG = "log.1"
LOST = "lost"  # blank, then what the log has not taken and why, as JSON
BEING_MADE = "."  # how the name of a directory begins that is not complete
KILLED = 128 + 9  # the exit code for a container that died with its stage


class Entry:
    """The directory of one container, held by its launch stage."""

    def __init__(self, path: str, description: dict[str, object]) -> None:
        self.path = path
        self.description = description
        self._fd = -1

    def create(self, unique_name: str) -> None:
        """Make the directory, complete and locked from the first moment at which it can be seen. `LaunchError`, also
        where another container has ``unique_name`` ('' for none)."""
        parent, identity = files.parent(self.path), files.base(self.path)
        with Step(f"record the container in {parent}", hint="set HARDENING_STATE to a directory of your own"):
            _make_if_missing(parent)
            # Alone while the others are asked for their names.
            place = locks.lock(parent, shared=not unique_name)
            try:
                if unique_name:
                    refuse_taken(parent, place, unique_name)
                self._create(place, identity)
            finally:
                os.close(place)

    def _create(self, place: int, identity: str) -> None:
        partial = BEING_MADE + identity
        self._fd = locks.make(partial, place, 0o700)
        try:
            self._write(DESCRIPTION, jsontext.dump(self.description))
            self._write(EXIT, BLANK.decode())
            os.rename(partial, identity, src_dir_fd=place, dst_dir_fd=place)
        except OSError:
            os.close(self._fd)
            self._fd = -1
            remove(partial, place)
            raise

    def update(self, **values: object) -> None:
        """Change the description. Raises `OSError`."""
        self.description |= values
        self._write(BEING_MADE + DESCRIPTION, jsontext.dump(self.description))
        os.rename(BEING_MADE + DESCRIPTION, DESCRIPTION, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def open_log(self, name: str, flags: int) -> int:
        """A descriptor of a file of this directory, to write it. Raises `OSError`."""
        return files.open_own(name, flags, self._fd)

    def rotate_log(self) -> None:
        """Let the log become the older one, in the place of that. Raises `OSError`."""
        try:
            os.rename(LOG, OLD_LOG, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileNotFoundError:  # it was renamed before, when a new one could not be made
            return

    def finish(self, code: int, why: str = "") -> None:
        """Write down how the command ended, and why where that is known. Raises `OSError`."""
        _write_end(self._fd, ended(code, killed=False, why=why))

    def remove(self) -> None:
        """Remove the directory. Raises `OSError`."""
        remove(self.path, None)

    @property
    def exists(self) -> bool:
        """Whether the directory was made."""
        return self._fd >= 0

    def _write(self, name: str, text: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self._fd)
        try:
            files.write_all(fd, text.encode())
        except OSError:
            os.unlink(name, dir_fd=self._fd)  # the next one has to say why, not that this one is there
            raise
        finally:
            os.close(fd)


def describe(request: LaunchRequest, document: object) -> dict[str, object]:
    """The description of a container of which nothing runs yet."""
    process = document.get("process") if isinstance(document, dict) else None
    command = process.get("args") if isinstance(process, dict) else None
    return {
        "id": request.id,
        "name": request.name,
        "command": command if isinstance(command, list) else [],
        "profiles": request.profiles,
        "runtime": request.runtime_name,
        "detached": request.detach,
        "auto_remove": request.auto_remove or not request.detach,
        "created": time.time(),
        "stage": identify(os.getpid()),
        "process": None,
    }


def identify(pid: int) -> dict[str, object] | None:
    """A process as {pid, start}: the start time tells it from a later one of the same number. None: it has ended."""
    start = files.started(pid)
    return None if start is None else {"pid": pid, "start": start}


def refuse_taken(parent: str, place: int, name: str) -> None:
    """`LaunchError` where a container has the name already."""
    for identity in os.listdir(place):
        if identity.startswith(BEING_MADE):
            continue
        found = description(f"{parent}/{identity}")
        if found is None or found.get("name") != name:
            continue
        if found.get("auto_remove") and not is_locked(identity, place):
            remove(identity, place)  # its stage was killed
            continue
        raise LaunchError(
            f"the name {name} is taken by the container {identity}",
            hint=f"choose another, or remove that one: hardening rm {quoted(name)}",
        )


def description(path: str) -> dict[str, object] | None:
    """What is written down in a container's directory; None where that is gone, or is damaged, which is for
    `hardening ps` to tell and hinders no other container."""
    return read_table(path, DESCRIPTION) or None


def _make_if_missing(path: str) -> None:
    if not files.exists(path):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # another launch was faster
            return


def remove(path: str, place: int | None) -> None:
    """Remove a container's directory, whatever is in the place of its files. Raises `OSError`."""
    fd = open_directory(path, place)
    try:
        # The description last: what has none is being removed.
        trees.clear(fd, last=DESCRIPTION)
    finally:
        os.close(fd)
    os.rmdir(path, dir_fd=place)


def abandon(path: str, *, keep: bool) -> None:
    """Do what the stage of a container would have done, had it not been killed: tell those who wait, and remove the
    container, unless it had run and is to be kept. Raises `OSError`, once the rest is done."""
    problem: OSError | None = None
    for place in (f"{files.parent(path)}/{BEING_MADE}{files.base(path)}", path):
        found = description(place)
        if found is not None and found.get("process") is not None:
            try:
                _tell_killed(place)
            except OSError as error:  # the file is damaged: who waits finds no exit code
                problem = error
            if keep:
                break
        try:
            remove(place, None)
        except FileNotFoundError:
            continue
    if problem is not None:
        raise problem


def _tell_killed(path: str) -> None:
    fd = open_directory(path)
    try:
        _write_end(fd, ended(KILLED, killed=True))
    finally:
        os.close(fd)


def _write_end(directory: int, text: str) -> None:
    # In place: whoever waits has the file open already, also when the directory is removed next.
    fd = files.open_own(EXIT, 0, directory)
    try:
        files.write_all(fd, text.encode())
    finally:
        os.close(fd)


def ended(code: int, *, killed: bool, why: str = "") -> str:
    """The content of `EXIT`, as long as before."""
    end = {"code": code, "finished": time.time(), "killed": killed, "why": why}
    return jsontext.dump(end).ljust(len(BLANK) - 1) + "\n"
