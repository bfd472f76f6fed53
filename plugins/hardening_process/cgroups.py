"""Which cgroup controllers the caller can use (cgroups(7)): of version 2, of version 1, or of both side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from hardening.base import files
from hardening.base.linux import mountinfo
from hardening.base.values import frozen
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.inputs import Input

CONTROLLERS = ("cpu", "memory", "pids")
_OWN_SCOPE = "run in a delegated cgroup: systemd-run --user --scope -p Delegate=yes hardening run …"


@frozen
class CgroupMount:
    """A mounted hierarchy: ``root`` is the cgroup that its ``point`` shows."""

    kind: str
    point: Path
    root: str
    options: frozenset[str]


@frozen
class Controller:
    """One controller. ``version`` is that of its hierarchy, ``parent`` the cgroup below which the caller can make
    others; ``problem`` says why not, with ``remedy``, and is empty where all is well."""

    version: int
    parent: str = ""
    problem: str = ""
    remedy: str = ""


@frozen
class Cgroups:
    """The host's cgroups as the caller sees them. ``mode`` is ``v1``, ``v2``, ``hybrid`` or ``none``."""

    mode: str
    controllers: Mapping[str, Controller]
    swap: bool = True

    def place(self, name: str) -> str:
        """Where a new cgroup of this name goes, as the OCI spec writes it: of version 2 as a path from the top; of version
        1, where the caller has another cgroup for each controller, relative to these."""
        parents = {item.parent for item in self.controllers.values() if item.version == 2 and item.parent}
        return os.path.join(max(parents, key=len), name) if parents else name

    def problem(self, name: str) -> tuple[str, str]:
        """Why a controller cannot be used, and the remedy; the reason is empty where it can be used."""
        controller = self.controllers.get(name)
        if controller is None:
            return f"this host has no {name} controller", "boot with cgroups, or leave the ceiling out"
        return controller.problem, controller.remedy


def probe(proc: Path = Path("/proc/self")) -> Cgroups:
    """Read the hierarchies from proc(5) and try what the caller may write."""
    return examine(files.read(f"{proc}/mountinfo"), (proc / "cgroup").read_text())


def examine(mounted: str, membership: str) -> Cgroups:
    """The cgroups behind the texts of /proc/PID/mountinfo and /proc/PID/cgroup; looks at the mounted directories."""
    mounts = _mounts(mounted)
    own = _membership(membership)
    unified = next((mount for mount in mounts if mount.kind == "cgroup2"), None)
    legacy = {
        name: mount for name in CONTROLLERS for mount in mounts if mount.kind == "cgroup" and name in mount.options
    }
    found: dict[str, Controller] = {}
    for name in CONTROLLERS:
        if name in legacy:
            found[name] = _legacy(name, legacy[name], own.get(name, "/"))
        elif unified is not None:
            controller = _unified(name, unified, own.get("", "/"))
            if controller is not None:
                found[name] = controller
    if any(mount.kind == "cgroup" for mount in mounts):
        mode = "hybrid" if unified is not None else "v1"
    else:
        mode = "v2" if unified is not None else "none"
    memory = legacy.get("memory")
    swap = memory is None or (memory.point / "memory.memsw.limit_in_bytes").exists()
    return Cgroups(mode, MappingProxyType(found), swap)


def inputs(proc: Path = Path("/proc/self")) -> Iterator[Input]:
    """What decides the answer of `probe`: the hierarchies, the caller's place in them, and what it may write there."""
    yield from host_inputs.mounts("cgroup", "cgroup2")
    yield from host_inputs.kernel(str(proc / "cgroup"))
    own = _membership((proc / "cgroup").read_text())
    for mount in _mounts(files.read(f"{proc}/mountinfo")):
        names = [""] if mount.kind == "cgroup2" else [name for name in CONTROLLERS if name in mount.options]
        for name in names:
            yield from host_inputs.way(mount.point / "memory.memsw.limit_in_bytes")
            below = mount.point / own.get(name, "/").removeprefix(mount.root.rstrip("/")).lstrip("/")
            for directory in (below, *below.parents):
                if directory.is_relative_to(mount.point):
                    yield from _looked_at(directory)


def _looked_at(directory: Path) -> Iterator[Input]:
    yield from host_inputs.way(directory)
    yield from host_inputs.way(directory / "cgroup.type")
    for name in ("", "cgroup.procs", "cgroup.subtree_control"):
        yield from host_inputs.access("w", str(directory / name))
    yield from host_inputs.kernel(str(directory / "cgroup.controllers"), str(directory / "cgroup.subtree_control"))


def _mounts(text: str) -> list[CgroupMount]:
    return [
        CgroupMount(found.kind, Path(found.place), found.top, frozenset(found.data))
        for found in mountinfo.seen(mountinfo.parse(mountinfo.lines(text)))
        if found.kind in ("cgroup", "cgroup2")
    ]


def _membership(text: str) -> dict[str, str]:
    """The caller's own cgroup by controller; that of version 2 has the name ``""``."""
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for name in names.split(",") if number != "0" else [""]:
            found[name] = path
    return found


def _directory(mount: CgroupMount, path: str) -> Path:
    """The directory of a cgroup; the mounted one where the path lies outside it, as in a container."""
    root = mount.root.rstrip("/")
    if path == mount.root or not path.startswith(root + "/"):
        return mount.point
    directory = mount.point / path[len(root) :].lstrip("/")
    return directory if directory.is_dir() else mount.point


def _legacy(name: str, mount: CgroupMount, path: str) -> Controller:
    directory = _directory(mount, path)
    if os.access(directory, os.W_OK):
        return Controller(1, path)
    return Controller(
        1, "", f"the caller may not write to {directory}", f"run as root, or have the {name} cgroup delegated"
    )


def _unified(name: str, mount: CgroupMount, path: str) -> Controller | None:
    """The nearest cgroup above the caller's own that holds no processes and to which the caller can write: a process
    moves only within a subtree whose top is writable to it (cgroups(7), delegation containment)."""
    own = _directory(mount, path)
    if name not in _words(mount.point / "cgroup.controllers"):
        return None
    candidates = [own] if own == mount.point else [above for above in own.parents if above.is_relative_to(mount.point)]
    for directory in candidates:
        if name in _words(directory / "cgroup.controllers") and _may_divide(directory, name, own):
            return Controller(2, "/" + str(directory.relative_to(mount.point)).removeprefix("."))
    return Controller(2, "", f"the {name} controller is not delegated to the caller", _OWN_SCOPE)


def _may_divide(directory: Path, name: str, own: Path) -> bool:
    """Whether the caller may make cgroups below ``directory``, move itself there, and give them a controller."""
    if not all(os.access(directory / file, os.W_OK) for file in ("", "cgroup.procs", "cgroup.subtree_control")):
        return False
    # Only the true root, which has no type, gives controllers away while it holds processes (cgroups(7)).
    root = not (own / "cgroup.type").exists()
    return directory != own or root or name in _words(directory / "cgroup.subtree_control")


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        # Not every cgroup shows its controllers to everybody; what cannot be read cannot be used either.
        return []
