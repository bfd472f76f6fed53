"""The mounts of a container, as the OCI spec writes them."""

from __future__ import annotations

from typing import Any

from hardening_rootfs.paths import followed
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.surroundings import Surroundings

Mount = dict[str, Any]

_QUIET = ("nosuid", "nodev", "noexec")
DEV_OPTIONS = ("ro", "nosuid", "noexec", "strictatime", "mode=755", "size=64k")
#: What /proc shows of others' processes, from the strictest, and how the kernel numbers it (proc(5)): before Linux 5.8 it
#: knew nothing but the numbers.
HIDEPID = ("ptraceable", "invisible", "noaccess", "off")
_HIDEPID_NUMBERS = {"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}
#: What a /sys of the host's shows beyond one of our own.
HOST_SYS = (
    "/sys/fs/bpf",
    "/sys/fs/pstore",
    "/sys/kernel/config",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
)


def mount(destination: str, kind: str, source: str, *options: str) -> Mount:
    """One entry of ``/mounts``."""
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def hidepid(text: str) -> str:
    """One of `HIDEPID`, written as a word or as its number; empty for anything else."""
    word = _HIDEPID_NUMBERS.get(text, text)
    return word if word in HIDEPID else ""


def proc(settings: RootfsSettings, around: Surroundings, lacking: set[str]) -> Mount:
    """``/proc``: a new one, or the host's where only that can be had."""
    if not around.own_proc:
        return mount("/proc", "bind", "/proc", "rbind", *_QUIET, "rprivate")
    options = [*_QUIET]
    if settings.hidepid != "off" and "rootfs.proc.hidepid" not in lacking:
        options.append(f"hidepid={settings.hidepid}")
    if settings.subset and "rootfs.proc.subset" not in lacking:
        options.append(f"subset={settings.subset}")
    return mount("/proc", "proc", "proc", *options)


def devices(settings: RootfsSettings, around: Surroundings) -> list[Mount]:
    """``/dev``, read-only once the runtime has made the few devices that each container has, and what is in it."""
    mounts = [
        mount("/dev", "tmpfs", "tmpfs", *DEV_OPTIONS),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
    ]
    if settings.shm_size:
        mounts.append(shared_memory(settings.shm_size))
    if around.own_queues:
        mounts.append(mount("/dev/mqueue", "mqueue", "mqueue", *_QUIET))
    shown = settings.devices.having(True)
    # Read-only: the device is written to all the same, but its node, which is the host's, keeps its mode and owner.
    quiet = ("bind", "ro", "nosuid", "noexec", "private")
    return mounts + [mount(device, "bind", followed(device), *quiet) for device in shown]


def shared_memory(size: int) -> Mount:
    """``/dev/shm`` of ``size`` bytes."""
    return mount("/dev/shm", "tmpfs", "shm", *_QUIET, "mode=1777", f"size={size}")  # noqa: S108


def sys(settings: RootfsSettings, around: Surroundings) -> list[Mount]:
    """``/sys`` and the cgroup tree, read-only; a command without a cgroup namespace sees no tree at all, nor does one on
    a host whose trees no runtime shows alike."""
    if settings.sys == "none":
        return []
    if around.own_sys:
        mounts = [mount("/sys", "sysfs", "sysfs", "ro", *_QUIET)]
    else:
        below = [f"r{option}" for option in ("ro", *_QUIET)]
        mounts = [mount("/sys", "bind", "/sys", "rbind", *below, "rprivate")]
    if around.cgroup and around.unified:
        mounts.append(mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", *_QUIET))
    else:
        mounts.append(no_cgroups("/sys/fs/cgroup"))
    return mounts


def no_cgroups(destination: str) -> Mount:
    """An empty read-only directory in the place of a cgroup tree."""
    return hollow(destination)


def hollow(destination: str) -> Mount:
    """An empty read-only directory, in which a runtime makes mount points."""
    return mount(destination, "tmpfs", "tmpfs", "ro", *_QUIET, "mode=755", "size=4k")
