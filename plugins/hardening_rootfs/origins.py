"""From where volumes come (`volume_sources`): the nearest place above a source decides, and what is mounted in that place
comes from elsewhere."""

from __future__ import annotations

import os

from hardening.base.files import is_below
from hardening_rootfs import aliases
from hardening_rootfs.paths import deepest, real_path
from hardening_rootfs.settings import RootfsSettings


def member(path: str, settings: RootfsSettings) -> tuple[str, bool]:
    """A path without links as the nearest place that is named above it names it, and what that says."""
    place, said = _nearest(path, settings)
    if place is None:
        return path, settings.volume_sources.rest
    return os.path.normpath(os.path.join(said, os.path.relpath(path, place))), settings.volume_sources[said]


def names(path: str, settings: RootfsSettings, mounts: tuple[aliases.MountAlias, ...]) -> tuple[str, ...]:
    """The names of a path without links that have to be permitted: its own, and all that it has where it is seen through
    something that is mounted in the place that permits it. Who names a place means what is mounted there, or above it."""
    place, _ = _nearest(path, settings)
    through = aliases.over(path, mounts)
    mounted_in = place is not None and through is not None and is_below(through.place, place)
    return aliases.names(path, mounts) if mounted_in else (path,)


def strange(settings: RootfsSettings) -> tuple[str, ...]:
    """Where something is mounted that comes from where no volume may, in a place from which volumes may come."""
    if settings.volume_sources.rest and not settings.volume_sources.having(False):
        return ()
    mounts = aliases.mounted()
    places = dict.fromkeys(mount.place for mount in mounts)
    return tuple(
        place
        for place in places
        if member(place, settings)[1] and not all(member(name, settings)[1] for name in names(place, settings, mounts))
    )


def _nearest(path: str, settings: RootfsSettings) -> tuple[str | None, str]:
    """The nearest place above a path that is named, links followed, and as it is named."""
    named = {real_path(said): said for said in settings.volume_sources.named}
    place = deepest(named, path)
    return place, named.get(place or "", "")
