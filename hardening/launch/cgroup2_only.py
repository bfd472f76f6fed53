"""A view of the cgroups that crun accepts on hosts with v1 hierarchies.

crun refuses a hybrid host ("cgroups in hybrid mode not supported"), whatever its cgroup manager. In a mount namespace
of its own, with cgroup2 alone at /sys/fs/cgroup, it runs. An ordinary user may make such a mount namespace only inside
a user namespace; that one maps each id to itself, so that the ids in `config.json` keep their meaning.
"""

from __future__ import annotations

import os

from hardening.errors import LaunchError
from hardening.launch import abi, idmaps, kernel
from hardening.launch.failure import Step
from hardening.launch.plan import IdMap
from hardening.launch.signals import signal

CGROUP2_MAGIC_FILE = "/sys/fs/cgroup/cgroup.controllers"


def show_only_cgroup2(document: object) -> None:
    """Move this process into such a view, unless the host is pure cgroup2. Raises `LaunchError`."""
    if os.path.exists(CGROUP2_MAGIC_FILE):
        return
    if kernel.capget()[0] >> abi.CAPABILITIES.index("CAP_SYS_ADMIN") & 1:
        with Step("make a mount namespace for crun"):
            kernel.unshare(abi.CLONE_NEWNS)
    else:
        _enter_user_namespace(document)
    with Step("mount cgroup2 for crun", hint="use --runtime native or runc, which do not need this"):
        top = os.open("/", os.O_PATH | os.O_CLOEXEC)
        kernel.mount_setattr(top, propagation=abi.MS_SLAVE, recursive=True)
        os.close(top)
        place = os.open("/sys/fs/cgroup", os.O_PATH | os.O_CLOEXEC)
        tree = kernel.new_filesystem("cgroup2", (), 0)
        kernel.move_mount(tree, place)
        os.close(tree)
        os.close(place)


def _enter_user_namespace(document: object) -> None:
    uids, gids = (
        identity_maps(document, "uidMappings", os.getuid()),
        identity_maps(document, "gidMappings", os.getgid()),
    )
    reader, writer = os.pipe()
    with Step("make a user namespace for crun"):
        holder = kernel.clone(abi.CLONE_NEWUSER | abi.CLONE_NEWNS | abi.CLONE_NEWCGROUP)
    if holder == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        idmaps.write_maps(holder, uids, gids)
        for name, flag in (("user", abi.CLONE_NEWUSER), ("cgroup", abi.CLONE_NEWCGROUP), ("mnt", abi.CLONE_NEWNS)):
            with Step("enter the user namespace for crun"):
                fd = os.open(f"/proc/{holder}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
                kernel.setns(fd, flag)
                os.close(fd)
    finally:
        os.close(writer)
        os.close(reader)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
    with Step("keep the capabilities of the user namespace for crun"):
        _, permitted, _ = kernel.capget()
        kernel.capset(permitted, permitted, permitted)
        for number in range(len(abi.CAPABILITIES)):
            if permitted >> number & 1:
                kernel.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)


def identity_maps(document: object, key: str, own: int) -> tuple[IdMap, ...]:
    """Every outside id that the configuration maps, and the caller's own, each to itself."""
    linux = document.get("linux") if isinstance(document, dict) else None
    entries = linux.get(key) if isinstance(linux, dict) else None
    ranges = [(own, own + 1)]
    for entry in entries if isinstance(entries, list) else ():
        first, count = (entry.get("hostID"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if type(first) is not int or type(count) is not int:
            raise LaunchError("is malformed", origin=f"config.json:/linux/{key}")
        ranges.append((first, first + count))
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return tuple(IdMap(inside=first, outside=first, count=end - first) for first, end in merged)
