"""Hold what the kernel reports of the mounts, and what is visible at paths, against the settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.base.files import is_below
from hardening.base.values import frozen
from hardening.launch.config.model import DEFAULT_DEVICES
from hardening.mechanism.fragment import Directory, Spec, Symlink
from hardening.mechanism.mechanism import Context, State, Verification
from hardening.mechanism.roles import RIGHTS
from hardening_rootfs import mounts
from hardening_rootfs import spec as composed
from hardening_rootfs.mounted import (
    PEERS,
    MountedTree,
    MountLocation,
    WantedMounts,
    cover,
    looser,
    on_host,
    read,
)
from hardening_rootfs.paths import deepest, holds
from hardening_rootfs.settings import RootfsSettings

_HIDDEN = ("absent", "null", "empty")
#: Leaves that are seen in the list of all mounts.
_MOUNTS = ("rootfs.volumes.*", "rootfs.tmpfs.*", "rootfs.devices.*")
_SHM, _CONSOLE, _TERMINALS = "/dev/shm", "/dev/console", "/dev/pts"  # noqa: S108


@frozen(eq=False)
class SeenRoot:
    """What a receipt has of the root, and what was composed. ``paths`` says what is visible at each path that was looked at,
    ``devices`` what is in the places of default devices, ``nodes`` each device that is no mount, ``tree`` what the root's
    own mount holds; each is None where it could not be entered. ``reached`` are the mounts that nothing covers, ``others``
    the places that other mechanisms fill, and answer for."""

    settings: RootfsSettings
    spec: Spec
    document: Mapping[str, Any]
    mounts: Sequence[MountedTree]
    reached: Sequence[MountedTree]
    caller: Sequence[MountedTree]
    paths: Mapping[str, str] | None
    devices: Mapping[str, str] | None
    nodes: Mapping[str, str] | None
    tree: Mapping[str, str] | None
    others: frozenset[str]

    @classmethod
    def of(
        cls, settings: RootfsSettings, spec: Spec, receipt: Mapping[str, Any], others: Iterable[str] = ()
    ) -> SeenRoot:
        """From a receipt."""
        observed = receipt["observed"]
        return cls(
            settings,
            spec,
            spec.document,
            read(receipt["mountinfo"]),
            read(receipt["mountinfo"], seen=True),
            read(receipt["caller_mountinfo"], seen=True),
            observed.get("paths"),
            observed.get("devices"),
            observed.get("nodes"),
            observed.get("tree"),
            frozenset(others),
        )

    @property
    def wanted(self) -> dict[str, WantedMounts]:
        """The composed mounts by place."""
        entries = enumerate(self.document.get("mounts") or ())
        found = [WantedMounts(entry, self.spec.leaves.get(f"/mounts/{index}", ())) for index, entry in entries]
        return {item.place: item for item in found}

    def listed(self, key: str) -> list[str]:
        """``maskedPaths`` or ``readonlyPaths``."""
        return list(self.document.get("linux", {}).get(key) or ())

    def cover(self, path: str) -> MountedTree | None:
        """The mount that a path is seen through."""
        return cover(path, self.mounts)


def verify(settings: RootfsSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
    """The root, each mount that was composed, that there is no other, and what is hidden, masked and read-only."""
    if context.spec is None:
        return
    seen = SeenRoot.of(settings, context.spec, receipt, (point.path for point in context.mount_points))
    yield _root(seen)
    yield from _each(seen)
    yield _no_other(seen)
    yield _no_other_device(seen)
    yield from _writable(seen)
    yield from _kernel(seen)
    yield from _hidden(seen, context)
    yield from _read_only_paths(seen)


def _list(found: Sequence[str], otherwise: str) -> str:
    return f"not {', '.join(found[:4])}{' and others' if len(found) > 4 else ''}" if found else otherwise


def _root(seen: SeenRoot) -> Verification:
    """The root is the directory that was named, or one that was made of its entries, with nothing else in it."""
    path, item = seen.settings.path.path, cover("/", seen.mounts)
    if item is None:
        return Verification.of("rootfs.path", path, "no root", False)
    if seen.document["root"]["path"] != "rootfs":
        holds = on_host(path, seen.caller) == MountLocation(item.device, item.top)
        return Verification.of("rootfs.path", path, f"{item.top} of {item.device}", holds)
    expected = f"{path}, entry by entry"
    if seen.tree is None:
        return Verification.unseen("rootfs.path", expected, "its entries could not be looked at")
    made = {
        name.removeprefix("rootfs"): content for name, content in seen.spec.files.items() if name.startswith("rootfs")
    }
    beyond = [place for place, entry in sorted(seen.tree.items()) if not _is_made(entry, made.get(place))]
    lacking = [
        wanted.place for wanted in seen.wanted.values()
        if "rootfs.path" in wanted.leaves and not any(item.place == wanted.place for item in seen.mounts)
    ]  # fmt: skip
    differing = [f"{place} is not a part of it" for place in beyond] + [f"{place} is missing" for place in lacking]
    return Verification.of("rootfs.path", expected, ", ".join(differing[:4]) or expected, not differing)


def _is_made(entry: str, content: object) -> bool:
    if entry == "mount":
        return True  # which is looked at as one
    if isinstance(content, Directory):
        return entry == "directory"
    if isinstance(content, Symlink):
        return entry == f"link {content.target}"
    return content == b"" and entry == "file 0"


def _each(seen: SeenRoot) -> Iterator[Verification]:
    """Each composed mount: what it shows, and what it permits. Those that make up the root share one line."""
    parts: list[str] = []
    for wanted in seen.wanted.values():
        if wanted.place in seen.others:
            continue
        of_root = "rootfs.path" in wanted.leaves
        item = _at(seen, wanted.place)
        problems = ["no mount"] if item is None else list(_looser(seen, wanted, item))
        if of_root:
            parts += [f"{wanted.place}: {problem}" for problem in problems]
        elif wanted.leaves or problems:
            leaf, *also = wanted.leaves or ("rootfs.volumes.*",)
            kernel = (
                f"{item.show() if item else ''} ({', '.join(problems)})" if problems else item.show() if item else ""
            )
            yield Verification.of(leaf, wanted.show(), kernel.strip(), not problems, *also)
    if seen.document["root"]["path"] == "rootfs":
        yield Verification.of(
            "rootfs.path", "its entries, restricted", _list(parts, "its entries, restricted"), not parts
        )


def _at(seen: SeenRoot, place: str) -> MountedTree | None:
    """The mount on top at a place, below the mask that was composed over it: `_hidden` looks at that."""
    found = [item for item in seen.mounts if item.place == place]
    if found and place in seen.listed("maskedPaths") and _is_mask(seen, found[-1]):
        found.pop()
    return found[-1] if found else None


def _looser(seen: SeenRoot, wanted: WantedMounts, item: MountedTree) -> Iterator[str]:
    namespaces = seen.document.get("linux", {}).get("namespaces") or ()
    made = {entry["type"] for entry in namespaces if not entry.get("path")}
    return looser(wanted, item, seen.caller, seen.settings.propagation, made)


def _no_other(seen: SeenRoot) -> Verification:
    """Every mount is one that was composed, or belongs to one."""
    wanted = seen.wanted
    if seen.devices is None or seen.paths is None:
        return Verification.unseen(_MOUNTS[0], "no other mount", "the root could not be entered", *_MOUNTS[1:])
    masked, read_only = set(seen.listed("maskedPaths")), set(seen.listed("readonlyPaths"))
    beyond = [
        item.place for item in seen.mounts
        if not (item.place in wanted and not list(_looser(seen, wanted[item.place], item)))
        and not (item.place in masked and _is_mask(seen, item))
        and not (item.place in read_only and _is_itself(seen, item) and not item.writable)
        and not _belongs(seen, wanted, item)
    ]  # fmt: skip
    return Verification.of(
        _MOUNTS[0],
        "no other mount",
        f"also {', '.join(beyond[:4])}" if beyond else "no other mount",
        not beyond,
        *_MOUNTS[1:],
    )


def _no_other_device(seen: SeenRoot) -> Verification:
    """Every device that is no mount is a default one or was composed, in its place and with its numbers."""
    leaf, expected = _MOUNTS[2], "no other device"
    if seen.nodes is None:
        return Verification.unseen(leaf, expected, "the root could not be looked through")
    root = cover("/", seen.mounts)
    if seen.document["root"]["path"] != "rootfs" and (root is None or "nodev" not in root.options):
        return Verification.unseen(
            leaf, expected, "device nodes in the root's own file system are not looked for, and work"
        )
    composed = seen.document.get("linux", {}).get("devices") or ()
    wanted = {path: f"c {major}:{minor}" for path, (major, minor) in DEFAULT_DEVICES.items()}
    wanted |= {item["path"]: f"{item['type']} {item.get('major', 0)}:{item.get('minor', 0)}" for item in composed}
    beyond = [f"{path} ({node})" for path, node in sorted(seen.nodes.items()) if node != wanted.get(path)]
    return Verification.of(leaf, expected, f"also {', '.join(beyond[:4])}" if beyond else expected, not beyond)


def _belongs(seen: SeenRoot, wanted: Mapping[str, WantedMounts], item: MountedTree) -> bool:
    """Whether a mount is the root, a default device, what another mechanism has mounted in a place of its own, or what the
    host has mounted below a part that is shown with all below it."""
    if item.place in seen.others:
        return all(map(item.takes, wanted[item.place].restrictions))
    if item.place == "/" or _is_default_device(seen, item) or _is_console(seen, item):
        return True
    if _is_echo(seen, item):
        return True
    outer = sorted((place for place in wanted if is_below(item.place, place)), key=len, reverse=True)
    # What another mount covers is mounted in one further out than that.
    return any(_is_part(seen, wanted[place], item) for place in (outer[:1] if item in seen.reached else outer))


def _is_part(seen: SeenRoot, part: WantedMounts, item: MountedTree) -> bool:
    """Whether a mount comes with the composed one above it."""
    if part.entry.get("type") == "cgroup":
        return item.kind in ("cgroup", "cgroup2") and not item.writable
    if not (part.is_bind and part.recursive):
        return False
    source = os.path.join(str(part.entry["source"]), os.path.relpath(item.place, part.place))
    shown = WantedMounts({**part.entry, "source": source}, part.leaves)
    return any(host.place == source for host in seen.caller) and not list(_looser(seen, shown, item))


def _is_console(seen: SeenRoot, item: MountedTree) -> bool:
    """Whether a mount is a terminal of the container's own."""
    terminals = seen.cover(_TERMINALS)
    has = bool(seen.document.get("process", {}).get("terminal"))
    return has and item.place == _CONSOLE and item.kind == "devpts" and item.device == getattr(terminals, "device", "")


def _is_default_device(seen: SeenRoot, item: MountedTree) -> bool:
    """Whether a mount is a device that every runtime mounts by itself where it cannot make it (runtime-spec,
    config-linux.md, Default Devices): what stands in its place tells, not what it is called elsewhere."""
    numbers = DEFAULT_DEVICES.get(item.place)
    return numbers is not None and (seen.devices or {}).get(item.place) == "{}:{}".format(*numbers)


def _is_itself(seen: SeenRoot, item: MountedTree) -> bool:
    """Whether a mount shows what would be seen without it."""
    below = cover(item.place, (other for other in seen.mounts if other.place != item.place))
    if below is None:
        return False
    return item.device == below.device and item.top == os.path.normpath(
        os.path.join(below.top, os.path.relpath(item.place, below.place))
    )


def _is_echo(seen: SeenRoot, item: MountedTree) -> bool:
    """Whether a mount is a part of this very root, seen where the root lies on the host: runc mounts a root in place, and
    after that what it lies below."""
    root = cover("/", seen.mounts)
    for host in seen.caller:
        if root is not None and root.device == host.device and holds(host.top, root.top):
            place = os.path.normpath(os.path.join(host.place, os.path.relpath(root.top, host.top)))
            if holds(place, item.place):
                inside = os.path.normpath(f"/{os.path.relpath(item.place, place)}")
                same = [other for other in seen.mounts if other.place == inside and other.is_same(item)]
                return any(all(item.takes(name) for name in RIGHTS.values() if other.takes(name)) for other in same)
    return False


def _is_of_runtime(seen: SeenRoot, item: MountedTree) -> bool:
    """Whether a mount is one that runtimes make as they like, and that keeps nothing."""
    return _is_default_device(seen, item) or _is_mask(seen, item)


def _is_mask(seen: SeenRoot, item: MountedTree) -> bool:
    """Whether a mount shows nothing: the null device, or a directory with nothing in it."""
    word = (seen.paths or {}).get(item.place)
    return word == "null" or (word == "empty" and item.kind == "tmpfs" and item.top == "/" and not item.writable)


def _writable(seen: SeenRoot) -> Iterator[Verification]:
    """The root is read-only, and what is writable was composed so."""
    item = cover("/", seen.mounts)
    if not seen.settings.read_only:
        return
    options = ",".join(sorted(item.options)) if item else "no root"
    yield Verification.of("rootfs.read_only", "ro", options, item is not None and not item.writable)
    wanted = seen.wanted
    beyond = [
        found.place for found in seen.mounts
        if found.writable and not _is_of_runtime(seen, found) and not _is_console(seen, found)
        and not any(
            "ro" not in part.restrictions and (found.place == place or (part.recursive and is_below(found.place, place)))
            for place, part in wanted.items()
        )
    ]  # fmt: skip
    expected = "nothing else is writable"
    yield Verification.of("rootfs.read_only", expected, _list(beyond, expected), not beyond)


def _kernel(seen: SeenRoot) -> Iterator[Verification]:
    """What the kernel's own file systems show, and the ties of all mounts."""
    yield from _proc(seen)
    trees = [item.place for item in seen.mounts if item.place == "/sys" or is_below(item.place, "/sys")]
    if seen.settings.sys == "none":
        yield Verification.of("rootfs.sys", "none", ", ".join(trees) or "none", not trees)
    if not seen.settings.shm_size:
        found = any(item.place == _SHM for item in seen.mounts)
        yield Verification.of("rootfs.shm_size", "none", "mounted" if found else "none", not found)
    kept = PEERS[seen.settings.propagation]
    allowed = [volume.target for volume in seen.settings.mounted_volumes() if "private" not in volume.propagation]
    tied = [
        item.place for item in seen.mounts
        if kept and any(field.startswith(kept) for field in item.fields)
        and not any(holds(place, item.place) for place in allowed)
        and not _is_of_runtime(seen, item)
    ]  # fmt: skip
    expected = seen.settings.propagation
    yield Verification.of("rootfs.propagation", expected, _list(tied, expected), not tied)


def _proc(seen: SeenRoot) -> Iterator[Verification]:
    """The options of /proc as they were said, whether or not this host can have them."""
    item = seen.cover("/proc")
    data = item.data if item is not None and item.place == "/proc" and item.kind == "proc" else {}
    hidden = mounts.hidepid(data.get("hidepid", "")) or "off"
    strict = mounts.HIDEPID.index(hidden) <= mounts.HIDEPID.index(seen.settings.hidepid)
    yield Verification.of("rootfs.proc.hidepid", seen.settings.hidepid, hidden, strict)
    subset = data.get("subset", "")
    strict = subset == seen.settings.subset or not seen.settings.subset
    yield Verification.of("rootfs.proc.subset", seen.settings.subset or "everything", subset or "everything", strict)


def _visible(seen: SeenRoot, path: str) -> State:
    """Whether a path that is to show nothing shows nothing: by what was seen there, else by what covers it."""
    item = seen.cover(path)
    word = seen.paths.get(path) if seen.paths is not None else None
    if word in _HIDDEN:
        return State.HOLDS
    if word == "shown" or item is None:
        return State.DIFFERS
    if item.place == "/" and seen.tree is not None:
        entry = seen.tree.get(path, "file 0")
        below = [kind for place, kind in seen.tree.items() if is_below(place, path)]
        return State.HOLDS if not {entry, *below} - {"file 0", "directory", "mount"} else State.DIFFERS
    wanted = seen.wanted.get(item.place)
    if (
        wanted is not None
        and item.place != path
        and not wanted.is_bind
        and item.kind != "proc"
        and item.kind != "sysfs"
    ):
        return State.HOLDS  # below a file system of the container's own, which is empty
    if item.kind == "proc" and "subset" in item.data:
        return State.HOLDS
    return State.NOT_SEEN if word == "unreadable" else State.DIFFERS


def _hidden(seen: SeenRoot, context: Context) -> Iterator[Verification]:
    """What is masked in the kernel's file systems, and what of the host is hidden."""
    secrets = composed.shown_secrets(seen.settings, context)
    targets = list(seen.wanted)
    own = {path for path in secrets if path not in targets}
    masked = composed.expand(seen.settings.path.path, seen.settings.masked_paths, seen.settings.sources())
    yield _nothing_at(
        seen,
        "rootfs.masked_paths.*",
        "masked",
        (path for path in masked if _is_there(seen, path) or (seen.paths or {}).get(path) == "shown"),
    )
    yield _nothing_at(seen, "rootfs.hidden_paths.*", "hidden", {*own, *(set(seen.listed("maskedPaths")) - masked)})


def _is_there(seen: SeenRoot, path: str) -> bool:
    """Whether there is something to be masked in a root like the composed one: in the kernel's own file systems of this
    host, as far as they are shown, in a volume, or in the root."""
    if path.startswith(("/proc/", "/sys/")):
        return os.path.lexists(path)
    shown = seen.settings.sources()
    place = deepest(shown, path)
    if place is not None:
        return os.path.lexists(os.path.normpath(shown[place] + path.removeprefix(place)))
    return os.path.lexists(os.path.join(seen.settings.path.path, path.lstrip("/")))


def _nothing_at(seen: SeenRoot, leaf: str, word: str, paths: Iterable[str]) -> Verification:
    states = {path: _visible(seen, path) for path in sorted(paths)}
    shown = [path for path, state in states.items() if state is State.DIFFERS]
    unseen = [path for path, state in states.items() if state is State.NOT_SEEN]
    if unseen and not shown:
        return Verification.unseen(leaf, word, f"could not look at {', '.join(unseen[:4])}")
    return Verification.of(leaf, word, _list(shown, word), not shown)


def _read_only_paths(seen: SeenRoot) -> Iterator[Verification]:
    """Paths of the kernel that this host has cannot be written to."""
    loose = []
    for path in composed.expand(seen.settings.path.path, seen.settings.read_only_paths, seen.settings.sources()):
        item = seen.cover(path)
        absent = seen.paths is not None and seen.paths.get(path) == "absent"
        gone = item is not None and item.kind == "proc" and "subset" in item.data
        if _is_there(seen, path) and not absent and not gone and (item is None or item.writable):
            loose.append(path)
    yield Verification.of("rootfs.read_only_paths.*", "read-only", _list(sorted(loose), "read-only"), not loose)
