"""Places that runs have not used: what is writable, or shown of the host, and was not asked for."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from hardening.mechanism.evidence import Evidence, Lesson, seen
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.volumes import VolumeKind

#: What a call wants of a path that needs more than a read-only mount.
_WRITES = frozenset({"write", "create", "remove", "change", "mount"})


def learnt(settings: RootfsSettings, evidence: Evidence) -> Iterator[Lesson]:
    """A place in memory goes where nothing in it was asked for, and so does a volume; one that was only read is read-only.
    Who asked for what is above a place, such as its listing, does not need it."""
    for place in settings.mounted_tmpfs():
        if not evidence.below(place):
            yield Lesson(("tmpfs", "drop"), place, "nothing in it was asked for", element=True)
    for volume in settings.mounted_volumes():
        uses = evidence.below(volume.target)
        if not uses:
            yield Lesson(("volumes", "drop"), volume.target, "nothing in it was asked for", element=True)
        elif volume.writable and not any(use.call.access & _WRITES for use in uses):
            shown = VolumeKind().dump(attrs.evolve(volume, rights=volume.rights - {"rw"}))
            yield Lesson(("volumes", "add"), shown, f"only read: {seen(uses)}", element=True)
