"""The mounts that the kernel reports (proc_pid_mountinfo(5)), and one of them held against an entry of ``/mounts``."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from hardening.base import units
from hardening.base.linux import mountinfo
from hardening.base.values import frozen
from hardening.launch.config.config_mounts import is_bind
from hardening.mechanism.roles import RIGHTS
from hardening_rootfs.paths import holds, real_path

PAGE = 65536  # bytes, the largest: a tmpfs counts in pages
_PROC = ("hidepid", "subset")
#: File systems of which each mount is a new one, and those of which each namespace of a type has its own.
_FRESH = ("tmpfs", "devpts")
_OF_NAMESPACES = {"proc": "pid", "mqueue": "ipc", "sysfs": "network"}
#: File systems with a mode, and the one that they have unless it is said.
_MODES = {"tmpfs": "1777", "devpts": "600"}
#: propagation -> what of other peers a mount must not have (proc_pid_mountinfo(5), optional fields)
PEERS = {"private": ("shared:", "master:"), "slave": ("shared:",), "shared": ()}


@frozen
class MountedTree:
    """One line of mountinfo: ``device`` and ``top`` are the part of a file system that is mounted, ``options`` are the
    mount's own, ``fields`` its propagation, ``data`` the file system's options."""

    device: str
    place: str
    top: str
    options: frozenset[str]
    fields: tuple[str, ...]
    kind: str
    data: Mapping[str, str]

    @property
    def writable(self) -> bool:
        """Whether files can be written through this mount."""
        return "rw" in self.options and "ro" not in self.data

    @property
    def size(self) -> int:
        """Of a tmpfs, in bytes; 0 where it has no bound."""
        return _number(self.data.get("size", "")) or 0

    def show(self) -> str:
        """As a receipt shows it."""
        restrictions = sorted(name for name in RIGHTS.values() if self.takes(name))
        sizes = [f"size={units.show_size(self.size)}"] if self.size else []
        return ",".join(
            [self.kind, *restrictions, *sizes, *(f"{key}={self.data[key]}" for key in _PROC if key in self.data)]
        )

    def is_same(self, other: MountedTree) -> bool:
        """Whether both show the same part of a file system."""
        return (self.device, self.top) == (other.device, other.top)

    def takes(self, restriction: str) -> bool:
        """Whether this mount has a restriction."""
        return restriction in self.options or (restriction == "ro" and "ro" in self.data)


def read(lines: Iterable[str], *, seen: bool = False) -> list[MountedTree]:
    """The mounts in their order; or those that are ``seen``, which paths lead through."""
    found = mountinfo.parse(lines)
    return [
        MountedTree(
            item.device, item.place, item.top, frozenset(item.options), item.tags, item.kind,
            dict(option.partition("=")[::2] for option in item.data),
        )
        for item in (mountinfo.seen(found) if seen else found)
    ]  # fmt: skip


class _Placed(Protocol):
    @property
    def place(self) -> str: ...


M = TypeVar("M", bound=_Placed)


def cover(path: str, mounts: Iterable[M]) -> M | None:
    """The mount that a path is seen through: the innermost, and of several at one place the one on top."""
    found: M | None = None
    for item in mounts:
        if holds(item.place, path) and (found is None or len(item.place) >= len(found.place)):
            found = item
    return found


@frozen
class MountLocation:
    """A part of a file system."""

    device: str
    top: str


def on_host(path: str, mounts: Iterable[MountedTree]) -> MountLocation | None:
    """Where a path of the caller's lies."""
    real = real_path(path)
    item = cover(real, mounts)
    if item is None:
        return None
    below = os.path.relpath(real, item.place)
    return MountLocation(item.device, os.path.normpath(os.path.join(item.top, below)))


@frozen
class WantedMounts:
    """An entry of ``/mounts``, and the leaves that decided it."""

    entry: Mapping[str, Any]
    leaves: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it is mounted."""
        return str(self.entry["destination"])

    @property
    def options(self) -> Sequence[str]:
        """Its mount options."""
        return [str(option) for option in self.entry.get("options") or ()]

    @property
    def is_bind(self) -> bool:
        """Whether it shows a part of the host."""
        return is_bind(self.entry.get("type"), self.options)

    @property
    def recursive(self) -> bool:
        """Whether it shows what is mounted below, too."""
        return "rbind" in self.options

    @property
    def restrictions(self) -> frozenset[str]:
        """What it takes away."""
        options = self.options
        return frozenset(name for name in RIGHTS.values() if {name, f"r{name}"} & {*options})

    def values(self) -> dict[str, str]:
        """The options with a value."""
        return dict(option.split("=", 1) for option in self.options if "=" in option)

    def show(self) -> str:
        """As a receipt shows it."""
        kind = "bind" if self.is_bind else str(self.entry.get("type"))
        size = self.values().get("size", "")
        sizes = [f"size={units.show_size(int(size))}"] if size.isdecimal() else []
        values = [f"{key}={value}" for key, value in self.values().items() if key in _PROC]
        return ",".join([kind, *sorted(self.restrictions), *sizes, *values])


def looser(
    wanted: WantedMounts, found: MountedTree, caller: Sequence[MountedTree], propagation: str, made: Container[str]
) -> Iterator[str]:
    """In what a mount permits more than an entry of the configuration, or is another one. ``caller`` are the host's mounts,
    ``propagation`` is that of the whole root, ``made`` the types of the namespaces that were made for the container."""
    if wanted.is_bind:
        source = on_host(str(wanted.entry.get("source")), caller)
        if source != MountLocation(found.device, found.top):
            yield "another source"
    else:
        yield from _another_kind(wanted, found, {item.device for item in caller}, made)
    for restriction in sorted(wanted.restrictions):
        if not found.takes(restriction):
            yield f"not {restriction}"
    words = [word.removeprefix("r") if word not in PEERS else word for word in wanted.options]
    tie = next((word for word in words if word in PEERS), propagation)
    if any(field.startswith(PEERS[tie]) for field in found.fields if PEERS[tie]):
        yield " ".join(found.fields)
    if "idmapped" in found.options and "uidMappings" not in wanted.entry:
        yield "idmapped"


def _another_kind(
    wanted: WantedMounts, found: MountedTree, host: Container[str], made: Container[str]
) -> Iterator[str]:
    kind, values = str(wanted.entry.get("type")), wanted.values()
    kinds = {kind} if kind != "cgroup" else {"cgroup", "cgroup2", "tmpfs"}
    own = kind in _FRESH or _OF_NAMESPACES.get(kind) in made
    if found.kind not in kinds or (kind != "cgroup" and found.top != "/") or (own and found.device in host):
        yield f"{found.kind} of {found.device}, from {found.top}"
        return
    if kind in _MODES:
        mode, wanted_mode = (int(given.get("mode", _MODES[kind]), 8) for given in (found.data, values))
        if mode & ~wanted_mode & 0o777 or (wanted_mode & ~mode & 0o1000):
            yield f"mode={mode:o}"
    if kind == "tmpfs":
        bytes_ = _number(values.get("size", ""))
        if bytes_ and not 0 < found.size <= bytes_ + PAGE - 1:
            yield f"size={units.show_size(found.size)}"
        inodes, most = (_number(data.get("nr_inodes", "")) for data in (found.data, values))
        if most is not None and not (inodes is not None and inodes <= most):
            yield f"nr_inodes={found.data.get('nr_inodes', 'unlimited')}"


def _number(text: str) -> int | None:
    try:
        return units.kernel_size(text)
    except ValueError:
        return None
