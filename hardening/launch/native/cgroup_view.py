"""What a container sees at its `cgroup` mount, on pure v2, v1 and hybrid hosts."""

from __future__ import annotations

from hardening.base import files
from hardening.base.linux import abi, kernel
from hardening.launch.cgroups import Hierarchy, read_hierarchies
from hardening.launch.native.operation import Building

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.native.operation import LaunchState


class MountCgroups(Building):
    """The hierarchies of the host as the cgroup namespace shows them; where the kernel does not let this namespace mount
    them, the host's own view. ``attributes`` are ``MOUNT_ATTR_*``."""

    pointer: str
    destination: str
    kind: str
    attributes: int

    def describe(self) -> str:
        return f"mount {self.kind} on {self.destination}"

    def execute(self, state: LaunchState) -> None:
        root, add = state.root, self.attributes
        place = root.place(self.destination, directory=True)
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
            root.mount_at(tree, root.target(f"{self.destination}/{name}", directory=True))


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
