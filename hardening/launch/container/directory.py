"""The directory of one launch, `launches/ID/` in the state directory, locked for as long as somebody is there to remove it.

| name | what it is | made by |
| --- | --- | --- |
| `bundle` | the bundle of a launch that is to be removed with it | `hardening.assemble.bundles` |
| `container.json`, `exit`, `log` … | what others find of the container | `hardening.launch.container.container_state` |
| `runtime` | the state of another runtime | `hardening.launch.oci.ociprogram` |
| `copies` | what stands in for volumes in a trial run | `hardening.why.copies` |

It is made by whoever is the first to put something into it, and goes when nothing is in it any more. Where nobody has
locked one, all are dead who would have removed what is left in it: the next launch does (`hardening.runs.pruning`).
"""

from __future__ import annotations

import errno
import fcntl

from hardening.base import files, locks, places
from hardening.base.files import Opened
from hardening.base.linux.system import os

BUNDLE, RUNTIME, COPIES = "bundle", "runtime", "copies"
#: The file in which a container's end is written down, and its content until then: its place is taken already, so that a
#: full disk cannot keep the end from it.
EXIT = "exit"
BLANK = b" " * 127 + b"\n"
ROOM = "free space in the state directory, or set HARDENING_STATE to a directory of your own"


class LaunchDirectory:
    """The directory ``path`` of the launch that this process makes; ``lock`` is its descriptor where it was made before."""

    def __init__(self, path: str, lock: int = -1) -> None:
        self.path = path
        self.fd = lock

    def make(self) -> None:
        """Make it, unless it is there, and lock it. `LaunchError`."""
        if self.fd < 0:
            from hardening.base.linux.failure import Step  # which the start of a run does not have yet

            with Step(f"make the launch's directory {self.path}", hint=ROOM):
                self.fd = make(self.path)

    def adopt(self) -> None:
        """Have the lock anew, where another process took it and this one has it from that: proc_locks(5) names this one from
        then on. `LaunchError`."""
        if self.fd >= 0:
            from hardening.base.linux.failure import Step

            # With the folder, so that in no moment it could be taken for one that is left.
            with Step(f"lock {self.path}"), Opened(locks.lock(files.parent(self.path), shared=True)):
                fcntl.flock(self.fd, fcntl.LOCK_SH)
                fcntl.flock(self.fd, fcntl.LOCK_EX)


def make(path: str) -> int:
    """Make a launch's directory, and the folder of all: its descriptor, with the lock. Raises `OSError`."""
    folder, name = files.parent(path), files.base(path)
    # A container's mapped ids pass through to the bundle, and see nothing else.
    files.make_directory(folder, 0o711)
    with Opened(locks.lock(folder, shared=True)) as held:
        return locks.make(name, held, 0o711)


def remove_empty(path: str) -> None:
    """Remove a launch's directory unless something is in it. Raises `OSError`."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise


def any_left(state: str) -> bool:
    """Whether there is something to remove in a state directory (`hardening.runs.pruning.prune` does), because all who
    would have done so were killed. Raises `OSError`."""
    try:
        folder = locks.open_directory(f"{state}/{places.LAUNCHES}")
    except FileNotFoundError:
        return False
    with Opened(folder):
        return any(is_left(name, folder) for name in os.listdir(folder))


def is_left(name: str, folder: int) -> bool:
    """Whether there is something to remove of a launch. Raises `OSError`."""
    try:
        fd = locks.acquire(locks.open_directory(name, folder), shared=True, wait=False)
    except (FileNotFoundError, NotADirectoryError, BlockingIOError):
        return False
    with Opened(fd):
        try:
            # A container in the background stays when it has ended, until somebody removes it.
            return not has_ended(_read_end(fd)) or not {BUNDLE, RUNTIME, COPIES}.isdisjoint(os.listdir(fd))
        except FileNotFoundError:
            return True
        except OSError:  # damage: for `hardening ps` to show, and for `rm`
            return False


def has_ended(content: bytes) -> bool:
    """Whether this content of `EXIT` says how a container ended."""
    return bool(content.strip())


def _read_end(directory: int) -> bytes:
    with Opened(files.open_file(EXIT, directory)) as fd:
        return os.read(fd, len(BLANK))
