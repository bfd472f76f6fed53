"""Which requirement is at least as strict as another: whatever satisfies the one satisfies the other.

Fewer keys are stricter, and so is an identity that accepts fewer names. That holds of files of keys that can be read and say
nothing of each other's keys, such as that one is revoked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from hardening_trust.identities import is_narrower
from hardening_trust.requirements import Requirement, Requirements, SignedBy, SigstoreSigned, dump_one


def implies(a: Requirement, b: Requirement) -> bool:
    """Whether an image that ``a`` holds for is one that ``b`` holds for, whatever its signatures and its name are."""
    if a == b:
        return True
    if isinstance(a, SignedBy) and isinstance(b, SignedBy):
        alike = (a.key_type, a.key_data) == (b.key_type, b.key_data)
    elif isinstance(a, SigstoreSigned) and isinstance(b, SigstoreSigned):
        alike = a.carried == b.carried and set(a.key_datas) <= set(b.key_datas)
    else:
        return False
    return alike and set(a.key_paths) <= set(b.key_paths) and is_narrower(a.identity, b.identity)


def all_implied(a: Iterable[Requirement], b: Iterable[Requirement]) -> bool:
    """Whether each of ``b`` follows from one of ``a``."""
    known = list(a)
    return all(any(implies(item, other) for item in known) for other in b)


def minimal(requirements: Requirements) -> Requirements:
    """The same without those that follow from others; of two that say the same, the first in order stays."""
    kept: list[Requirement] = []
    for item in sorted(requirements, key=lambda item: json.dumps(dump_one(item), sort_keys=True)):
        if not all_implied(kept, (item,)):
            kept = [*(other for other in kept if not implies(item, other)), item]
    return frozenset(kept)
