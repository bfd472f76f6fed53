"""Programs that see, write to or execute what one stack shows and another one does not."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType

from hardening.mechanism.evidence import Witness, unless
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Volume
from hardening.mechanism.schema import Leaf
from hardening_rootfs import hidden
from hardening_rootfs.paths import RootPath
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.shown import place_of
from hardening_rootfs.tmpfs import Tmpfs

#: right -> the flag of statvfs(3) that is there without it, and in words what it permits
_FLAGS = {
    "rw": ("ST_RDONLY", "writes to"),
    "exec": ("ST_NOEXEC", "executes files of"),
    "suid": ("ST_NOSUID", "gains privileges by files of"),
    "dev": ("ST_NODEV", "uses devices of"),
}
#: Why no program shows these.
_SILENT: Mapping[str, str] = MappingProxyType(
    {"propagation": "it takes a mount that is made on the other side",
     **dict.fromkeys(("volume_sources", "volume_destinations", "volume_options", "volume_sockets"),
                     "it says which volumes a stack may have, and a run shows those that it has")}
)  # fmt: skip
_RELABELLED = "it gives files of the host another label, which outlasts a program"
#: Bytes that a program may fill to show that they are there.
_MOST = 256 << 20


def witness(settings: RootfsSettings, context: Context, leaf: Leaf, value: object, floor: object) -> Iterator[Witness]:
    """Each asks the kernel about a path, and writes to nothing but memory of its own."""
    name, path = leaf.setting, leaf.member
    if name in _SILENT:
        yield Witness(_SILENT[name])
    if isinstance(value, Volume):
        yield from _volume(value, floor if isinstance(floor, Volume) else None)
    elif isinstance(value, Tmpfs):
        yield from _tmpfs(path, value, floor if isinstance(floor, Tmpfs) else None)
    elif name in ("volumes", "tmpfs"):
        source = place_of(settings, context, path).source
        if source:
            yield from _shown(path, source, f"looks into {source} of the host at {path}")
    elif isinstance(value, RootPath) and not value.is_host:
        yield from _shown("/", value.path, f"has {value.path} of the host as its root")
    elif name == "hidden_paths":
        for place in hidden.expand([path], hidden.private_directories(os.environ.items())):
            yield from _shown(place, place, f"looks into {place} of the host")
    elif name == "masked_paths":
        beside = f"os.stat({posixpath.dirname(path)!r}).st_dev"
        yield Witness(f"reads {path}", unless(f"os.stat({path!r}).st_dev == {beside}", "masked"))
    elif name in ("read_only", "read_only_paths"):
        yield _right(path or "/", "rw")
    elif name == "shm_size" and isinstance(floor, int):
        yield from _fills("/dev/shm", floor)  # noqa: S108
    elif name == "devices":
        yield Witness(
            f"sees the device {path}", unless(f"stat.S_ISCHR(os.stat({path!r}).st_mode)", "no device", "import stat")
        )
    elif name in ("proc.subset", "sys"):
        place = "/proc/meminfo" if name == "proc.subset" else "/sys/fs/cgroup"
        yield Witness(f"sees {place}", f"os.stat({place!r})")
    elif name == "proc.hidepid":
        option = f"hidepid={floor}"
        attempt = unless(f'{option!r} not in open("/proc/self/mountinfo").read()', "processes of others are hidden")
        yield Witness("sees processes of other users", attempt)


def _shown(inside: str, source: str, what: str) -> Iterator[Witness]:
    try:
        found = os.stat(source)
    except OSError:
        yield Witness("the caller cannot look at it to tell it from others")
        return
    seen = f"(found.st_dev, found.st_ino) == ({found.st_dev}, {found.st_ino})"
    yield Witness(what, unless(seen, "something else is there", f"found = os.stat({inside!r})"))


def _volume(value: Volume, floor: Volume | None) -> Iterator[Witness]:
    if floor is None or floor.source != value.source:
        yield from _shown(value.target, value.source, f"looks into {value.source} of the host at {value.target}")
    yield from _rights(value.target, value.rights, floor.rights if floor is not None else ())
    if floor is None:
        return
    if value.propagation != floor.propagation:
        yield Witness(_SILENT["propagation"])
    if value.relabel != floor.relabel:
        yield Witness(_RELABELLED)
    if value.recursive and not floor.recursive:
        yield Witness("what is mounted below the source comes and goes")
    if value.idmap != floor.idmap:
        yield from _owned(value.target, value.source)


def _owned(target: str, source: str) -> Iterator[Witness]:
    with suppress(OSError):
        uid = os.stat(source).st_uid
        attempt = unless(f"os.stat({target!r}).st_uid == {uid}", "another owner")
        yield Witness(f"finds the owner of {source} at {target}", attempt)


def _tmpfs(path: str, value: Tmpfs, floor: Tmpfs | None) -> Iterator[Witness]:
    if floor is None:
        yield Witness(
            f"has a place in memory at {path}", unless(f"os.path.ismount({path!r})", "nothing is mounted there")
        )
        return
    if value.size > floor.size:
        yield from _fills(path, floor.size)
    yield from _rights(path, value.rights, floor.rights)
    if value.mode & ~floor.mode & 0o777:
        bits = value.mode & ~floor.mode & 0o777
        yield Witness(
            f"has the permissions {bits:03o} at {path}",
            unless(f"os.stat({path!r}).st_mode & 0o{bits:o}", "its mode lacks them"),
        )
    if floor.mode & ~value.mode & 0o1000:
        attempt = unless(f"not os.stat({path!r}).st_mode & 0o1000", "only their owners may")
        yield Witness(f"removes files of others at {path}", attempt)


def _rights(path: str, rights: Collection[str], floor: Collection[str]) -> Iterator[Witness]:
    yield from (_right(path, right) for right in _FLAGS if right in rights and right not in floor)


def _right(path: str, right: str) -> Witness:
    flag, does = _FLAGS[right]
    withheld = f"os.statvfs({path!r}).f_flag & os.{flag}"
    return Witness(f"{does} {path}", unless(f"not {withheld}", f"mounted {flag.removeprefix('ST_').lower()}"))


def _fills(path: str, size: int) -> Iterator[Witness]:
    """One byte more than there is room for; as a look at the size where its directory is not the command's to write to."""
    if size <= _MOST:
        fill = f"os.posix_fallocate(os.open({path!r}, os.O_TMPFILE | os.O_RDWR, 0o600), 0, {size + 1})"
        yield Witness(f"writes {size + 1} bytes to {path}", fill)
    room = unless("found.f_blocks * found.f_frsize > " + str(size), "no room", f"found = os.statvfs({path!r})")
    yield Witness(f"has more than {size} bytes of memory at {path}", room)
