"""Text for people: as a terminal may show it, as much of it as there is room for, and what was meant by a misspelt word."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What stands for what is cut away begins so.
CUT = "…(+"
#: Letters of a name that say enough of it.
_BEGINNING = 3


def printable(text: str, keep: str = "") -> str:
    """Text in which no character drives or deceives the reader's terminal: what cannot be printed is escaped, but for
    characters to ``keep``."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def is_utf8(text: str) -> bool:
    """Whether a text can be written down as it is: the name of a file may hold bytes that are no text (os.fsdecode)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cut(text: str, longest: int) -> str:
    """A text of at most about ``longest`` bytes; what is cut away is counted in its place."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= longest:
        return text
    return f"{data[:longest].decode('utf-8', 'ignore')}{CUT}{len(data) - longest} bytes)"


def shortened(words: list[str], longest: int) -> list[str]:
    """Words of at most about ``longest`` bytes together; what is cut away is counted in the last one, behind which what was
    counted before stays."""
    size = 0
    for index, word in enumerate(words):
        length = len(word.encode("utf-8", "surrogatepass")) + 1
        if size + length > longest:
            earlier = words[index + 1 :][-1:] if words[-1].startswith(CUT) else []
            more = len(words) - index - 1 - len(earlier)
            counted = [f"{CUT}{more} arguments)"] if more else []
            return [*words[:index], cut(word, max(longest - size, 0)), *counted, *earlier]
        size += length
    return words


def listed(words: Sequence[str], most: int = 3, rest: str = "more") -> str:
    """The first words, at ``most`` so many, and how many others there are."""
    left = len(words) - most
    return ", ".join(words[:most]) + (f" and {left} {rest if left > 1 else rest.removesuffix('s')}" if left > 0 else "")


def _joined(word: str) -> str:
    """A word without what its parts are joined by, which is easily forgotten."""
    return word.replace("_", "").replace("-", "")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the known word closest to a misspelt one, or None. The shortest that begins with it, whatever joins
    its parts, is closer than any that is spelt alike: part of a name is written for the whole."""
    import difflib

    words = sorted(filter(str.isprintable, known))
    begun = _joined(word)
    longer = [other for other in words if len(word) >= _BEGINNING and _joined(other).startswith(begun)]
    matches = [min(longer, key=len)] if longer else difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f'did you mean "{matches[0]}"?' if matches else None
