"""A new profile, to be filled in: what it may say, as comments beside what it says already."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import REQUIREMENT, Family, Scalar
from hardening.profile.toml_text import dotted, flat, inline
from hardening.report.places import shortener

WIDTH = 96
#: A table of which more is said is too long to be read as a comment.
_MOST_LINES, _MOST_TEXT = 24, 4 * WIDTH

#: Stands for a space at which no line ends.
_UNBROKEN = "\N{NO-BREAK SPACE}"

Entries = Mapping[tuple[str, str], Resolved]


def scaffold(name: str, extends: Sequence[str], owner: str, composition: Composition) -> str:
    """The text of a profile that ``extends`` others, of which this is the ``composition``. It composes to what these do, and
    so it does with any table of it taken out of its comment as a whole."""
    short = shortener(composition.stack.layers)
    lines = [
        f"description = {inline(f'{name}: what it is for, in a line')}",
        f"extends = {inline(list(extends))}",
        "",
        "# What a layer loosens needs an exception in the same layer:",
        "# [[exceptions]]",
        '# setting = "rootfs.read_only"',
        '# reason = "why this is needed"',
        "# expires = 2030-12-31",
        "",
        "# Below is what holds already, with where that is said. What has no place is the strict default.",
        *(line for mechanism in composition.mechanisms for line in _table(mechanism, composition, short)),
        "",
        "[profile]",
        f"title = {inline(name)}",
        f"owner = {inline(owner)}",
        'version = "1"',
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str, margin: str = "#   ") -> list[str]:
    """A text in lines of a comment; what is in backticks is not broken."""
    joined = re.sub("`[^`]*`", lambda found: found[0].replace(" ", _UNBROKEN), text)
    lines = wrap(joined, WIDTH, break_on_hyphens=False, break_long_words=False)
    return [margin + line.replace(_UNBROKEN, " ") for line in lines]


def _table(mechanism: Mechanism[Any], composition: Composition, short: Callable[[str], str]) -> Iterator[str]:
    yield ""
    yield from _comment(f"[{mechanism.name}]: {mechanism.summary}", "# ")
    yield f"# [{mechanism.name}]"
    forms = mechanism.forms() or {}
    plain = {
        (setting.name, ""): setting
        for setting in mechanism.schema.settings.values()
        if isinstance(setting, Scalar)
        and setting.name != REQUIREMENT.name
        and setting.name.partition(".")[0] not in forms
    }
    entries = {
        (leaf.setting, leaf.member): entry
        for leaf, entry in composition.leaves.items()
        if leaf.mechanism == mechanism.name and (entry.stated or (leaf.setting, leaf.member) in plain)
    }
    for name, setting in plain.items():
        entry = entries.pop(name)
        yield from _comment(setting.help)
        place = f"  # {short(entry.origin)}" if entry.stated else ""
        yield f"# {setting.name} = {inline(_written(entry) or setting.kind.dump(entry.value))}{place}"
    yield from _families(mechanism, entries, short)
    said = {setting for setting, _ in entries}
    for family in mechanism.schema.settings.values():
        if isinstance(family, Family) and family.name not in said:
            yield from _example(mechanism, family)
    if forms:
        yield from _comment(f"Other keys: {', '.join(forms)}.")


def _example(mechanism: Mechanism[Any], family: Family[Any]) -> Iterator[str]:
    """How a family of which no layer says anything is written, by a sample of its declaration."""
    members = (*family.examples, *family.default)
    values = [value for value in family.kind.samples() if value != family.absent]
    if members and values:
        yield from _comment(family.help)
        for path, value in flat(mechanism.dump({(family.name, members[0]): values[0]})):
            yield f"#   such as: {dotted(path)} = {inline(value)}"


def _families(mechanism: Mechanism[Any], entries: Entries, short: Callable[[str], str]) -> Iterator[str]:
    """What layers say of what has members, one a line; what of that the caller's own places are filled into stays with the
    layers that say it."""
    kept = {name: entry for name, entry in entries.items() if not _written(entry)}
    found = mechanism.dump({name: entry.value for name, entry in kept.items()}) if kept else {}
    lines = [(dotted(path), inline(value), _origins(path, kept)) for path, value in flat(found)]
    if len(lines) > _MOST_LINES or any(len(value) > _MOST_TEXT for _, value, _ in lines):
        origins = ", ".join(sorted({short(entry.origin) for entry in kept.values()}))
        yield from _comment(f"{mechanism.name}.*, too long for here, is from {origins}")
    else:
        for name, value, said in lines:
            line, places = f"# {name} = {value}", ", ".join(sorted(map(short, said)))
            if len(f"{line}  # {places}") <= WIDTH + len("#   "):
                yield f"{line}  # {places}"
            else:
                yield from _comment(f"{places}:")
                yield line
    for entry in entries.values():
        if _written(entry):
            yield f"#   {entry.leaf.setting}, of {short(entry.origin)}: {_written(entry)}"


def _written(entry: Resolved) -> str:
    """What stands in the profile in the place of the value: a text with placeholders."""
    return next((step.place.written for step in entry.steps if step.origin == entry.origin), "")


def _origins(path: tuple[str, ...], entries: Entries) -> Collection[str]:
    """Where a line of a table comes from: the layers that say its member, its setting, or else anything in the table."""
    name, setting = ".".join(path), ".".join(path[:-1])
    said = {
        entry.origin
        for (of, member), entry in entries.items()
        if of == name or (of == setting and member == path[-1]) or (of == setting and path[-1] in ("add", "drop"))
    }
    return said or {entry.origin for entry in entries.values()}
