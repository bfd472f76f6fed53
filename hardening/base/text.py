"""Text for people: as a terminal may show it, and what was meant by a misspelt word."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def printable(text: str, keep: str = "") -> str:
    """Text in which no character drives or deceives the reader's terminal: what cannot be printed is escaped, but for
    characters to ``keep``."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the known word closest to a misspelt one, or None."""
    import difflib

    matches = difflib.get_close_matches(word, sorted(filter(str.isprintable, known)), n=1, cutoff=0.6)
    return f'did you mean "{matches[0]}"?' if matches else None
