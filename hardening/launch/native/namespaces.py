"""Making namespaces, and setting what belongs to them."""

from __future__ import annotations

import fcntl

from hardening.base import files
from hardening.base.linux import abi, idmaps, kernel
from hardening.base.linux.system import os
from hardening.errors import LaunchError
from hardening.launch.native.operation import Building, Joining, Mapping, Preparation, Separation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hardening.base.linux.idmaps import IdMap
    from hardening.launch.native.operation import LaunchState

_POINTER = "/linux/namespaces"


class RequirePrivilege(Preparation):
    """Refuse at once what would fail later: without a user namespace only CAP_SYS_ADMIN makes the others (clone(2))."""

    pointer = _POINTER
    text = "make namespaces without a user namespace"

    def execute(self, state: LaunchState) -> None:
        if not abi.has_capability(kernel.capget()[0], "CAP_SYS_ADMIN"):
            raise LaunchError(
                "without a user namespace only root can make the other namespaces",
                origin=f"config.json:{self.pointer}",
                hint="add a user namespace with uidMappings and gidMappings, or run as root",
            )


class MakeUserNamespace(Joining):
    """A new user namespace, by a process that has joined what the caller's privileges are needed for."""

    pointer = _POINTER
    text = "make the user namespace"

    def execute(self, state: LaunchState) -> None:
        kernel.unshare(abi.CLONE_NEWUSER)


class WriteIdMaps(Mapping):
    """The id maps of the user namespace (user_namespaces(7))."""

    pointer = "/linux/uidMappings"
    text = "map the ids"
    uid_map: tuple[IdMap, ...]
    gid_map: tuple[IdMap, ...]

    def execute(self, state: LaunchState) -> None:
        idmaps.write_maps(state.pid, self.uid_map, self.gid_map)


class MakeNamespaces(Separation):
    """New namespaces; ``flags`` are their ``CLONE_NEW*``."""

    pointer = _POINTER
    text = "make the namespaces"
    flags: int

    def execute(self, state: LaunchState) -> None:
        kernel.unshare(self.flags)


class MakeIpcNamespace(Building):
    """A new ipc namespace."""

    pointer = _POINTER
    text = "make the ipc namespace"

    def execute(self, state: LaunchState) -> None:
        kernel.unshare(abi.CLONE_NEWIPC)


class SetOomScore(Separation):
    """How soon the kernel kills it where memory is short (proc_pid_oom_score_adj(5))."""

    pointer = "/process/oomScoreAdj"
    hint = "lowering it needs CAP_SYS_RESOURCE"
    text = "set the OOM score"
    score: int

    def execute(self, state: LaunchState) -> None:
        files.write("/proc/self/oom_score_adj", str(self.score))


class SetClocks(Separation):
    """The offsets of a new time namespace, as lines of timens_offsets (time_namespaces(7))."""

    pointer = "/linux/timeOffsets"
    text = "set the clocks of the time namespace"
    lines: str

    def execute(self, state: LaunchState) -> None:
        files.write("/proc/self/timens_offsets", self.lines)


class SetHostName(Building):
    """The host name of the uts namespace."""

    pointer = "/hostname"
    text = "set the host name"
    name: str

    def execute(self, state: LaunchState) -> None:
        kernel.sethostname(self.name.encode())


class SetDomainName(Building):
    """The NIS domain name of the uts namespace."""

    pointer = "/domainname"
    text = "set the domain name"
    name: str

    def execute(self, state: LaunchState) -> None:
        kernel.setdomainname(self.name.encode())


class BringUpLoopback(Building):
    """The loopback interface, which is down in a new network namespace (netdevice(7))."""

    pointer = _POINTER
    text = "bring up the loopback interface"

    def execute(self, state: LaunchState) -> None:
        control = kernel.socket(abi.AF_INET, abi.SOCK_DGRAM)
        name = b"lo".ljust(16, b"\0")
        request = fcntl.ioctl(control, abi.SIOCGIFFLAGS, name + bytes(24))
        flags = int.from_bytes(request[16:18], "little") | abi.IFF_UP
        fcntl.ioctl(control, abi.SIOCSIFFLAGS, name + flags.to_bytes(2, "little") + bytes(22))
        os.close(control)


class SetSysctl(Building):
    """A kernel setting of one of the new namespaces (sysctl(8)), by its name with dots."""

    pointer = "/linux/sysctl"
    text = "set {name}"
    name: str
    value: str

    def execute(self, state: LaunchState) -> None:
        files.write(f"/proc/sys/{self.name.replace('.', '/')}", self.value)
