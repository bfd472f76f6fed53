"""What the kernel and the caller's account offer for namespaces."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from hardening.base.values import frozen
from hardening.mechanism.idmaps import IdRange

_EVERY_ID = ((0, 2**32 - 1),)

Ranges = tuple[tuple[int, int], ...]


@frozen
class NamespaceFacts:
    """``supported`` are TOML names; ``user_blocked`` says why the caller may not make user namespaces; ``subuids`` and
    ``subgids`` are the caller's (start, size) ranges; ``newuidmap`` is whether both setuid helpers are installed.

    ``given`` are the ranges of everybody in /etc/subuid and /etc/subgid, users or groups.
    ``own_uids`` and ``own_gids`` are the (start, size) ranges of ids that exist in the caller's own user namespace;
    ``exhausted`` are TOML names of which this host permits not one.
    """

    supported: frozenset[str]
    user_blocked: str
    subuids: Ranges
    subgids: Ranges
    newuidmap: bool
    own_uids: Ranges = _EVERY_ID
    own_gids: Ranges = _EVERY_ID
    given: Ranges = attrs.field(default=(), repr=False)  # of which people have seen their own
    exhausted: frozenset[str] = frozenset()


def within(item: IdRange, ranges: Iterable[tuple[int, int]]) -> bool:
    """Whether the caller's side of a range lies in one of ``ranges``, (start, size) each."""
    return any(start <= item.outside and item.outside + item.size <= start + size for start, size in ranges)
