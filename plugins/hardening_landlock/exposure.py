"""What Landlock leaves open counts for nothing by itself: it is the second line of what has an item already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.exposure import Exposure
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host


def exposure(document: Mapping[str, Any], host: Host, leaves: Mapping[tuple[str, str], Any]) -> Iterator[Exposure]:
    """No item of its own."""
    yield from ()


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """Nothing: no item reads it."""
    return
