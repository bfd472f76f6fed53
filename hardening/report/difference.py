"""What differs between two stacks, as text of 80 columns, as Markdown for a review, and as a table."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs

from hardening.base.values import frozen
from hardening.compare.difference import LeafDifference, StackComparison
from hardening.compose.composition import Composition
from hardening.compose.fold import EMPTY
from hardening.mechanism.kinds import Order
from hardening.profile.exemption import Exemption
from hardening.report.places import shortener
from hardening.report.table import Table, alike_in_one

_WIDTH = 80
#: What is read first stands first.
TITLES = {
    Order.LOOSER: "becomes allowed",
    Order.INCOMPARABLE: "cannot be compared, and counts as allowed",
    Order.TIGHTER: "becomes denied",
    Order.OTHER: "differs, and permits neither more nor less",
}
VERDICTS = {
    Order.SAME: "{after} permits what {before} does",
    Order.OTHER: "{after} permits what {before} does",
    Order.TIGHTER: "{after} is tighter than {before}",
    Order.LOOSER: "{after} is looser than {before}",
    Order.INCOMPARABLE: "{after} cannot be compared with {before}, and counts as looser",
}


@frozen(eq=False)
class Side:
    """One of two stacks as it is shown: ``name`` as it was asked for, ``composition`` None for a bundle; ``shown`` are
    folders, each with what stands for it (`renamed`)."""

    name: str
    composition: Composition | None
    shown: Mapping[str, str] = MappingProxyType({})

    def text(self, text: str) -> str:
        """A text with the places that a reader knows."""
        return renamed(text, self.shown)

    def place(self, origin: str) -> str:
        """Where something was decided: ``strict.toml:23 (shipped)``, a path below the working directory without that, or
        ``default (hardening_process)``."""
        layers = self.composition.stack.layers if self.composition is not None else ()
        return self.text(shortener(layers)(origin)).removeprefix(f"{os.getcwd()}/")


def renamed(text: str, shown: Mapping[str, str]) -> str:
    """A text with the names of some folders in the place of these."""
    for folder, name in shown.items():
        text = text.replace(folder, name)
    return text


@frozen
class _Alike:
    """Leaves of one family that differ alike."""

    name: str
    what: str
    before: str
    after: str
    places: tuple[str, str]
    members: tuple[str, ...]
    reason: str

    @property
    def where(self) -> str:
        old, new = self.places
        return ", before: ".join(dict.fromkeys(filter(None, (new, old)))) or "nothing says so"


def _grouped(items: Iterable[LeafDifference], sides: tuple[Side, Side]) -> list[_Alike]:
    found: dict[_Alike, list[str]] = {}
    for item in items:
        first, second = sides
        places = (first.place(item.origins[0]), second.place(item.origins[1]))
        family = item.name.removesuffix(item.leaf.member) if item.leaf.member else item.name
        values = first.text(item.before or EMPTY), second.text(item.after or EMPTY)
        key = _Alike(family, item.what, *values, places, (), _reason(item, second))
        found.setdefault(key, []).append(item.leaf.member)
    return [
        attrs.evolve(group, name=group.name + members[0])
        if len(members) == 1
        else attrs.evolve(group, name=group.name.removesuffix("."), members=tuple(members))
        for group, members in found.items()
    ]


def _reason(item: LeafDifference, side: Side | None = None) -> str:
    """Why it was permitted, for one ``side`` with the line that says so."""
    if item.exception is None:
        return ""
    return item.exception.reason + (f" ({side.place(str(item.exception.origin))})" if side is not None else "")


def verdict(found: StackComparison, sides: tuple[Side, Side]) -> str:
    """How the second stack stands to the first, in one sentence."""
    return VERDICTS[found.order].format(before=sides[0].name, after=sides[1].name)


def lines(found: StackComparison, sides: tuple[Side, Side]) -> Iterator[str]:
    """All that differs, and what comes of it, in lines of 80 columns."""
    yield from paragraphs(found.differences, sides, TITLES)
    for title, exceptions, side in _exceptions(found, sides):
        yield f"{title}:"
        for item in exceptions:
            yield from wrapped(f"{item.setting}: {_said(item)}", 2)
            yield from wrapped(side.place(str(item.origin)), 4)
        yield ""
    yield from wrapped(verdict(found, sides))


def paragraphs(items: Sequence[LeafDifference], sides: tuple[Side, Side], titles: Mapping[Order, str]) -> Iterator[str]:
    """Differences below the titles of their orders, each part with an empty line after it."""
    for order, title in titles.items():
        found = [item for item in items if item.order is order]
        if found:
            yield from wrapped(f"{title}:")
            for group in _grouped(found, sides):
                yield from _paragraph(group)
            yield ""


def _paragraph(group: _Alike) -> Iterator[str]:
    where = f" where {group.what}" if group.what else ""
    yield from wrapped(f"{group.name}: {group.before} -> {group.after}{where}", 2)
    if group.members:
        yield from wrapped(", ".join(group.members), 4)
    yield from wrapped(group.where, 4)
    if group.reason:
        yield from wrapped(f"excepted: {group.reason}", 4)


def wrapped(text: str, indent: int = 0) -> list[str]:
    """A text in lines of 80 columns, those after the first one further in, unless none is."""
    first, rest = " " * indent, " " * (indent + 2 if indent else 0)
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _exceptions(found: StackComparison, sides: tuple[Side, Side]) -> Iterator[tuple[str, Sequence[Exemption], Side]]:
    for title, items, side in (("new exceptions", found.added, sides[1]), ("gone exceptions", found.removed, sides[0])):
        if items:
            yield title, items, side


def _said(item: Exemption) -> str:
    more = [item.ticket, f"until {item.expires}" if item.expires else ""]
    words = ", ".join(filter(None, more))
    return f"{item.reason}{f' ({words})' if words else ''}"


def markdown(found: StackComparison, sides: tuple[Side, Side]) -> str:
    """The same for a pull request (GitHub Flavored Markdown)."""
    parts = [f"**{_cell(verdict(found, sides))}**"]
    for order, title in TITLES.items():
        items = [item for item in found.differences if item.order is order]
        if items:
            rows = [
                (_code(group.name), _cell(", ".join(group.members)), _cell(group.what), _code(group.before),
                 _code(group.after), _cell(group.where), _cell(group.reason))
                for group in _grouped(items, sides)
            ]  # fmt: skip
            heads = ("setting", "of", "where", "before", "after", "decided by", "exception")
            parts.append(f"### {title.capitalize()}\n\n{_table(heads, rows)}")
    for title, exceptions, side in _exceptions(found, sides):
        said = [(_code(item.setting), _cell(_said(item)), _cell(side.place(str(item.origin))))
                for item in exceptions]  # fmt: skip
        parts.append(f"### {title.capitalize()}\n\n{_table(('setting', 'reason', 'line'), said)}")
    return "\n\n".join(parts)


def _table(heads: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """A table without the columns that are empty."""
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    lines = [[heads[at] for at in kept], ["---"] * len(kept), *([row[at] for at in kept] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """A text in a cell of Markdown, where nothing of it is markup: what a profile says is shown to who reviews it."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|!~&" else letter for letter in text)
    return " ".join(escaped.split())


def _code(text: str) -> str:
    """A text as code, in a cell. A pipe divides cells in code, too, and a backslash there is one: what has such a letter is
    written as HTML, each letter of markup by its number."""
    shown = " ".join(text.split())
    if not {"`", "|", "\\"} & {*shown}:
        return f"`{shown}`"
    letters = (letter if letter.isalnum() or letter == " " else f"&#{ord(letter)};" for letter in shown)
    return f"<code>{''.join(letters)}</code>"


def beyond(items: Iterable[LeafDifference]) -> Table:
    """Leaves in which one stack permits more than another, in one row those of a family that do so alike."""
    rows = alike_in_one(
        (item.leaf, (item.after or EMPTY, item.before or EMPTY, item.origins[1], _reason(item))) for item in items
    )
    return Table(("leaf", "value", "instead of", "decided by", "reason"), rows, expands=True)
