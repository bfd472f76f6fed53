"""A score as tables of 80 columns, and as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.report.table import Table
from hardening.score.scoring import Item, Score, mean

_COLUMNS = ("setting", "verdict", "weight", "gain", "an exposed command can")


def tables(score: Score, *, whole: bool) -> list[Table]:
    """A table a mechanism, with its own score; without ``whole`` only of what is not tight."""
    found = []
    for name, items in score.parts.items():
        rows = tuple(_row(score, item) for item in items if whole or item.share)
        gain = score.gain(*items)
        title = f"{name}: {mean(items):.1f} of 10, {gain:.1f} of the whole"
        found.append(Table(_COLUMNS, rows, title, last=_COLUMNS[-1], folded=True))
    return found


def several(scores: Mapping[str, Score]) -> Table:
    """A line each of several, the most exposed first."""
    ordered = sorted(scores.items(), key=lambda item: (-item[1].total, item[0]))
    rows = tuple((name, f"{score.total:.1f}", score.word) for name, score in ordered)
    return Table(("container", "score", "verdict"), rows)


def _row(score: Score, item: Item) -> tuple[str, ...]:
    words = f"{item.meaning} ({item.found})" if item.found else item.meaning
    return item.leaf.partition(".")[2], item.verdict, f"{item.weight:6.0f}", f"{score.gain(item):4.2f}", words


def data(score: Score) -> dict[str, Any]:
    """The score for JSON."""
    return {
        "score": round(score.total, 2),
        "verdict": score.word,
        "mechanisms": {name: round(mean(items), 2) for name, items in score.parts.items()},
        "settings": [
            {"setting": item.leaf, "meaning": item.meaning, "weight": item.weight, "exposed": item.share,
             "verdict": item.verdict, "found": item.found, "gain": round(score.gain(item), 3)}
            for items in score.parts.values() for item in items
        ],
    }  # fmt: skip
