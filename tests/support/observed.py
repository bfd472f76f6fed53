"""Facts about the kernel or a dependency that no promise of ours rests on: a test reports what it saw, with the version.

Such a fact may change with any release of theirs. A test that demanded it would fail although nothing of ours is worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

#: Report a fact: of whom with which version, what was tried, what was seen.
Observe = Callable[[str, str, str], None]

_KEY = "observed"


@pytest.fixture
def observe(record_property: Callable[[str, object], None]) -> Observe:
    """A function that adds a fact to the list at the end of the run."""
    return lambda whose, tried, seen: record_property(_KEY, f"{whose}: {tried}: {seen}")


def lines(reports: Iterable[Any]) -> list[str]:
    """Return the facts that reports of tests carry, each once, in order."""
    properties = (entry for report in reports for entry in getattr(report, "user_properties", ()))
    return sorted({str(value) for name, value in properties if name == _KEY})
