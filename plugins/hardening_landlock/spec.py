"""The helper before the command, and its place in the root."""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Iterable, Iterator, Sequence

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, MountPoint
from hardening.mechanism.roles import RootDirectory
from hardening_landlock.host import LandlockFacts, classes, helper_for
from hardening_landlock.settings import PLACES, LandlockSettings

#: Each container has a place in memory at /dev, which no volume covers.
PLACE = "/dev/.landlock"
#: What is restricted of files: with any of it, the kernel lets no mounts be changed.
FILES = frozenset(("read", "write", "truncate", "execute", "ioctl"))


def mount_points(settings: LandlockSettings) -> Sequence[MountPoint]:
    """The helper, where there is one for this machine."""
    helper, _ = helper_for(os.uname().machine)
    restricted = classes(settings)
    if not restricted or not helper:
        return ()
    options = ["bind", "ro", "nosuid", "nodev", "private"]
    mount = {"destination": PLACE, "type": "bind", "source": helper, "options": options}
    return (MountPoint(PLACE, False, mount, leaves(settings, restricted)),)


def contribute(
    settings: LandlockSettings, context: Context, fragment: Fragment, writable: Collection[str] | None = None
) -> None:
    """Confine the command; nothing where this kernel cannot. ``writable`` are the places of a configuration that was made
    elsewhere."""
    handled = enforced(settings, context)
    if handled:
        words = [PLACE, *(f"handle={word}" for word in handled), *_rules(settings, context, handled, writable)]
        fragment.confine(words, *leaves(settings, handled))


def leaves(settings: LandlockSettings, words: Iterable[str]) -> tuple[str, ...]:
    """The full names of the settings that some of the helper's words are for."""
    names = dict.fromkeys(classes(settings)[word][0] for word in words)
    return tuple(f"landlock.{name}" for name in (*names, *(() if settings.mounts else ("mounts",))))


def enforced(settings: LandlockSettings, context: Context) -> dict[str, str]:
    """The helper's words for what is restricted and this kernel can deny, each with its setting."""
    abi = 0 if context.lacks("landlock") else context.host.of(LandlockFacts).abi
    return {word: setting for word, (setting, least) in classes(settings).items() if abi >= least}


def _rules(
    settings: LandlockSettings, context: Context, handled: Container[str], writable: Collection[str] | None
) -> Iterator[str]:
    """What is permitted of it, as the helper's words."""
    for word in ("read", "write", "execute", "ioctl", "bind", "connect"):
        if word in handled:
            yield from (f"{word}={value}" for value in permitted(settings, context, word, writable))


def permitted(
    settings: LandlockSettings, context: Context, setting: str, writable: Collection[str] | None = None
) -> tuple[str, ...]:
    """What a setting permits: of writing no other places than those that the root has ``writable``, and that mechanisms
    have mounted so."""
    value: tuple[str, ...] = getattr(settings, setting)
    root = context.of(RootDirectory)
    if setting != "write" or root is None:
        return value
    mounted = (point.path for point in context.mount_points if not {"ro", "rro"} & {*point.mount.get("options", ())})
    places = root.writable_places() if writable is None else writable
    return PLACES.intersect(value, PLACES.smallest([*places, *mounted]))
