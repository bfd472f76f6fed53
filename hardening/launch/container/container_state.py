"""What others find of a container in the directory of its launch (`hardening.launch.container.directory`): who runs it, for
as long as it runs, and of a detached one until it is removed.

``container.json`` says what it is, and its processes; ``exit`` is blank, and then says how it ended; a detached one has
``log``, ``log.1`` and ``lost``. The launcher has the directory locked (flock(2)) for as long as it lives: a process id alone
would say nothing once it has been given to another process.
"""

from __future__ import annotations

import time

from hardening.base import files, jsontext, locks, trees
from hardening.base.files import Opened
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.errors import LaunchError, quoted
from hardening.launch.config import confinement
from hardening.launch.config.bundle import read_table
from hardening.launch.container.directory import BLANK, BUNDLE, EXIT, ROOM, RUNTIME, LaunchDirectory, remove_empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.request import LaunchRequest

DESCRIPTION = "container.json"
LOG = "log"
OLD_LOG = "log.1"
BOOT = "/proc/sys/kernel/random/boot_id"
LOST = "lost"  # blank, then what the log has not taken and why, as JSON
KILLED = 128 + 9  # the exit code for a container that died with its launcher


class ContainerEntry:
    """What is written down of one container, by its launcher."""

    def __init__(self, directory: LaunchDirectory, description: dict[str, object]) -> None:
        self.description = description
        self.exists = False
        self._directory = directory

    @property
    def path(self) -> str:
        """Where it is written down."""
        return self._directory.path

    def create(self, unique_name: str) -> None:
        """Write it down, complete from the first moment at which it can be seen. `LaunchError`, also where another container
        has ``unique_name`` ('' for none)."""
        self._directory.make()
        with Step(f"record the container in {self.path}", hint=ROOM):
            files.create(EXIT, BLANK, folder=self._fd)
            if not unique_name:
                self.update()
            else:
                parent = files.parent(self.path)
                # Alone while the others are asked for their names.
                with Opened(locks.lock(parent)) as folder:
                    refuse_taken(parent, folder, unique_name)
                    self.update()
        self.exists = True

    def update(self, **values: object) -> None:
        """Change the description. Raises `OSError`."""
        self.description |= values
        files.replace(DESCRIPTION, jsontext.dump(self.description).encode(), folder=self._fd)

    @property
    def _fd(self) -> int:
        return self._directory.fd

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
        """Remove it. Raises `OSError`."""
        remove(self.path)


def describe(request: LaunchRequest, document: object) -> dict[str, object]:
    """The description of a container of which nothing runs yet."""
    return {
        "id": request.id,
        "name": request.name,
        "command": confinement.command(document),
        "profiles": request.profiles,
        "runtime": request.runtime_name,
        "detached": request.detach,
        "auto_remove": request.auto_remove or not request.detach,
        "created": time.time(),
        "launcher": identify(os.getpid()),
        "process": None,
    }


def identify(pid: int) -> dict[str, object] | None:
    """A process as {pid, start, boot}: the start time tells it from a later one of the same number, the id of the boot from
    one after the next. None: it has ended."""
    start = files.started(pid)
    return None if start is None else {"pid": pid, "start": start, "boot": files.read(BOOT).strip()}


def refuse_taken(parent: str, folder: int, name: str) -> None:
    """`LaunchError` where a container has the name already."""
    for identity in os.listdir(folder):
        found = description(f"{parent}/{identity}")
        if found is None or found.get("name") != name:
            continue
        if found.get("auto_remove") and not locks.is_locked(identity, folder):
            remove(f"{parent}/{identity}")  # its launcher was killed
            continue
        raise LaunchError(
            f"the name {name} is taken by the container {identity}",
            hint=f"choose another, or remove that one, once it has ended: hardening rm {quoted(name)}",
        )


def description(path: str) -> dict[str, object] | None:
    """What is written down in a container's directory; None where that is gone, or is damaged, which is for
    `hardening ps` to tell and hinders no other container."""
    return read_table(path, DESCRIPTION) or None


def remove(path: str) -> None:
    """Remove what is written down of a container, whatever is in the place of its files, and its directory unless something
    else is left in that. Raises `OSError`."""
    try:
        fd = locks.open_directory(path)
    except FileNotFoundError:
        return
    with Opened(fd):
        # The description first: without it the rest is nobody's.
        for name in sorted({*os.listdir(fd)} - {BUNDLE, RUNTIME}, key=DESCRIPTION.__ne__):
            try:
                os.unlink(name, dir_fd=fd)
            except IsADirectoryError:
                trees.remove(name, fd)
            except FileNotFoundError:  # somebody else removes it, too
                continue
    remove_empty(path)


def abandon(path: str, *, keep: bool) -> None:
    """Do what the launcher of a container would have done, had it not been killed: tell those who wait, and remove the
    container, unless it had run and is to be kept. Raises `OSError`, once the rest is done."""
    found = description(path)
    ran = found is not None and found.get("process") is not None
    try:
        if ran:
            with Opened(locks.open_directory(path)) as fd:
                _write_end(fd, ended(KILLED, killed=True))  # where the file is damaged, who waits finds no exit code
    finally:
        if not (ran and keep):
            remove(path)


def _write_end(directory: int, text: str) -> None:
    # In place: whoever waits has the file open already, also when the directory is removed next.
    with Opened(files.open_own(EXIT, 0, directory)) as fd:
        files.write_all(fd, text.encode())


def ended(code: int, *, killed: bool, why: str = "") -> str:
    """The content of `EXIT`, as long as before."""
    end = {"code": code, "finished": time.time(), "killed": killed, "why": why}
    return jsontext.dump(end).ljust(len(BLANK) - 1) + "\n"
