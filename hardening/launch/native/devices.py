"""`/dev`: the default devices, those of `/linux/devices`, the usual links, and the console."""

from __future__ import annotations

import _stat as stat
import errno
import fcntl

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.failure import Step
from hardening.base.linux.system import os
from hardening.launch.config.config_linux import DEFAULT_DEVICES
from hardening.launch.config.wanted import Device
from hardening.launch.native.mounts import clone_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.wanted import Wanted
    from hardening.launch.native.mounts import Root

LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def make_devices(root: Root, wanted: Wanted) -> None:
    """Fill `/dev`, unless the configuration binds one from elsewhere."""
    at_dev = wanted.at_dev()
    kind = at_dev.kind if at_dev is not None else ""
    if kind == "bind":
        return
    on_tmpfs = kind == "tmpfs"
    listed = {device.path for device in wanted.devices}
    for path, (major, minor) in DEFAULT_DEVICES.items():
        if path not in listed:
            device = Device(path=path, kind="c", major=major, minor=minor, mode=0o666, uid=0, gid=0)
            with Step(f"make the device {path}"):
                _make(root, device, on_tmpfs and wanted.namespace("user") is None)
    for index, device in enumerate(wanted.devices):
        with Step(f"make the device {device.path}", f"/linux/devices/{index}"):
            _make(root, device, wanted.namespace("user") is None)
    if on_tmpfs:
        with Step("make the links in /dev"):
            _make_links(root)


def _make(root: Root, device: Device, may_create: bool) -> None:
    number = os.makedev(device.major, device.minor)
    if may_create:
        parent = root.target(files.parent(device.path), directory=True)
        kind = stat.S_IFBLK if device.kind == "b" else stat.S_IFCHR
        name = files.base(device.path)
        outlives = root.outlives(parent)
        try:
            os.mknod(name, device.mode | kind, number, dir_fd=parent)
            if outlives:
                root.tell_made(name, parent)
            os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)
            return
        except OSError as error:
            # Without CAP_MKNOD the host's node serves, if it is one of those that every container has.
            if error.errno != errno.EPERM or device.path not in DEFAULT_DEVICES:
                raise
        finally:
            os.close(parent)
    tree = clone_device(device.path, number)
    root.mount_at(tree, root.target(device.path, directory=False))


def _make_links(root: Root) -> None:
    directory = root.find("/dev")
    for name, target in LINKS.items():
        try:
            os.symlink(target, name, dir_fd=directory)
        except FileExistsError:
            continue
    os.close(directory)


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
