"""Places that runs have not used: what is writable, or shown of the host, and was not asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from hardening.base.files import is_below
from hardening.mechanism.evidence import Evidence, LearntStatement, Usage, seen
from hardening_rootfs.hidden import VOLATILE
from hardening_rootfs.settings import RootfsSettings
from hardening_rootfs.volumes import VolumeKind

#: What a call wants of a path that needs more than a read-only mount.
_WRITES = frozenset({"write", "create", "remove", "change", "mount"})
_NOTHING = "nothing in it was asked for"
#: Of a place in memory that nobody can write to.
_EMPTY = "size=4K,mode=1555"


def learnt(settings: RootfsSettings, evidence: Evidence) -> Iterator[LearntStatement]:
    """A place in memory goes where nothing was made or found in it, and so does a volume that nobody has asked for; one that
    was only read is read-only. Who asked for what is above a place, such as its listing, does not need it. What the host's
    root has under a place in memory stays out of sight."""
    used = _used(settings, evidence)
    for place in settings.mounted_tmpfs():
        if any(_needs(use, is_inside=path != place) for path, use in used if path == place or is_below(path, place)):
            continue
        if settings.path.is_host and not any(place == top or is_below(place, top) for top in VOLATILE):
            yield LearntStatement(
                ("tmpfs", "add"), f"{place}:{_EMPTY}", f"{_NOTHING}, and the host's stays covered", element=True
            )
        else:
            yield LearntStatement(("tmpfs", "drop"), place, _NOTHING, element=True)
    for volume in settings.mounted_volumes():
        uses = _below(used, volume.target)
        if not uses:
            yield LearntStatement(("volumes", "drop"), volume.target, _NOTHING, element=True)
        elif volume.writable and not any(use.call.access & _WRITES for use in uses):
            shown = VolumeKind().dump(attrs.evolve(volume, rights=volume.rights - {"rw"}))
            yield LearntStatement(("volumes", "add"), shown, f"only read: {seen(uses)}", element=True)


def _needs(use: Usage, *, is_inside: bool) -> bool:
    """Whether a use of a place in memory, or of what is inside, needs it: nothing is found there that was not made there."""
    return bool(use.call.access & _WRITES) or (is_inside and not use.call.error)


def _used(settings: RootfsSettings, evidence: Evidence) -> list[tuple[str, Usage]]:
    """Each path that was asked for, as it was named and where the links of the root lead: `/var/run` is below `/run`."""
    named = [(path, use) for use in evidence.uses for path in (use.call.path, use.call.target) if path.startswith("/")]
    places = {path: settings.resolved(path) for path, _ in named}
    return [(place, use) for path, use in named for place in dict.fromkeys((path, places[path]))]


def _below(used: Sequence[tuple[str, Usage]], place: str) -> list[Usage]:
    """What was asked for of a place, and of what is below it."""
    return [use for path, use in used if path == place or is_below(path, place)]
