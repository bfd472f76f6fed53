"""What becomes of a path inside: whether the command sees it, whether it can write there, and which setting says so.

The answers are read from what is contributed to the configuration, so that they are those of the mounts that are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from hardening.host import Host
from hardening.mechanism import Context
from hardening.spec import Fragment
from hardening_rootfs import hidden, spec
from hardening_rootfs.aliases import holds
from hardening_rootfs.host import RootfsFacts
from hardening_rootfs.paths import is_below
from hardening_rootfs.settings import RootfsSettings

#: The families whose members speak for what is below them.
_PLACES = ("volumes", "tmpfs", "masked_paths", "read_only_paths", "hidden_paths")


def covering(settings: RootfsSettings, host: Host, setting: str, member: str) -> str | None:
    """The nearest named member of a family of places that ``member`` lies in; None where it lies in none of them."""
    if setting not in _PLACES or not member.startswith("/"):
        return None
    named = getattr(settings, setting).named
    private = host.of(RootfsFacts).private
    places: dict[str, str] = {}
    for name, value in named.items():
        if value not in (None, False):
            real = hidden.expand((name,), private) if setting == "hidden_paths" else ()
            places |= dict.fromkeys((*real, name), name)
    found = _nearest(places, member)
    return places[found] if found is not None else None


def of_path(settings: RootfsSettings, context: Context, path: str) -> Iterator[tuple[str, str, str]]:
    """What is asked, the answer, and the leaf that decides it; ``path`` is absolute, and links in it are not followed."""
    fragment = Fragment("rootfs")
    spec.contribute(settings, context, fragment)
    path = os.path.normpath(path)
    mounts = {key: item for (pointer, key), item in fragment.items.items() if pointer == "/mounts"}
    mounted = _nearest(mounts, path)
    masked = _nearest(fragment.values["/linux/maskedPaths"].value, path)
    # What a hidden directory of the root holds is shown where something is mounted at it, or in it.
    secret = _nearest(spec.shown_secrets(settings, context), path)
    gone = max((masked or "", secret if secret and (mounted is None or is_below(secret, mounted)) else ""), key=len)
    if gone and (mounted is None or holds(mounted, gone)):
        yield "seen", f"no: {gone} is empty here", _masking(settings, context.host, gone)
        return
    mount = mounts[mounted] if mounted is not None else None
    leaf = mount.leaves[0] if mount is not None and mount.leaves else "rootfs.path"
    if mount is None:
        yield "seen", f"as in the root {settings.path}", leaf
    elif mount.value["type"] == "bind":
        yield (
            "seen",
            f"as {os.path.normpath(mount.value['source'] + path.removeprefix(str(mounted)))} of the host",
            leaf,
        )
    else:
        yield "seen", f"in the {mount.value['type']} at {mounted}", leaf
    read_only = _nearest(fragment.values["/linux/readonlyPaths"].value, path)
    if mounted == "/dev":
        return  # each device has rights of its own
    if read_only is not None and (mounted is None or holds(mounted, read_only)):
        yield "writable", f"no: {read_only} is read-only", f"rootfs.read_only_paths.{read_only}"
    elif mount is None:
        yield "writable", "no" if settings.read_only else "yes, by the rights of its files", "rootfs.read_only"
    else:
        yield "writable", "no" if {"ro", "rro"} & {*mount.value["options"]} else "yes, by the rights of its files", leaf


def _masking(settings: RootfsSettings, host: Host, place: str) -> str:
    """The leaf that says that a place is empty: that of the path itself, or of what it is on the host."""
    for name in ("masked_paths", "hidden_paths"):
        member = covering(settings, host, name, place)
        if member is not None:
            return f"rootfs.{name}.{member}"
    return "rootfs.hidden_paths"


def _nearest(places: Iterable[str], path: str) -> str | None:
    """The deepest place that a path is or lies in."""
    return max((place for place in places if holds(place, path)), key=len, default=None)
