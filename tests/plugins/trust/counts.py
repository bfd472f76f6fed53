"""How many verdicts were held against skopeo's, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

COUNTS = pytest.StashKey[tuple[int, Counter[tuple[str, str]]]]()
COLUMNS = ("accepted", "refused", "agreed", "subkeys", "differing")


def lines(every: int, counts: Counter[tuple[str, str]]) -> Iterator[str]:
    """A table, with a row for each transport. `subkeys` are those that older programs refuse."""
    transports = sorted({transport for transport, _ in counts})
    rows = {name: [counts[name, column] for column in COLUMNS] for name in transports}
    total = [sum(row[index] for row in rows.values()) for index, _ in enumerate(COLUMNS)]
    yield f"{total[0] + total[1]} of {every} cases"
    yield f"{'transport':<20}" + "".join(f"{column:>11}" for column in COLUMNS)
    for name, row in {**rows, "all": total}.items():
        yield f"{name:<20}" + "".join(f"{number:>11}" for number in row)
