"""The rights in a foreign mount's options, and how they are cut down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import attrs

from hardening.base import units
from hardening.base.values import frozen
from hardening.launch.config.config_mounts import ACCESS_TIMES, ATTRIBUTES, COPIES, FILE_SYSTEMS, OPPOSITES, is_bind
from hardening.launch.config.config_mounts import PROPAGATION as LAUNCHED
from hardening.mechanism.mechanism import Violation
from hardening.mechanism.roles import RIGHTS, Volume, restrictions
from hardening_rootfs import mounts
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.tmpfs import Tmpfs
from hardening_rootfs.volumes import PROPAGATION

_TIED = (*PROPAGATION, "unbindable", "runbindable")
_EMPTY = 4096  # bytes of a tmpfs that only stands for a directory
#: type of file system -> the one place where it is mounted
PLACES: Mapping[str, str] = {
    "proc": "/proc",
    "sysfs": "/sys",
    "cgroup": "/sys/fs/cgroup",
    "cgroup2": "/sys/fs/cgroup",
    "devpts": "/dev/pts",
    "mqueue": "/dev/mqueue",
    "tmpfs": "/dev",
}
_WORDS = frozenset({*ATTRIBUTES, *OPPOSITES, *ACCESS_TIMES, *LAUNCHED, "bind", "rbind", "defaults", ""})
_IDMAPS = ("idmap", "ridmap")
Tightened = tuple[mounts.Mount | None, str, list[Violation]]


@frozen
class RequestedRights:
    """One entry of a foreign ``/mounts`` and where it stands."""

    pointer: str
    entry: Mapping[str, Any]

    @property
    def options(self) -> tuple[str, ...]:
        """Its options."""
        return tuple(map(str, self.entry.get("options") or ()))

    @property
    def destination(self) -> str:
        """Where it is mounted, normalised."""
        return "/" + os.path.normpath("/" + str(self.entry.get("destination", "/"))).lstrip("/")

    @property
    def source(self) -> str:
        """What is mounted."""
        path = os.path.normpath(str(self.entry.get("source") or "/"))
        return "/" + path.lstrip("/") if path.startswith("/") else path

    @property
    def kind(self) -> str:
        """``bind``, or the type of a file system."""
        kind = self.entry.get("type")
        return "bind" if is_bind(kind, self.options) else str(kind or "none")

    @property
    def size(self) -> int:
        """The size of a tmpfs in bytes; 0 where there is no bound that we can read."""
        found = 0
        for option in self.options:
            with suppress(ValueError):
                found = units.kernel_size(option.removeprefix("size=")) if option.startswith("size=") else found
        return found

    @property
    def rights(self) -> frozenset[str]:
        """What the options permit; the last word on each right counts, of those on the mount alone and of those on what
        lies below, too."""
        pairs = [(f"{below}{right}", f"{below}{without}") for right, without in RIGHTS.items() for below in ("", "r")]
        last = [next((option for option in reversed(self.options) if option in pair), "") for pair in pairs]
        return frozenset(right for right, without in RIGHTS.items() if not {without, f"r{without}"} & {*last})

    def showing(self, source: str) -> RequestedRights:
        """The same mount of another source."""
        return attrs.evolve(self, entry={**self.entry, "source": source})

    def at(self, place: str) -> RequestedRights:
        """The same mount at another place."""
        return attrs.evolve(self, entry={**self.entry, "destination": place})

    def with_known_options(self) -> tuple[RequestedRights, list[Violation]]:
        """The same mount without options that no launcher answers for, and what these were. A kernel reads them for itself:
        of version 1 of control groups one names a program that the host runs."""
        kind, known, unknown = self.kind, list[str](), list[str]()
        for option in self.options:
            (known if _is_known(kind, option) else unknown).append(option)
        leaf = f"rootfs.volumes.{self.destination}"
        violations = [
            Violation(f"{self.pointer}/options", f"{option} at {self.destination}", "none: no mechanism owns it", leaf)
            for option in unknown
        ]
        return (attrs.evolve(self, entry={**self.entry, "options": known}) if unknown else self), violations

    def violation(self, allowed: str, leaf: str) -> Violation:
        """This mount as one that was asked for beyond the settings."""
        what = self.source if self.kind == "bind" else self.kind
        return Violation(self.pointer, f"{what} at {self.destination} ({','.join(self.options)})", allowed, leaf)

    def cut(self, allowed: Iterable[str], *, drop: Iterable[str] = (), add: Iterable[str] = ()) -> list[str]:
        """The options with no rights but the ``allowed`` ones, without those of the names ``drop``, then ``add``.

        A bind of a whole tree loses the rights in all of it."""
        below = "r" if "rbind" in self.options else ""
        words = {f"{depth}{word}" for pair in RIGHTS.items() for word in pair for depth in ("", "r")}
        words.add("remount")  # it would change a mount that was judged before
        options = [o for o in self.options if o not in words and o.partition("=")[0] not in set(drop)]
        return [*options, *restrictions(self.rights & set(allowed), below), *add]


def _is_known(kind: str, option: str) -> bool:
    name, equals, _ = option.partition("=")
    if option in _WORDS or name in _IDMAPS or option.removeprefix("r") in _WORDS:
        return True
    return name + equals in (*FILE_SYSTEMS.get(kind, ()), *((COPIES,) if kind == "tmpfs" else ()))


def tighten_tmpfs(asked: RequestedRights, allowed: Tmpfs | None, leaf: str) -> Tightened:
    """A tmpfs within what is allowed there; one that is not allowed stays as an empty directory."""
    filled = {COPIES, "remount"} & set(asked.options)
    if allowed is None and not asked.rights and 0 < asked.size <= _EMPTY and not filled:
        return _rebuilt(asked, list(asked.options)), leaf, []
    if allowed is None:
        options = asked.cut((), drop=("size", "nr_inodes", "nr_blocks", COPIES), add=["size=4k"])
        return _rebuilt(asked, options), leaf, [asked.violation("an empty read-only directory", leaf)]
    rights = {"rw", *allowed.rights}
    size = min(asked.size or allowed.size, allowed.size)
    mode = _mode(asked) & allowed.mode | allowed.mode & 0o1000
    bounds = [f"mode={mode:o}", f"size={size}", f"nr_inodes={allowed.inodes}"]
    options = asked.cut(rights, drop=("size", "nr_inodes", "nr_blocks", "mode", *_TIED), add=["rprivate", *bounds])
    beyond = not asked.rights <= rights or not 0 < asked.size <= allowed.size
    described = ",".join([*restrictions(rights), f"size={size}"])
    return _rebuilt(asked, options), leaf, [asked.violation(described, leaf)] if beyond else []


def _mode(asked: RequestedRights) -> int:
    modes = [option[5:] for option in asked.options if re.fullmatch(r"mode=[0-7]{3,5}", option)]
    return int(modes[-1], 8) if modes else 0o1777


def tighten_bind(asked: RequestedRights, volume: Volume, leaf: str) -> Tightened:
    """A bind mount within a volume of the settings."""
    tie = volume.propagation
    said = [option for option in asked.options if option in _TIED]
    wide = [o for o in said if o in PROPAGATION and PROPAGATION.index(o) > PROPAGATION.index(tie)]
    words = [o for o in asked.options if o.partition("=")[0] in _IDMAPS]
    maps = {key for key in ("uidMappings", "gidMappings") if asked.entry.get(key)}
    # Without maps of its own a mount is mapped as the container is, which is what the word says in a profile.
    idmap = ["ridmap" if "rbind" in asked.options else "idmap"] if volume.idmap and (words or maps) else []
    options = asked.cut(volume.rights, drop=[*_TIED, *_IDMAPS], add=[*idmap, tie if wide or not said else said[-1]])
    mount = _rebuilt(asked, options)
    allowed = ",".join(restrictions(volume.rights)) or "as in the profile"
    unmapped = bool(words or maps) and not volume.idmap
    beyond = not asked.rights <= volume.rights or bool(wide) or unmapped or bool(maps) or not set(words) <= {*_IDMAPS}
    return mount, leaf, [asked.violation(allowed, leaf)] if beyond else []


def tighten_kernel(settings: RootfsSettings, asked: RequestedRights) -> Tightened:
    """One of the kernel's own file systems, at the place where each container has it; no other, and nowhere else."""
    kind, place = asked.kind, asked.destination
    if PLACES.get(kind) != place:
        leaf = f"rootfs.volumes.{place}"
        return None, "", [asked.violation("none", leaf)]
    if kind == "proc":
        return _proc(settings, asked)
    if kind == "tmpfs":
        return _rebuilt(asked, list(mounts.DEV_OPTIONS)), "rootfs.read_only", []
    if kind in ("devpts", "mqueue"):
        rights = {"rw", "dev"} if kind == "devpts" else {"rw"}
        return _rebuilt(asked, asked.cut(rights)), "rootfs.read_only", []
    beyond = "rw" in asked.rights
    return (
        _rebuilt(asked, asked.cut(())),
        "rootfs.sys",
        [asked.violation(",".join(restrictions(())), "rootfs.sys")] if beyond else [],
    )


def _proc(settings: RootfsSettings, asked: RequestedRights) -> Tightened:
    # A group that is named there sees all processes.
    options = asked.cut({"rw"}, drop=("hidepid", "subset", "gid"))
    said = [option.partition("=")[2] for option in asked.options if option.startswith("hidepid=")]
    levels = filter(None, [*map(mounts.hidepid, said[-1:]), settings.hidepid])
    level = min(levels, key=mounts.HIDEPID.index)
    options += [f"hidepid={level}"] if level != "off" else []
    options += ["subset=pid"] if settings.subset or "subset=pid" in asked.options else []
    return _rebuilt(asked, options), "rootfs.proc.hidepid", []


def _sorted(options: Iterable[str]) -> list[str]:
    """Options without the one that says what holds without it."""
    return sorted(option for option in options if option != "rw")


def _rebuilt(asked: RequestedRights, options: list[str]) -> mounts.Mount:
    if _sorted(options) == _sorted(asked.options):
        options = list(asked.options)  # another order is no change
    known = {key: asked.entry[key] for key in ("type", "source") if key in asked.entry}
    return {"destination": asked.destination, **known, "options": options}
