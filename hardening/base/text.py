"""Words for people: what was meant by a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the known word closest to a misspelt one, or None."""
    import difflib

    matches = difflib.get_close_matches(word, sorted(filter(str.isprintable, known)), n=1, cutoff=0.6)
    return f'did you mean "{matches[0]}"?' if matches else None
