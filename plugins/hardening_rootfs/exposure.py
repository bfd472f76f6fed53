"""What of the host's files, devices and kernel interfaces a configuration shows to its command, and the mounts that the
kernel reports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardening.base.files import is_below
from hardening.base.pointer import items, lookup
from hardening.base.text import listed
from hardening.base.values import frozen
from hardening.launch.config.model import DEFAULT_DEVICES
from hardening.mechanism.exposure import Exposure, enclosing, shares_namespace
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.roles import RIGHTS
from hardening_rootfs.foreign_binds import is_of_engine
from hardening_rootfs.foreign_devices import permits_all
from hardening_rootfs.mounted import MountedTree, WantedMounts, cover, read
from hardening_rootfs.paths import holds
from hardening_rootfs.settings import MASKED
from hardening_rootfs.sockets import KNOWN

#: Places of the host of which a writable one gives the host away, with all below them.
_SYSTEM = (
    "/boot/", "/etc/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/usr/", "/root/", "/var/lib/", "/var/run/", "/run/", "/dev/",
    "/sys/",
)  # fmt: skip
#: Memory and queues that who shares the host's IPC has: `namespaces.ipc` counts that.
_SHARED = ("/dev/shm", "/dev/mqueue")  # noqa: S108
#: What of `MASKED` tells most: memory, keys, who waits for what, and the firmware's tables.
_TELLING = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
_CHANGING = ("/proc/sys", "/proc/sysrq-trigger")
#: Where sockets of engines, buses and managers lie: who shows the whole of one shows these.
_SOCKETS = ("/run", "/var/run", "/")
#: File systems that show the kernel and not files of the host, although several mounts are of one.
_KERNEL = frozenset(
    {"proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts", "securityfs", "bpf", "tracefs", "debugfs", "nsfs"}
)
_TYPES = {"shared": 1.0, "slave": 0.5}


@frozen(eq=False)
class ConfiguredMounts:
    """A configuration's mounts, in order; ``host`` is whether the command stays in the mounts of the host."""

    document: Mapping[str, Any]
    mounts: Sequence[WantedMounts]
    host: bool

    @property
    def binds(self) -> list[WantedMounts]:
        """Those that show a part of the host, but for devices that every container has."""
        return [item for item in self.mounts if item.is_bind and item.place not in DEFAULT_DEVICES]

    def hides(self, path: str) -> bool:
        """Whether a path of /proc or /sys is masked, or in none that the command has."""
        top = f"/{path.split('/')[1]}"
        item = cover(top, self.mounts)
        if path in (lookup(self.document, "/linux/maskedPaths") or ()):
            return True
        return not self.host and (item is None or item.place != top or item.values().get("subset") == "pid")


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """What is hidden or read-only, as far as that encloses the command."""
    return enclosing(_items(document), document)


def _items(document: Mapping[str, Any]) -> Iterator[Exposure]:
    """The root, what is shown of the host and whether it can be written, devices, and the file systems of the kernel."""
    mounts = [WantedMounts(entry, ()) for entry in items(document, "/mounts")]
    shown = ConfiguredMounts(document, mounts, shares_namespace(document, "mount") == 1.0)
    read_only = lookup(document, "/root/readonly") is True
    yield Exposure("read_only", "change the files of its root", 1000, 0.0 if read_only else 1.0)
    yield _volumes(shown)
    sockets = [item.place for item in shown.binds if _shows_socket(str(item.entry.get("source")))]
    yield Exposure(
        "volume_sockets", "command services of the host", 1500, 1.0 if sockets or shown.host else 0.0, _listed(sockets)
    )
    yield _devices(shown)
    yield from _kernel(shown)
    holding = [item for item in mounts if item.entry.get("type") not in _KERNEL]
    executable = [item.place for item in holding if {"ro", "noexec"}.isdisjoint(item.restrictions)]
    executable = [place for place in executable if not place.startswith(("/proc", "/sys", "/dev"))]
    found = [*([] if read_only else ["/"]), *executable]
    yield Exposure("tmpfs", "execute what it has written", 100, 1.0 if found else 0.0, _listed(found))
    tie = str(lookup(document, "/linux/rootfsPropagation") or "private").removeprefix("r")
    yield Exposure(
        "propagation", "see or make mounts of the host", 200, 1.0 if shown.host else _TYPES.get(tie, 0.0), tie
    )


def _volumes(shown: ConfiguredMounts) -> Exposure:
    """What of the host can be written: all of it where a part is that runs the host."""
    sources = {item.place: str(item.entry.get("source")) for item in shown.binds if "ro" not in item.restrictions}
    writable = {place: source for place, source in sources.items() if not is_of_engine(source)}
    whole = shown.host or any(
        source == "/" or (f"{source}/".startswith(_SYSTEM) and source not in _SHARED) for source in writable.values()
    )
    return Exposure(
        "volumes", "change files of the host", 1000, 1.0 if whole else 0.5 if writable else 0.0, _listed([*writable])
    )


def _shows_socket(source: str) -> bool:
    return source.endswith(KNOWN) or source in _SOCKETS


def _devices(shown: ConfiguredMounts) -> Exposure:
    """Devices beyond those that every container has; all of them where rules permit all, or /dev is the host's."""
    document = shown.document
    usual = DEFAULT_DEVICES.values()
    own = [
        entry for entry in items(document, "/linux/devices") if (entry.get("major"), entry.get("minor")) not in usual
    ]
    sources = {item.place: str(item.entry.get("source")) for item in shown.binds}
    bound = [
        place
        for place, source in sources.items()
        if f"{source}/".startswith("/dev/") and source not in (*DEFAULT_DEVICES, *_SHARED)
    ]
    found = [path for path in (*(str(entry.get("path")) for entry in own), *bound) if path not in DEFAULT_DEVICES]
    whole = shown.host or "/dev" in found or permits_all(lookup(document, "/linux/resources/devices") or ())
    return Exposure("devices", "use devices of the host", 1000, 1.0 if whole else 0.5 if found else 0.0, _listed(found))


def _kernel(shown: ConfiguredMounts) -> Iterator[Exposure]:
    seen = [path for path in _TELLING if not shown.hides(path)]
    yield Exposure("masked_paths", "read what tells of the kernel", 500, len(seen) / len(_TELLING), _listed(seen))
    fixed = lookup(shown.document, "/linux/readonlyPaths") or ()
    proc = cover("/proc", shown.mounts)
    locked = proc is not None and "ro" in proc.restrictions
    loose = [path for path in _CHANGING if not (locked or path in fixed or shown.hides(path))]
    yield Exposure(
        "read_only_paths", "change parameters of the kernel", 1000, len(loose) / len(_CHANGING), _listed(loose)
    )
    trees = [item for item in shown.mounts if item.place == "/sys" or is_below(item.place, "/sys")]
    writable = [item.place for item in trees if "ro" not in item.restrictions]
    share = 1.0 if writable or (shown.host and not trees) else 0.25 if trees else 0.0
    yield Exposure(
        "sys", "read or change what /sys has", 1000, share, _listed(writable) or ("read-only" if trees else "")
    )
    hidden = proc is not None and proc.values().get("hidepid", "0") not in ("0", "off")
    own = shares_namespace(shown.document, "pid") == 0
    yield Exposure("proc.hidepid", "see processes of others in /proc", 500, 0.0 if hidden or own else 1.0)


def _listed(found: Sequence[str]) -> str:
    return listed(found, rest="others")


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """The mounts of proc_pid_mountinfo(5): a file system that the caller has mounted, too, is shown of the host."""
    mounts, caller = read(receipt["mountinfo"], seen=True), read(receipt["caller_mountinfo"], seen=True)
    root = cover("/", mounts)
    fragment.put("/root/readonly", root is not None and not root.writable)
    covers = [item for item in mounts if item.place in MASKED or is_below(item.place, "/proc") or _is_null(item)]
    entries = [_entry(item, caller) for item in mounts if item.place != "/" and item not in covers]
    fragment.put("/mounts", entries)
    # A runtime has nothing to mask where this kernel has no such file.
    masked = [item.place for item in covers if item.kind != "proc"]
    masked += [path for path in _TELLING if not os.path.lexists(path)]
    fragment.put("/linux/maskedPaths", masked)
    fixed = [item.place for item in covers if item.kind == "proc" and not item.writable]
    fragment.put("/linux/readonlyPaths", fixed + [path for path in _CHANGING if not os.path.lexists(path)])
    ties = {field.partition(":")[0] for field in (root.fields if root is not None else ())}
    fragment.put(
        "/linux/rootfsPropagation", "shared" if "shared" in ties else "slave" if "master" in ties else "private"
    )


def _is_null(item: MountedTree) -> bool:
    """Whether a mount covers a file with the null device."""
    return (item.kind, item.top) == ("devtmpfs", "/null") and item.place != "/dev/null"


def _entry(item: MountedTree, caller: Sequence[MountedTree]) -> dict[str, Any]:
    """A mount in the words of the specification."""
    options = [name for name in RIGHTS.values() if item.takes(name)]
    options += [f"{key}={value}" for key, value in item.data.items() if key in ("hidepid", "subset")]
    source = _source(item, caller)
    if source is None:
        return {"destination": item.place, "type": item.kind, "source": item.kind, "options": options}
    return {"destination": item.place, "type": "bind", "source": source, "options": ["bind", *options]}


def _source(item: MountedTree, caller: Sequence[MountedTree]) -> str | None:
    """Where the caller sees what is mounted; None for a file system of the kernel's, or one that the caller has not."""
    for host in caller if item.kind not in _KERNEL else ():
        if host.device == item.device and holds(host.top, item.top):
            return os.path.normpath(os.path.join(host.place, os.path.relpath(item.top, host.top)))
    return None
