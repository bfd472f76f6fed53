"""`/dev`: the default devices, those of `/linux/devices`, the usual links, and the console."""

from __future__ import annotations

import _stat as stat
import errno
import fcntl

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.launch.native.mounts import clone_device
from hardening.launch.native.operation import Building

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import Device
    from hardening.launch.native.operation import LaunchState
    from hardening.launch.native.root import Root

LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


class MakeDevice(Building):
    """A device node; or, where none may be ``made``, a mount of the host's: so too without CAP_MKNOD, for one of the
    ``usual`` that every container has."""

    text = "make the device {device.path}"
    pointer: str
    device: Device
    made: bool
    usual: bool

    def execute(self, state: LaunchState) -> None:
        number = os.makedev(self.device.major, self.device.minor)
        if not (self.made and self._make(state.root, number)):
            tree = clone_device(self.device.path, number)
            state.root.mount_at(tree, state.root.target(self.device.path, directory=False))

    def _make(self, root: Root, number: int) -> bool:
        device = self.device
        parent, name = root.target(files.parent(device.path), directory=True), files.base(device.path)
        outlives = root.outlives(parent)
        try:
            os.mknod(name, device.mode | (stat.S_IFBLK if device.kind == "b" else stat.S_IFCHR), number, dir_fd=parent)
            if outlives:
                root.tell_made(name, parent)
            os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.EPERM or not self.usual:
                raise
            return False
        finally:
            os.close(parent)
        return True


class MakeDeviceLinks(Building):
    """The usual links in a new /dev."""

    text = "make the links in /dev"

    def execute(self, state: LaunchState) -> None:
        directory = state.root.find("/dev")
        for name, target in LINKS.items():
            try:
                os.symlink(target, name, dir_fd=directory)
            except FileExistsError:
                continue
        os.close(directory)


class OpenConsole(Building):
    """Where the command has a terminal: a new one in the container's own devpts, of the command's user, seen as
    /dev/console."""

    pointer = "/process/terminal"
    text = "open a console where the command has a terminal"
    uid: int

    def execute(self, state: LaunchState) -> None:
        if state.command.terminal:
            with Step("open the console", self.pointer):
                master, state.slave = open_console(state.root, state.command.console_size, self.uid)
                state.channel.send("console", fd=master)
                os.close(master)


def open_console(root: Root, size: tuple[int, int] | None, uid: int) -> tuple[int, int]:
    """A new terminal in the container's own devpts, seen as /dev/console: (master, slave)."""
    master = root.find("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(master, abi.TIOCSPTLCK, (0).to_bytes(4, "little"))
    slave: int = fcntl.ioctl(master, abi.TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if size is not None:
        set_size(master, *size)
    os.fchown(slave, uid, -1)
    tree = kernel.open_tree(slave, b"", abi.OPEN_TREE_CLONE)
    root.mount_at(tree, root.target("/dev/console", directory=False))
    return master, slave


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set a terminal's size in characters (ioctl_tty(2))."""
    fcntl.ioctl(terminal, abi.TIOCSWINSZ, rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4))
