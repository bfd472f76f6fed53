"""The mechanism `landlock`: what the command may do to files, with TCP and to other processes, said once more by what no
mount, no capability and no namespace decides (landlock(7)).

Its table is ``[landlock]``. It contributes the helper before the command, which confines itself, and its place in the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hardening.mechanism.denial import PathAnswer
from hardening.mechanism.mechanism import Context, MountPoint
from hardening.mechanism.package import PackagedMechanism
from hardening.plugin.hookspecs import hookimpl
from hardening_landlock import spec
from hardening_landlock.settings import LandlockSettings

__all__ = ["Landlock", "LandlockSettings"]


class Landlock(PackagedMechanism[LandlockSettings]):
    """Rules that a process lays upon itself and all that it starts."""

    name = "landlock"
    summary = "Landlock: a second line behind mounts, namespaces and capabilities"
    settings_type = LandlockSettings

    def of_path(self, settings: LandlockSettings, context: Context, path: str) -> Iterable[PathAnswer]:
        from hardening_landlock import denied  # no launch needs it

        return denied.of_path(settings, context, path)

    def mount_points(self, settings: LandlockSettings) -> Sequence[MountPoint]:
        return spec.mount_points(settings)


@hookimpl
def hardening_mechanisms() -> Sequence[Landlock]:
    """The mechanism of this plugin."""
    return (Landlock(),)
