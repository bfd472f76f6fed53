"""Keeping rules for devices without a control group (`hardening.launch.config.device_rules`)."""

from __future__ import annotations

import _stat as stat

from hardening.base import files, links
from hardening.base.linux import abi, kernel, mountinfo
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.config.device_rules import POINTER, permits
from hardening.launch.config.model import Rule
from hardening.launch.native.operation import Cloning, Preparation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import ConfigMount
    from hardening.launch.native.operation import LaunchState


class CheckDescriptors(Preparation):
    """Refuse a standard descriptor that is a device which the rules do not permit: the command can open it anew. A
    terminal is the caller's to hand over."""

    pointer = POINTER
    text = "hold the standard descriptors to the rules for devices"
    rules: tuple[Rule, ...]

    def execute(self, state: LaunchState) -> None:
        numbers = () if state.command.terminal else (0, 1, 2) if state.keep_stdin else (1, 2)
        for number in numbers:
            status = os.fstat(number)
            # Before 1 and 2 a pipe stands where they are character devices.
            is_device = stat.S_ISBLK(status.st_mode) or (
                number == 0 and stat.S_ISCHR(status.st_mode) and not os.isatty(number)
            )
            if is_device and not _permits_node(self.rules, status):
                reason = f"standard descriptor {number} is a device that is not permitted to be read and written"
                raise LaunchError(reason, origin=f"config.json:{POINTER}", hint="put a pipe between: cat DEVICE | …")


class KeepDevices(Cloning):
    """Let no device be opened through the cloned tree of a bind mount. `LaunchError` for a device that the rules do not
    permit, and for a proc file system that shows other processes, unless a user namespace of its own keeps the command
    from those.
    """

    text = "hold {mount.source} to the rules for devices"
    pointer: str
    mount: ConfigMount
    rules: tuple[Rule, ...]
    has_user_namespace: bool

    def execute(self, state: LaunchState) -> None:
        tree, path = state.trees[self.pointer], files.join(state.bundle.directory, self.mount.source)
        status = os.fstat(tree)
        origin = f"config.json:{self.pointer}/source"
        if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
            kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_NODEV, recursive=True)
            if not self.has_user_namespace and _shows_processes(path, status, recursive=self.mount.recursive):
                reason = f"{path} shows other processes, and their devices, which {POINTER} forbids"
                raise LaunchError(reason, origin=origin, hint="mount a proc of its own, or use --runtime crun or runc")
        elif not _permits_node(self.rules, status):
            raise LaunchError(f"{path} is a device that {POINTER} does not permit to read and write", origin=origin)


def _permits_node(rules: tuple[Rule, ...], status: os.stat_result) -> bool:
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c"
    return permits(rules, kind, os.major(status.st_rdev), os.minor(status.st_rdev))


def _shows_processes(path: str, status: os.stat_result, *, recursive: bool) -> bool:
    """Whether a source lies in a proc file system, or has one below it that is bound as well."""
    device = mountinfo.device(status.st_dev)
    place = links.find(path)
    try:
        top = str(os.readlink(f"/proc/self/fd/{place}")).rstrip("/")
    finally:
        os.close(place)
    for mount in mountinfo.read():
        is_below = recursive and f"{mount.place}/".startswith(f"{top}/")
        if mount.kind == "proc" and (is_below or mount.device == device):
            return True
    return False
