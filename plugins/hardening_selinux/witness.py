"""Why no program shows what a label permits."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.evidence import Witness
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_selinux.settings import SelinuxSettings


def witness(settings: SelinuxSettings, context: Context, leaf: Leaf, value: object, floor: object) -> Iterator[Witness]:
    """One without an attempt, for every setting."""
    yield Witness("what a label permits, the policy of a host says")
