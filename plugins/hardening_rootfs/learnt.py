"""Places that runs have not used: what is writable, or shown of the host, and was not asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from hardening.base.files import is_below
from hardening.mechanism.evidence import Evidence, Lesson, Usage, seen
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.volumes import VolumeKind

#: What a call wants of a path that needs more than a read-only mount.
_WRITES = frozenset({"write", "create", "remove", "change", "mount"})


def learnt(settings: RootfsSettings, evidence: Evidence) -> Iterator[Lesson]:
    """A place in memory goes where nothing in it was asked for, and so does a volume; one that was only read is read-only.
    Who asked for what is above a place, such as its listing, does not need it."""
    used = _used(settings, evidence)
    for place in settings.mounted_tmpfs():
        if not _below(used, place):
            yield Lesson(("tmpfs", "drop"), place, "nothing in it was asked for", element=True)
    for volume in settings.mounted_volumes():
        uses = _below(used, volume.target)
        if not uses:
            yield Lesson(("volumes", "drop"), volume.target, "nothing in it was asked for", element=True)
        elif volume.writable and not any(use.call.access & _WRITES for use in uses):
            shown = VolumeKind().dump(attrs.evolve(volume, rights=volume.rights - {"rw"}))
            yield Lesson(("volumes", "add"), shown, f"only read: {seen(uses)}", element=True)


def _used(settings: RootfsSettings, evidence: Evidence) -> list[tuple[str, Usage]]:
    """Each path that was asked for, as it was named and where the links of the root lead: `/var/run` is below `/run`."""
    named = [(path, use) for use in evidence.uses for path in (use.call.path, use.call.target) if path.startswith("/")]
    places = {path: settings.resolved(path) for path, _ in named}
    return [(place, use) for path, use in named for place in dict.fromkeys((path, places[path]))]


def _below(used: Sequence[tuple[str, Usage]], place: str) -> list[Usage]:
    """What was asked for of a place, and of what is below it."""
    return [use for path, use in used if path == place or is_below(path, place)]
