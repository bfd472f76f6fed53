"""What becomes of a path inside: whether the command sees it, whether it can write there, and which setting says so.

The answers are read from what is contributed to the configuration, so that they are those of the mounts that are made.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import attrs

from hardening.base.files import is_below
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import READ_ONLY_RIGHTS, USUAL_RIGHTS, Volume
from hardening_rootfs import aliases, hidden, spec
from hardening_rootfs.foreign_binds import USUAL
from hardening_rootfs.paths import deepest, holds, real_path
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.surroundings import RootfsFacts, only_unmapped_may

#: Leaves, each with a value that would permit something; None for the smallest loosening of the leaf.
Ways = tuple[tuple[str, Volume | None], ...]

#: What the kernel makes in each container.
_KERNEL = ("/dev", "/proc", "/sys")
#: What every `/dev` has (config-linux.md, "Default Devices").
_DEVICES = (*USUAL, "/dev/console", "/dev/ptmx")
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
    found = deepest(places, member)
    return places[found] if found is not None else None


def of_path(settings: RootfsSettings, context: Context, path: str) -> Iterator[tuple[str, str, str, Ways]]:
    """What is asked, the answer, the leaf that decides it, and what would permit it; ``path`` is absolute, and links in it
    are not followed."""
    fragment = Fragment("rootfs")
    spec.contribute(settings, context, fragment)
    path = os.path.normpath(path)
    mounts = {key: item for (pointer, key), item in fragment.items.items() if pointer == "/mounts"}
    mounted = deepest(mounts, path)
    masked = deepest(fragment.values["/linux/maskedPaths"].value, path)
    # What a hidden directory of the root holds is shown where something is mounted at it, or in it.
    secret = deepest(spec.shown_secrets(settings, context), path)
    gone = max((masked or "", secret if secret and (mounted is None or is_below(secret, mounted)) else ""), key=len)
    if gone and (mounted is None or holds(mounted, gone)):
        decides = _masking(settings, context, gone)
        ways = (*_volume(settings, context, path, READ_ONLY_RIGHTS), (decides, None))
        yield "seen", f"no: {gone} is empty here", decides, ways
        return
    mount = mounts[mounted] if mounted is not None else None
    leaf = mount.leaves[0] if mount is not None and mount.leaves else "rootfs.path"
    lacking = _lacking(settings, path, mounted)
    if lacking is not None:
        yield lacking
        return
    if mount is None and settings.path.path == "/" and not _there(path):
        yield "seen", f"no: {path} is not there on the host", leaf, ()
        return
    source = None
    if mount is None:
        yield "seen", f"as in the root {settings.path}", leaf, ()
    elif mount.value["type"] == "bind":
        source = os.path.normpath(mount.value["source"] + path.removeprefix(str(mounted)))
        if not _there(source):
            yield "seen", f"no: {source} is not there on the host", leaf, ()
            return
        yield "seen", f"as {source} of the host", leaf, ()
    else:
        yield "seen", f"in the {mount.value['type']} at {mounted}", leaf, ()
    read_only = deepest(fragment.values["/linux/readonlyPaths"].value, path)
    if mounted == "/dev":
        return  # each device has rights of its own
    if read_only is not None and (mounted is None or holds(mounted, read_only)):
        decides = (
            f"rootfs.read_only_paths.{covering(settings, context.host, 'read_only_paths', read_only) or read_only}"
        )
        yield "writable", f"no: {read_only} is read-only", decides, ((decides, None),)
        return
    fixed = settings.read_only if mount is None else bool({"ro", "rro"} & {*mount.value["options"]})
    leaf = "rootfs.read_only" if mount is None else leaf
    idmap = mount is not None and bool({"idmap", "ridmap"} & {*mount.value["options"]})
    unmapped = source is not None and only_unmapped_may(source, context, stat.S_IWOTH, idmap=idmap)
    answer = "no" if fixed else "no: its owner is unmapped" if unmapped else "yes, by the rights of its files"
    yield "writable", answer, leaf, _to_write(settings, context, path, leaf) if fixed or unmapped else ()


def _to_write(settings: RootfsSettings, context: Context, path: str, leaf: str) -> Ways:
    """What would have a path writable: a volume of it, or what the leaf that decides it lacks, the map of a volume's owner
    last."""
    own: Ways = ((leaf, None),) if leaf not in ("rootfs.path", "rootfs.sys") else ()
    volume = settings.volumes.named.get(leaf.removeprefix("rootfs.volumes."))
    if volume is not None:
        own = (*own, (leaf, attrs.evolve(volume, rights=volume.rights | {"rw"}, idmap=True, origin=None)))
    return (*_volume(settings, context, path, USUAL_RIGHTS), *own)


def _lacking(settings: RootfsSettings, path: str, mounted: str | None) -> tuple[str, str, str, Ways] | None:
    """The answer for what a container has not of what the kernel shows of itself; None for all else."""
    name = path.split("/")[2] if path.count("/") > 1 else ""
    if settings.sys == "none" and holds("/sys", path) and mounted in (None, "/sys"):
        return "seen", "no: there is no /sys", "rootfs.sys", (("rootfs.sys", None),)
    processes = name.isdecimal() or name in ("", "self", "thread-self")
    if mounted == "/proc" and settings.subset == "pid" and not processes:
        return "seen", "no: /proc shows processes alone", "rootfs.proc.subset", (("rootfs.proc.subset", None),)
    try:
        mode = os.lstat(path).st_mode if mounted == "/dev" and path not in _DEVICES else 0
    except OSError:
        mode = 0
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        leaf = f"rootfs.devices.{path}"
        return "seen", f"no: {path} is not among its devices", leaf, ((leaf, None),)
    return None


def _volume(settings: RootfsSettings, context: Context, path: str, rights: frozenset[str]) -> Ways:
    """The volume that shows what the host has at a path of its own root, with the owners of its files mapped where the
    rights are of no use without."""
    if settings.path.path != "/" or not _there(path) or path == "/" or any(holds(place, path) for place in _KERNEL):
        return ()
    unmapped = only_unmapped_may(path, context, stat.S_IWOTH if "rw" in rights else stat.S_IROTH)
    volumes = (Volume(path, path, rights, idmap=idmap) for idmap in ((True, False) if unmapped else (False,)))
    return tuple((f"rootfs.volumes.{path}", volume) for volume in volumes)


def _there(path: str) -> bool:
    """Whether the host has something at a path, also where the caller may not look."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _masking(settings: RootfsSettings, context: Context, place: str) -> str:
    """The leaf that says that a place is empty: that of the path itself, or of what it is on the host; of a volume that
    leaves it out, the volume."""
    on_host = spec.kept_in_volumes(settings, context).get(place)
    names = aliases.names(real_path(on_host), aliases.mounted()) if on_host is not None else ()
    for name, path in (("masked_paths", place), ("hidden_paths", place), *(("hidden_paths", other) for other in names)):
        member = covering(settings, context.host, name, path)
        if member is not None:
            return f"rootfs.{name}.{member}"
    volume = deepest(settings.sources(), place)
    return f"rootfs.volumes.{volume}" if volume is not None else "rootfs.hidden_paths"
