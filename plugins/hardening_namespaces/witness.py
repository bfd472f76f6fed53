"""Programs that are in a namespace which one stack gives and another one does not."""

from __future__ import annotations

import os
from collections.abc import Iterator

from hardening.mechanism.evidence import Witness, unless
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST
from hardening.mechanism.schema import Leaf
from hardening_namespaces.host import PROC_NAMES
from hardening_namespaces.settings import TYPES, NamespacesSettings


def witness(
    settings: NamespacesSettings, context: Context, leaf: Leaf, value: object, floor: object
) -> Iterator[Witness]:
    """That a process is in the namespace of the host, or in one that is joined, as the kernel names it."""
    if leaf.setting == "sysctls":
        path = f"/proc/sys/{leaf.member.replace('.', '/')}"
        attempt = unless(f"open({path!r}).read().split() == {str(value).split()!r}", "another value")
        yield Witness(f"finds {leaf.member} at {value}", attempt)
    maps = settings.id_maps(context.host) if leaf.setting in ("id_map", "uid_map", "gid_map") else None
    if maps is not None:
        side, ranges = ("gid", maps.gids) if leaf.setting == "gid_map" else ("uid", maps.uids)
        words = [str(number) for item in ranges for number in (item.inside, item.outside, item.size)]
        attempt = unless(f'open("/proc/self/{side}_map").read().split() == {words!r}', "other ids")
        yield Witness(f"has the {side}s {' '.join(map(str, ranges))}", attempt)
    elif leaf.setting in ("id_map", "uid_map", "gid_map"):
        yield Witness("without a user namespace of its own no ids are mapped")
    if leaf.setting not in TYPES:
        return
    file = f"/proc/self/ns/{PROC_NAMES[leaf.setting]}"
    try:
        inode = os.stat(file if value == HOST else str(value)).st_ino
    except OSError:  # of another user's process nobody is shown it
        yield Witness("the caller cannot look at it to tell it from others")
        return
    which = "the host's" if value == HOST else "that which is joined"
    attempt = unless(f'os.stat("{file}").st_ino == {inode}', "another namespace")
    yield Witness(f"is in a {leaf.setting} namespace that is {which}", attempt)
