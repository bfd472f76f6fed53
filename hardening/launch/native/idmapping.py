"""The maps of the user namespace, and of mounts."""

from __future__ import annotations

from hardening.base.linux import abi, idmaps, kernel
from hardening.base.linux.idmaps import IdMap
from hardening.base.linux.system import os
from hardening.launch.native.operation import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.launch.native.operation import LaunchState


class WriteIdMaps(Mapping):
    """The id maps of the user namespace (user_namespaces(7))."""

    pointer = "/linux/uidMappings"
    text = "map the ids"
    uid_map: tuple[IdMap, ...]
    gid_map: tuple[IdMap, ...]

    def execute(self, state: LaunchState) -> None:
        idmaps.write_maps(state.pid, self.uid_map, self.gid_map)


class MapSourceIds(Mapping):
    """Id-map the tree of a bind mount; without maps by the container's user namespace. It takes CAP_SYS_ADMIN on the
    host, so the main process does it once that namespace has its maps (mount_setattr(2))."""

    hint = "the file system must support id-mapped mounts, and the tree must hold no other mounts that do not"
    pointer: str
    source: str
    uid_map: tuple[IdMap, ...]
    gid_map: tuple[IdMap, ...]
    below: bool

    def describe(self) -> str:
        return f"map the ids of {self.source}"

    def execute(self, state: LaunchState) -> None:
        if self.uid_map:
            space = idmaps.new_user_namespace(self.uid_map, self.gid_map)
        else:
            space = os.open(f"/proc/{state.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        tree = state.trees[self.pointer]
        kernel.mount_setattr(tree, add=abi.MOUNT_ATTR_IDMAP, userns=space, recursive=self.below)
        os.close(space)
