"""The rights in a foreign mount's options, and how they are cut down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from hardening.mechanism import Excess
from hardening_rootfs import mounts
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.tmpfs import Tmpfs
from hardening_rootfs.volumes import PROPAGATION, Volume

#: right -> the option that takes it away
RIGHTS: Mapping[str, str] = {"rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec"}
_TIED = (*PROPAGATION, "unbindable", "runbindable")
_SIZE = re.compile(r"size=(\d+)([kmg]?)", re.IGNORECASE)
_EMPTY = 4096  # bytes of a tmpfs that only stands for a directory
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
Tightened = tuple[mounts.Mount | None, str, list[Excess]]


@attrs.frozen
class Asked:
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
        return "/" + os.path.normpath(str(self.entry.get("destination", "/"))).lstrip("/")

    @property
    def source(self) -> str:
        """What is mounted."""
        return os.path.normpath(str(self.entry.get("source") or "/"))

    @property
    def kind(self) -> str:
        """``bind``, or the type of a file system."""
        bound = {"bind", "rbind"} & set(self.options)
        return "bind" if bound else str(self.entry.get("type") or "none")

    @property
    def size(self) -> int:
        """The size of a tmpfs in bytes; 0 where there is no bound that we can read."""
        sizes = [match for option in self.options if (match := _SIZE.fullmatch(option))]
        return int(sizes[-1][1]) * _FACTORS[sizes[-1][2].lower()] if sizes else 0

    @property
    def rights(self) -> frozenset[str]:
        """What the options permit; the last word on each right counts."""
        rights = set(RIGHTS)
        for option in self.options:
            for right, without in RIGHTS.items():
                if option in (right, f"r{right}") and option != "rrw":
                    rights.add(right)
                elif option in (without, f"r{without}"):
                    rights.discard(right)
        return frozenset(rights)

    def excess(self, allowed: str, leaf: str) -> Excess:
        """This mount as one that was asked for beyond the settings."""
        what = self.source if self.kind == "bind" else self.kind
        return Excess(self.pointer, f"{what} at {self.destination} ({','.join(self.options)})", allowed, leaf)

    def cut(self, allowed: Iterable[str], *, drop: Iterable[str] = (), add: Iterable[str] = ()) -> list[str]:
        """The options with no rights but the ``allowed`` ones, without those of the names ``drop``, then ``add``.

        A bind of a whole tree loses the rights in all of it."""
        below = "r" if "rbind" in self.options else ""
        words = {word for pair in RIGHTS.items() for word in pair} | {f"r{word}" for word in RIGHTS.values()}
        words |= {"rsuid", "rdev", "rexec", "rrw"}
        options = [o for o in self.options if o not in words and o.partition("=")[0] not in set(drop)]
        kept = self.rights & set(allowed)
        options += [f"{below}{without}" for right, without in RIGHTS.items() if right not in kept]
        return [*options, *add]


def tighten_tmpfs(asked: Asked, allowed: Tmpfs | None, leaf: str) -> Tightened:
    """A tmpfs within what is allowed there; one that is not allowed stays as an empty directory."""
    if allowed is None and not asked.rights and 0 < asked.size <= _EMPTY:
        return _rebuilt(asked, list(asked.options)), leaf, []
    if allowed is None:
        options = asked.cut((), drop=("size", "nr_inodes", "nr_blocks"), add=["size=4k"])
        return _rebuilt(asked, options), leaf, [asked.excess("an empty read-only directory", leaf)]
    rights = {"rw", *(right for right in ("suid", "dev", "exec") if getattr(allowed, right))}
    size = min(asked.size or allowed.size, allowed.size)
    mode = _mode(asked) & allowed.mode | allowed.mode & 0o1000
    bounds = [f"mode={mode:o}", f"size={size}", f"nr_inodes={allowed.inodes}"]
    options = asked.cut(rights, drop=("size", "nr_inodes", "nr_blocks", "mode", *_TIED), add=["rprivate", *bounds])
    beyond = not asked.rights <= rights or not 0 < asked.size <= allowed.size
    described = ",".join([*(RIGHTS[right] for right in RIGHTS if right not in rights), f"size={size}"])
    return _rebuilt(asked, options), leaf, [asked.excess(described, leaf)] if beyond else []


def _mode(asked: Asked) -> int:
    modes = [option[5:] for option in asked.options if re.fullmatch(r"mode=[0-7]{3,5}", option)]
    return int(modes[-1], 8) if modes else 0o1777


def tighten_bind(asked: Asked, volume: Volume | None, leaf: str) -> Tightened:
    """A bind mount within a volume of the settings, or read-only where there is none."""
    rights = {"exec"} if volume is None else {right for right in ("suid", "dev", "exec") if getattr(volume, right)}
    if volume is not None and volume.writable:
        rights.add("rw")
    tie = "rprivate" if volume is None else volume.propagation
    said = [option for option in asked.options if option in _TIED]
    wide = [o for o in said if o in PROPAGATION and PROPAGATION.index(o) > PROPAGATION.index(tie)]
    mapped = bool({"idmap", "ridmap"} & {o.partition("=")[0] for o in asked.options}) or "uidMappings" in asked.entry
    unmap = mapped and not (volume is not None and volume.idmap)
    drop = [*_TIED, *(["idmap", "ridmap"] if unmap else [])]
    options = asked.cut(rights, drop=drop, add=[tie if wide or not said else said[-1]])
    mount = _rebuilt(asked, options)
    if unmap:
        mount = {key: value for key, value in mount.items() if key not in ("uidMappings", "gidMappings")}
    allowed = ",".join(RIGHTS[right] for right in RIGHTS if right not in rights) or "as in the profile"
    beyond = volume is None or not asked.rights <= rights or bool(wide) or unmap
    return mount, leaf, [asked.excess(allowed, leaf)] if beyond else []


def tighten_kernel(settings: RootfsSettings, asked: Asked) -> Tightened:
    """The kernel's own file systems, and any that we do not know: those become read-only."""
    kind = asked.kind
    if kind == "proc" or asked.destination == "/proc":
        return _proc(settings, asked)
    if asked.destination == "/dev" and kind == "tmpfs":
        return _rebuilt(asked, list(mounts.DEV_OPTIONS)), "rootfs.read_only", []
    if kind in ("devpts", "mqueue"):
        rights = {"rw", "dev"} if kind == "devpts" else {"rw"}
        return _rebuilt(asked, asked.cut(rights)), "rootfs.read_only", []
    known = kind in ("sysfs", "cgroup", "cgroup2") or asked.destination.startswith("/sys")
    leaf = "rootfs.sys" if known else f"rootfs.volumes.{asked.destination}"
    beyond = "rw" in asked.rights or not known
    return _rebuilt(asked, asked.cut(())), leaf, [asked.excess("ro,nosuid,nodev,noexec", leaf)] if beyond else []


def _proc(settings: RootfsSettings, asked: Asked) -> Tightened:
    options = asked.cut({"rw"}, drop=("hidepid", "subset") if asked.kind == "proc" else ())
    if asked.kind == "proc":
        said = [option.partition("=")[2] for option in asked.options if option.startswith("hidepid=")]
        order = ("ptraceable", "invisible", "noaccess", "off")
        words = {"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}
        levels = [words.get(value, value) for value in said[-1:]] + [settings.hidepid]
        level = min((value for value in levels if value in order), key=order.index)
        options += [f"hidepid={level}"] if level != "off" else []
        options += ["subset=pid"] if settings.subset or "subset=pid" in asked.options else []
    return _rebuilt(asked, options), "rootfs.proc.hidepid", []


def _rebuilt(asked: Asked, options: list[str]) -> mounts.Mount:
    return {**asked.entry, "destination": asked.destination, "options": options}
