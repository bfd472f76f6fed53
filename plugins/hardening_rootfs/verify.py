"""Hold the mounts that the kernel reports against the settings (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.kinds import show_size
from hardening.mechanism import Check
from hardening.schema import Members
from hardening.values import frozen
from hardening_rootfs import hidden
from hardening_rootfs.paths import is_below
from hardening_rootfs.settings import RootfsSettings


@frozen
class Mounted:
    """One line of mountinfo: ``top`` is the part of the file system that is mounted, ``options`` are the mount's own,
    ``fields`` its propagation, ``data`` the file system's options."""

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


def parse(lines: Sequence[str]) -> dict[str, Mounted]:
    """The mounts by place; of several at one place, the one on top."""
    mounts: dict[str, Mounted] = {}
    for line in lines:
        head, _, tail = line.partition(" - ")
        first, last = head.split(), tail.split()
        if len(first) < 6 or len(last) < 3:
            continue
        place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), first[4])
        data = dict(option.partition("=")[::2] for option in last[2].split(","))
        mounts[place] = Mounted(place, first[3], frozenset(first[5].split(",")), tuple(first[6:]), last[0], data)
    return mounts


def verify(settings: RootfsSettings, receipt: Mapping[str, Any]) -> Iterable[Check]:
    """One check for the root, one for everything that is writable, and one for each mount that was asked for."""
    mounts = parse(receipt.get("mountinfo", ()))
    root = mounts.get("/")
    if settings.read_only:
        options = ",".join(sorted(root.options)) if root else "no root"
        yield Check("rootfs.read_only", "ro", options, root is not None and not root.writable)
        yield _only_known(settings, mounts)
    if settings.propagation == "private":
        allowed = [volume.target for volume in settings.mounted_volumes() if "private" not in volume.propagation]
        tied = [
            item.place for item in mounts.values()
            if any(field.startswith(("shared:", "master:")) for field in item.fields)
            and not any(item.place == place or is_below(item.place, place) for place in allowed)
            and not _is_null(item) and not is_below(item.place, "/dev")
        ]  # fmt: skip
        yield Check("rootfs.propagation", "private", _list(tied, "private"), not tied)
    yield from _tmpfs(settings, mounts)
    yield from _volumes(settings, mounts)
    yield from _kernel(settings, mounts)
    yield from _paths(settings, mounts)


def _list(places: Sequence[str], otherwise: str) -> str:
    return f"not at {', '.join(places)}" if places else otherwise


def _only_known(settings: RootfsSettings, mounts: Mapping[str, Mounted]) -> Check:
    """Nothing but the tmpfs, the writable volumes and the kernel's own file systems can be written to."""
    volumes = [volume.target for volume in settings.mounted_volumes() if volume.writable]
    known = {*settings.mounted_tmpfs(), "/proc"}
    beyond = [
        item.place for item in mounts.values()
        if item.writable and item.place not in known
        and not (is_below(item.place, "/dev") or (item.kind == "proc" and is_below(item.place, "/proc")))
        and not any(item.place == place or is_below(item.place, place) for place in volumes)
        and not _is_null(item)
    ]  # fmt: skip
    return Check("rootfs.read_only", "nothing else is writable", _list(beyond, "nothing else is writable"), not beyond)


def _is_null(item: Mounted) -> bool:
    """Whether this is the null device over a path: a mask, which takes what is written and keeps nothing."""
    return item.kind in ("devtmpfs", "tmpfs") and item.top.endswith("/null")


def _tmpfs(settings: RootfsSettings, mounts: Mapping[str, Mounted]) -> Iterator[Check]:
    for place, value in settings.mounted_tmpfs().items():
        item = mounts.get(place)
        wanted = {f"no{right}" for right in ("suid", "dev", "exec") if not getattr(value, right)}
        expected = ",".join(["tmpfs", *sorted(wanted), f"size={show_size(value.size)}"])
        if item is None:
            yield Check(f"rootfs.tmpfs.{place}", expected, "no mount", False)
            continue
        size = _kibibytes(item.data.get("size", ""))
        kernel = ",".join([item.kind, *sorted(wanted & item.options), f"size={show_size(size * 1024)}"])
        # The kernel counts in pages.
        holds = item.kind == "tmpfs" and wanted <= item.options and 0 < size * 1024 <= value.size + 65535
        yield Check(f"rootfs.tmpfs.{place}", expected, kernel, holds)


def _kibibytes(text: str) -> int:
    return int(text[:-1]) if text.endswith("k") and text[:-1].isdigit() else 0


def _volumes(settings: RootfsSettings, mounts: Mapping[str, Mounted]) -> Iterator[Check]:
    for volume in settings.mounted_volumes():
        leaf, item = f"rootfs.volumes.{volume.target}", mounts.get(volume.target)
        wanted = {f"no{right}" for right in ("suid", "dev", "exec") if not getattr(volume, right)}
        wanted |= set() if volume.writable else {"ro"}
        expected = ",".join(sorted(wanted)) or "mounted"
        if item is None:
            yield Check(leaf, expected, "no mount", False)
            continue
        below = [
            other for other in mounts.values()
            if volume.recursive and is_below(other.place, volume.target) and other.place not in settings.volumes.named
        ]  # fmt: skip
        loose = [other.place for other in (item, *below) if not wanted <= other.options]
        yield Check(leaf, expected, ",".join(sorted(wanted & item.options)) or "mounted", not loose)


def _kernel(settings: RootfsSettings, mounts: Mapping[str, Mounted]) -> Iterator[Check]:
    proc = mounts.get("/proc")
    data = proc.data if proc else {}
    if settings.hidepid != "off":
        shown = data.get("hidepid", "off")
        words = {"1": "noaccess", "2": "invisible"}
        yield Check("rootfs.proc.hidepid", settings.hidepid, shown, words.get(shown, shown) == settings.hidepid)
    if settings.subset:
        yield Check("rootfs.proc.subset", "pid", data.get("subset", "everything"), data.get("subset") == "pid")
    trees = [item for item in mounts.values() if item.place == "/sys" or is_below(item.place, "/sys")]
    if settings.sys == "none":
        yield Check("rootfs.sys", "none", _list([item.place for item in trees], "none"), not trees)
    else:
        loose = [item.place for item in trees if item.writable and not _is_null(item)]
        yield Check("rootfs.sys", "read-only", _list(loose, "read-only"), bool(trees) and not loose)


def _cover(path: str, mounts: Mapping[str, Mounted]) -> Mounted | None:
    """The mount that a path is seen through."""
    places = [place for place in mounts if place == path or is_below(path, place)]
    return mounts[max(places, key=len)] if places else None


def _paths(settings: RootfsSettings, mounts: Mapping[str, Mounted]) -> Iterator[Check]:
    """Masked and read-only paths of the kernel that this host has, and what the host's own root must not show."""
    gone = [*(["/proc"] if settings.subset else []), *(["/sys"] if settings.sys == "none" else [])]
    for name in ("masked_paths", "read_only_paths"):
        members: Members[bool] = getattr(settings, name)
        paths = [
            path for path in members.having(True)
            if path.startswith(("/proc/", "/sys/")) and os.path.lexists(path)
            and not any(is_below(path, other) for other in gone)
        ]  # fmt: skip
        covers = {path: _cover(path, mounts) for path in paths}
        if name == "masked_paths":
            bad = [path for path, cover in covers.items() if cover is None or not _masks(cover, path)]
        else:
            bad = [path for path, cover in covers.items() if cover is None or cover.writable]
        word = name.removesuffix("_paths").replace("_", "-")
        yield Check(f"rootfs.{name}", word, _list(bad, word), not bad)
    if settings.path.is_host:
        own = {"/", *settings.mounted_tmpfs(), *(volume.target for volume in settings.mounted_volumes())}
        secrets = [(path, _cover(path, mounts)) for path in hidden.expand(settings.hidden_paths.having(True), ())]
        shown = [path for path, cover in secrets if cover is not None and cover.place not in {*own, path}]
        yield Check("rootfs.hidden_paths", "hidden", _list(shown, "hidden"), not shown)


def _masks(cover: Mounted, path: str) -> bool:
    return cover.place == path or (cover.kind == "tmpfs" and not cover.writable)
