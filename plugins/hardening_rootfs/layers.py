"""The layers of an overlay, by the names that were said when it was mounted (Documentation/filesystems/overlayfs.rst).

The kernel keeps those names, and not what they led to. One that somebody else could have led elsewhere since, that is not
there, or that does not explain what the overlay shows, may have been any directory. Nor need what is seen have the name in
the overlay that it has in a layer, where directories can be renamed without being copied (redirect_dir).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from hardening.base import trusted
from hardening.base.files import is_below
from hardening.base.linux import mountinfo
from hardening_rootfs.paths import above, real_path

M = TypeVar("M")
_REDIRECTS = "/sys/module/overlay/parameters/redirect_dir"


class Layers:
    """What is known of the layers of some overlays, of ``mounts``: many share theirs."""

    def __init__(self, mounts: Sequence[mountinfo.MountInfo]) -> None:
        self._mounts = mounts
        self._by_place = {mount.place: mount for mount in mounts}
        self._own = {mount.device for mount in mounts if mount.place == "/"}
        self._resolved = cache(_resolved)
        self._real = cache(real_path)
        self._listed = cache(_listed)
        self._by_default = _read(_REDIRECTS) if any(mount.kind == "overlay" for mount in mounts) else ""

    def of(self, mount: mountinfo.MountInfo) -> tuple[tuple[str, ...], str]:
        """The directories that an overlay is made of, and the first name of one that may be any directory. What a relative
        name was relative to, the working directory of whoever mounted it, nobody tells. What has it above a mount of the
        overlay, as in bundles and in podman's storage, or above the layers that have a whole name, as in containerd's, may
        well be it."""
        if mount.kind != "overlay":
            return (), ""
        told = said(mount)
        whole = [path for path in told if path.startswith("/")]
        relative = [path for path in told if not path.startswith("/")]
        places = [other.place for other in self._mounts if other.device == mount.device]
        above = {str(top) for path in (*places, *whole) for top in Path(path).parents} if relative else set()
        maybe = [place for path in relative for top in above if os.path.isdir(place := os.path.join(top, path))]
        unknown = [*relative, *(path for path in whole if self._is_lost(path, mount))]
        if not unknown and whole and not self._explain(mount, whole):
            unknown = whole[:1]
        return tuple(map(self._real, (*whole, *maybe))), next(iter(unknown), "")

    def _is_lost(self, path: str, mount: mountinfo.MountInfo) -> bool:
        """Whether a name may have led elsewhere, or leads into the overlay itself. Those of the root count as they are:
        it may be that of a container, whose layers lie outside."""
        if mount.device in self._own:
            return False
        real = self._resolved(path)
        through = over(real, self._by_place) if real is not None else None
        return real is None or (through is not None and through.device == mount.device)

    def renames(self, mount: mountinfo.MountInfo) -> bool:
        """Whether a directory of a layer may have another name in an overlay, or a file its data from another place. What
        is as the module has it by default is not among the options."""
        if mount.kind != "overlay" or mount.device in self._own:
            return False
        options = dict(option.partition("=")[::2] for option in mount.data)
        said = options.get("redirect_dir") or ("on" if self._by_default == "Y" else "")
        apart = "datadir+" in options or "::" in options.get("lowerdir", "")
        return said == "on" or options.get("metacopy") == "on" or apart

    def _explain(self, mount: mountinfo.MountInfo, layers: Iterable[str]) -> bool:
        """Whether all that is seen at the top of an overlay is in one of its layers: another directory may have had the
        place of one, which was mounted there, or moved away."""
        if mount.device in self._own or over(mount.place, self._by_place) is not mount:
            return True
        places = (os.path.join(layer, mount.top.lstrip("/")) for layer in layers)
        return self._listed(mount.place) <= frozenset().union(*map(self._listed, places))


def said(mount: mountinfo.MountInfo) -> list[str]:
    """The names of an overlay's layers as they were said. What is escaped in one, and in which options, has changed from one
    version of the kernel to another: a name with a backslash stands as it is, and is not there."""
    found: list[str] = []
    for option in mount.data:  # a comma of a name is written as the mount point's blanks are
        key, _, text = option.partition("=")
        value = mountinfo.plain(text)
        if key == "lowerdir" and "\\" not in value:
            found += value.split(":")
        elif key in ("lowerdir", "upperdir", "lowerdir+", "datadir+"):
            found.append(value)
    return [path for path in found if path]


def looked_at(places: Iterable[str]) -> Iterator[str]:
    """The overlays that names are asked of, and their layers by whole names; not those of the root, and below ``places``."""
    places = ("/run", *places)
    for mount in mountinfo.read():
        if mount.kind == "overlay" and mount.place != "/" and not any(is_below(mount.place, top) for top in places):
            yield mount.place
            yield from (path for path in said(mount) if path.startswith("/"))


def _resolved(path: str) -> str | None:
    """Where a name of a layer leads; None where it may have led elsewhere before: what root and the caller alone can change
    counts as it leads now."""
    if "\\" in path:
        return None
    try:
        trusted.require_secure_path(path)
        real = os.path.realpath(path, strict=True)
    except OSError:
        return None
    return real if os.path.isdir(real) else None


def over(path: str, by_place: Mapping[str, M]) -> M | None:
    """The mount that a path without links is seen through; of several at one place ``by_place`` has the last."""
    return next((by_place[top] for top in (path, *above(path)) if top in by_place), None)


def _listed(path: str) -> frozenset[str]:
    """The names in a directory; none where the caller cannot see them."""
    try:
        return frozenset(os.listdir(path))
    except OSError:
        return frozenset()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
