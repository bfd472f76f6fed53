"""The control group of a container (`hardening.launch.cgroup`), and what the container sees of it."""

from __future__ import annotations

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.base.linux.system import os
from hardening.launch.cgroup.group import Cgroup
from hardening.launch.cgroup.hierarchy import Hierarchy, read_hierarchies
from hardening.launch.cgroup.limits import limits
from hardening.launch.native.operation import Building, Mapping, Preparation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.config.model import ConfigMount, Resources
    from hardening.launch.native.operation import LaunchState


class CreateCgroup(Preparation):
    """A control group with its limits. ``path`` '' is one that is named by this process."""

    pointer = "/linux/cgroupsPath"
    path: str
    resources: Resources | None

    def describe(self) -> str:
        return f"make the control group {self.path}".rstrip()

    def execute(self, state: LaunchState) -> None:
        state.group = Cgroup(state.tell)
        state.group.create(self.path or f"hardening-{os.getpid()}", limits(self.resources))


class EnterCgroup(Mapping):
    """Before it runs anything, so that all that it starts is limited."""

    pointer = "/linux/cgroupsPath"
    text = "move the container into its cgroup"

    def execute(self, state: LaunchState) -> None:
        if state.group is not None:
            state.group.enter(state.pid)


class MountCgroups(Building):
    """The hierarchies of the host as the cgroup namespace shows them; where the kernel does not let this namespace mount
    them, the host's own view."""

    text = "mount {mount.kind} on {mount.destination}"
    pointer: str
    mount: ConfigMount

    def execute(self, state: LaunchState) -> None:
        root, add = state.root, self.mount.add | self.mount.add_below
        place = root.place(self.mount.destination, directory=True)
        hierarchies = read_hierarchies()
        try:
            if len(hierarchies) == 1 and hierarchies[0].unified:
                root.mount_at(kernel.new_filesystem("cgroup2", (), add), place)
                return
            trees = [(_name(entry), _mount_one(entry, add)) for entry in hierarchies]
        except PermissionError:
            tree = kernel.open_tree(abi.AT_FDCWD, b"/sys/fs/cgroup", abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
            kernel.mount_setattr(tree, add=add, recursive=True)
            root.mount_at(tree, place)
            return
        top = kernel.new_filesystem("tmpfs", (("mode", "0755"), ("size", "64k")), add & ~abi.MOUNT_ATTR_RDONLY)
        root.note_fresh(top)
        root.mount_at(top, place, late=add & abi.MOUNT_ATTR_RDONLY)
        for name, tree in trees:
            root.mount_at(tree, root.target(f"{self.mount.destination}/{name}", directory=True))


def _name(entry: Hierarchy) -> str:
    return files.base(entry.mount) if entry.mount != "/sys/fs/cgroup" else "unified"


def _mount_one(entry: Hierarchy, attributes: int) -> int:
    if entry.unified:
        return kernel.new_filesystem("cgroup2", (), attributes)
    controllers: list[tuple[str, str | None]] = [
        (name, None) if _is_controller(name) else ("name", name) for name in entry.controllers
    ]
    if any(key == "name" for key, _ in controllers):
        controllers.append(("none", None))
    return kernel.new_filesystem("cgroup", controllers, attributes)


def _is_controller(name: str) -> bool:
    return any(line.split("\t", 1)[0] == name for line in files.read("/proc/cgroups").split("\n"))
