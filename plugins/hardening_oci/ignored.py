"""placeholder"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.runtime import Refusal


def refusals(name: str, version: tuple[int, ...], document: Mapping[str, Any], uid: int) -> Iterator[Refusal]:
    """Fields that the runtime would ignore."""
    return iter(())
