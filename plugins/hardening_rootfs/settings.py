"""The `[rootfs]` table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hardening.base.patterns import STAR
from hardening.base.values import frozen
from hardening.mechanism.kinds import Ceiling, Choice, Flag
from hardening.mechanism.roles import RootDirectory, Volume
from hardening.mechanism.schema import Members, family, listing, scalar
from hardening.profile.source import Node
from hardening_rootfs import hidden
from hardening_rootfs.paths import RootKind, RootPath, above, host_path, inside, resolve
from hardening_rootfs.sources import require_root
from hardening_rootfs.tmpfs import Tmpfs, TmpfsKind
from hardening_rootfs.volumes import GRANTS, VolumeKind, read_destination, read_item

MEBIBYTE = 1 << 20

#: What containers hide of /proc and /sys: it names the host's hardware, keys, timers and memory, or lets them be changed.
MASKED = (
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/system/cpu/cpu*/thermal_throttle",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
READ_ONLY = (
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)

#: Places in memory that every root has, also where it has links there: ``/tmp`` may lead to another file system.
USUAL_TMPFS = {
    "/run": Tmpfs(16 * MEBIBYTE, 0o755),
    "/tmp": Tmpfs(64 * MEBIBYTE),  # noqa: S108
    "/var/tmp": Tmpfs(64 * MEBIBYTE),  # noqa: S108
}


def _device(node: Node) -> str:
    path = inside(node.string(), node)
    if not path.startswith("/dev/"):
        raise node.error(f"{path} is not below /dev", hint='devices are named as on the host: "/dev/fuse"')
    return path


def _pattern(node: Node) -> str:
    return hidden.HOME if node.string() == hidden.HOME else _path(node)


def _path(node: Node) -> str:
    """A path that may be a pattern. The star in a name of the caller's own would not be one that the profile means."""
    text = node.string()
    path = inside(text, node)
    if STAR in path and STAR not in text:
        raise node.error(f"{path} has a {STAR}, which stands for any name here", hint="rename that directory")
    return path


def _source(node: Node) -> str:
    return host_path(node.string(), node)


def _only_all(word: str) -> list[str]:
    """Above an option stands `*` alone: what is said of all holds for those that a later layer names, as with places."""
    return []


_GRANTS = Flag(strict=False)
_NAMED = "a root of which every path is hidden or read-only would be none: paths are named"


@frozen
class RootfsSettings(RootDirectory):
    """Composed `[rootfs]`."""

    path: RootPath = scalar(
        RootKind(),
        RootPath("/"),
        "The root directory; the host's own `/` is always shown read-only, with `hidden_paths` hidden.",
    )
    read_only: bool = scalar(Flag(strict=True), True, "Whether the root is read-only, with all that is mounted below.")
    propagation: str = scalar(
        Choice(("private", "slave", "shared")),
        "private",
        "Whether mounts of the host are seen inside (`slave`), and those made inside on the host, too (`shared`).",
    )
    tmpfs: Members[Tmpfs | None] = family(
        TmpfsKind(),
        rest=None,
        absent=None,
        default=USUAL_TMPFS,
        lenient="few programs run without a place to write; these are bounded, and nothing in them can be executed",
        help='Writable places in memory by destination; `tmpfs = "none"` has none at all. '
        "Also an array of `DST[:OPTS]`, and arrays `add` and `drop`.",
    )
    shm_size: int = scalar(
        Ceiling(size=True, unit="bytes"),
        16 * MEBIBYTE,
        "Size of `/dev/shm`; 0 leaves it out.",
        lenient="semaphores and shared memory need a little of it",
    )
    hidepid: str = scalar(
        Choice(("invisible", "noaccess", "off")),
        "invisible",
        "Whether `/proc` shows processes of other users (proc(5)).",
        name="proc.hidepid",
    )
    subset: str = scalar(
        Choice(("pid", "")), "pid", 'What `/proc` shows: `"pid"` processes only, `""` everything.', name="proc.subset"
    )
    sys: str = scalar(Choice(("none", "read-only")), "none", "Whether there is a `/sys`, with the cgroup tree in it.")
    masked_paths: Members[bool] = listing(
        _path,
        "Paths in the container that show nothing; `*` stands for any name.",
        restricts=True,
        default=MASKED,
        lenient=_NAMED,
    )
    read_only_paths: Members[bool] = listing(
        _path,
        "Paths in the container that are read-only where they lie on something writable.",
        restricts=True,
        default=READ_ONLY,
        lenient=_NAMED,
    )
    hidden_paths: Members[bool] = listing(
        _pattern,
        "What the host's own root does not show; `~` stands for the caller's home and XDG directories.",
        restricts=True,
        default=hidden.PATHS,
        lenient=_NAMED,
    )
    volumes: Members[Volume | None] = family(
        VolumeKind(),
        rest=None,
        absent=None,
        read_member=read_destination,
        read_item=read_item,
        examples=("/data",),
        help="Files and directories of the host, by destination.",
    )
    volume_sources: Members[bool] = family(
        _GRANTS, rest=True, absent=False, read_member=_source, above=above, examples=("/srv", "/srv/data", "/srv/data/a"),
        lenient="who adds a volume names its source; an organisation can say which ones it may be",
        help="From where volumes may come: an array of the only places, or a table of places, each `true` or `false`, in "
        "which the nearest place above a source decides.",
    )  # fmt: skip
    volume_destinations: Members[bool] = family(
        _GRANTS, rest=True, absent=False, read_member=_path, above=above, examples=("/data", "/data/a"),
        lenient="who adds a volume names its destination",
        help="To where volumes may go, written as `volume_sources` is.",
    )  # fmt: skip
    volume_options: Members[bool] = family(
        _GRANTS, rest=True, absent=False, read_member=Choice(GRANTS).parse, above=_only_all, examples=GRANTS,
        lenient="who adds a volume names its options",
        help="What volumes may be given, of their options, written as `volume_sources` is.",
    )  # fmt: skip
    volume_sockets: bool = scalar(
        Flag(strict=False),
        True,
        "Whether volumes may show sockets of the host.",
        lenient="a socket is what some volumes are for",
    )
    devices: Members[bool] = listing(
        _device,
        "Devices of the host beyond null, zero, full, random, urandom, tty and terminals.",
        examples=("/dev/fuse", "/dev/kvm"),
    )

    def directory(self) -> Path:
        require_root(self.path)
        return Path(self.path.path)

    def resolved(self, path: str) -> str:
        return resolve(str(self.directory()), path).path

    def mounted_volumes(self) -> list[Volume]:
        """The volumes there are, by destination."""
        return [volume for _, volume in sorted(self.volumes.named.items()) if volume is not None]

    def writable_places(self) -> Collection[str]:
        if not self.read_only:
            return ("/",)
        volumes = (volume.target for volume in self.mounted_volumes() if volume.writable)
        return ("/dev", "/proc", *volumes, *self.mounted_tmpfs())

    def sources(self) -> dict[str, str]:
        """What is shown of the host by destination."""
        return {volume.target: volume.source for volume in self.mounted_volumes()}

    def mounted_tmpfs(self) -> dict[str, Tmpfs]:
        """The places in memory there are; a volume at the same destination takes their place."""
        taken = {volume.target for volume in self.mounted_volumes()}
        return {
            place: value
            for place, value in sorted(self.tmpfs.named.items())
            if value is not None and place not in taken
        }
