"""What volumes amount to by their names alone, where there is no host to look at (`hardening.mechanism.host.Host`)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from hardening.mechanism.mechanism import Implied
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening_rootfs import hidden, sockets
from hardening_rootfs.paths import deepest, holds
from hardening_rootfs.settings import RootfsSettings


def implied(settings: RootfsSettings) -> Iterator[Implied]:
    """Which hidden paths their sources are or lie in, where they come from and go to, with which options, and the sockets
    that are known by their names."""
    for volume in settings.mounted_volumes():
        by, source = _leaf("volumes", volume.target), os.path.normpath(volume.source)
        around = [member for member in settings.hidden_paths.having(True) if holds(member, source)]
        innermost = max(around, key=len, default="")
        for member in around:
            at_work = hidden.is_in_home(source, ("/home", "/root"))
            free = member != innermost or (at_work and member in ("/home", "/root"))
            yield Implied(by, _leaf("hidden_paths", member), False, f"{source} shows what is hidden", free)
        place = deepest((member for member in settings.volume_sources.named if member != WILDCARD), source)
        yield Implied(by, _leaf("volume_sources", place or WILDCARD), True, f"it comes from {source}")
        yield Implied(by, _leaf("volume_destinations", volume.target), True, f"{volume.target} is its destination")
        for word in volume.grants():
            yield Implied(by, _leaf("volume_options", word), True, f"it has the option {word}")
        if source.endswith(sockets.KNOWN) and not settings.volume_sockets:
            yield Implied(by, _leaf("volume_sockets"), True, f"it shows the socket {source}")


def _leaf(setting: str, member: str = "") -> Leaf:
    return Leaf("rootfs", setting, member)
