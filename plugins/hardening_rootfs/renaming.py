"""What is hidden below a directory that can be written: a mask holds a path, and who renames a directory above it has the
next run mask a path that is no longer there. A mask itself is a mount point, which cannot be renamed (rename(2), EBUSY)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from hardening.base import trusted
from hardening.base.files import is_below
from hardening_rootfs import hidden

T = TypeVar("T")


def movable(real: str, places: Mapping[T, Sequence[str]], links: Mapping[T, Sequence[str]]) -> Iterator[tuple[T, str]]:
    """Which of some hidden ``places`` do not stay hidden below a directory without links in its path, by their keys: those
    of which a command that can write there can rename a directory, or replace one of the ``links`` that lead to them."""
    below = hidden.outermost(place for found in places.values() for place in found if is_below(place, real))
    for key, found in places.items():
        moved = [place for place in found if place in below and _can_be_moved(real, place)]
        moved += [link for link in links[key] if is_below(link, real) and not _is_fixed(os.path.dirname(link))]
        if moved:
            yield key, moved[0]


def _can_be_moved(real: str, place: str) -> bool:
    """Whether one of the directories between may get another name. That takes writing to the one above it."""
    above = os.path.dirname(place)
    while above != real:
        above = os.path.dirname(above)
        if not _is_fixed(above):
            return True
    return False


def _is_fixed(directory: str) -> bool:
    """Whether only root can write to it, and the caller is an ordinary user, whose commands have none of root's rights."""
    try:
        status = os.stat(directory)
    except OSError:
        return False
    return os.geteuid() != 0 and status.st_uid == 0 and not trusted.others_can_write(status, directory)
