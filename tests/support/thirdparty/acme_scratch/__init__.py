"""A mechanism of a third party that the kernel enforces: a place in memory for a command's own files, how many, and whether
it may execute them. What a receipt says of it is read from the kernel's list of mounts.

Owns `[scratch]` and `/scratch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.base.linux import mountinfo
from hardening.mechanism.kinds import Ceiling, Flag
from hardening.mechanism.mechanism import Context, Mechanism, MountPoint, Verification
from hardening.mechanism.schema import scalar
from hardening.plugin.hookspecs import hookimpl

PLACE = "/scratch"


@attrs.frozen
class ScratchSettings:
    """Composed `[scratch]`."""

    files: int = scalar(
        Ceiling(0, 1000, unit="files"), 0, "How many files may be made in /scratch; 0 for no such place."
    )
    programs: bool = scalar(Flag(strict=False), False, "Whether they may be executed.")


class Scratch(Mechanism[ScratchSettings]):
    """The mechanism behind `[scratch]`."""

    name = "scratch"
    summary = "a place for a command's own files"

    def mount_points(self, settings: ScratchSettings) -> Sequence[MountPoint]:
        if not settings.files:
            return ()
        inodes = settings.files + 1  # its own
        options = ["nosuid", "nodev", *([] if settings.programs else ["noexec"]), "mode=777", f"nr_inodes={inodes}"]
        mount = {"destination": PLACE, "type": "tmpfs", "source": "tmpfs", "options": options}
        return (MountPoint(PLACE, True, mount, ("scratch.files", "scratch.programs")),)

    def verify(self, settings: ScratchSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
        here = [mount for mount in mountinfo.parse(receipt["mountinfo"]) if mount.place == PLACE]
        inodes = [
            word.removeprefix("nr_inodes=") for mount in here for word in mount.data if word.startswith("nr_inodes=")
        ]
        most = max((int(text) - 1 if text.isdecimal() else 1001 for text in inodes), default=1001 if here else 0)
        yield Verification.of("scratch.files", f"at most {settings.files}", str(most), most <= settings.files)
        free = any("noexec" not in mount.options for mount in here)
        shown = "executable" if free else "not executable"
        yield Verification.of("scratch.programs", str(settings.programs), shown, settings.programs or not free)


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Scratch(),)
