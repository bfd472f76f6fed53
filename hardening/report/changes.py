"""What differs between two OCI configurations, as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hardening.compare.configuration import Change
from hardening.mechanism.mechanism import Violation
from hardening.report.table import Table

UMASK = "/process/user/umask"
_CELL = 120  # characters


def table(items: list[Change]) -> Table:
    """Changes, one a line."""
    rows = tuple(
        (item.pointer, _cell(item, item.before), _cell(item, item.after), ", ".join(item.leaves[:4])) for item in items
    )
    return Table(("pointer", "before", "after", "because of"), rows, "changes")


def _cell(change: Change, value: Any) -> str:
    # A file mode means nothing to a reader in JSON's decimal.
    if change.pointer == UMASK and isinstance(value, int) and value >= 0:
        return f"0{value:03o}"
    return _short(json.dumps(value, ensure_ascii=False) if value is not None else "-")


def beyond(violations: Iterable[Violation]) -> Table:
    """What was asked for beyond a profile, one thing a line. What is allowed may be a line to paste, and is never cut."""
    rows = tuple((item.pointer, _short(item.asked), item.allowed, item.leaf) for item in violations)
    return Table(("pointer", "asked for", "allowed", "setting"), rows, "asked for beyond the profile")


def _short(text: str) -> str:
    """One long cell would make every line as long; as JSON a report has the whole."""
    return text if len(text) <= _CELL else f"{text[: _CELL - 3]}..."
