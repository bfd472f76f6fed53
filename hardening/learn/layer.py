"""A layer of what was learnt: as data to compose, and as a profile that people review."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.base.text import printable
from hardening.base.values import frozen
from hardening.errors import UsageError
from hardening.learn.recording import Recording
from hardening.mechanism.evidence import LearntStatement
from hardening.profile import toml_text as toml
from hardening.profile.source import parse_toml

#: What mechanisms have learnt, by their names.
LearntStatements = Mapping[str, Sequence[LearntStatement]]


@frozen
class Barred:
    """What a run asked for, as the leaf that denies it, and why no layer may have it."""

    leaf: str
    seen: str
    reason: str


def loosened(statements: LearntStatements) -> dict[str, str]:
    """The full names of the leaves that statements loosen, with what was seen of each."""
    found: dict[str, list[str]] = {}
    for statement in (one for lines in statements.values() for one in lines):
        for leaf in sorted(statement.loosens):
            found.setdefault(leaf, []).append(statement.comment)
    return {leaf: "; ".join(dict.fromkeys(comments)) for leaf, comments in found.items()}


def without(statements: LearntStatements, leaves: Iterable[str]) -> LearntStatements:
    """The statements but for those that loosen one of some leaves."""
    gone = frozenset(leaves)
    return {
        name: [statement for statement in lines if gone.isdisjoint(statement.loosens)]
        for name, lines in statements.items()
    }


def tables(statements: LearntStatements, reason: str) -> dict[str, Any]:
    """The data of a layer: the tables of mechanisms, and an exception for each leaf that is loosened."""
    found: dict[str, Any] = {}
    for name, lines in statements.items():
        for statement in lines:
            *parents, last = statement.key
            table = found.setdefault(name, {})
            for parent in parents:
                table = _in(table, parent, {}, statement)
            if statement.element:
                _in(table, last, [], statement).append(statement.value)
            else:
                table[last] = statement.value
    exceptions = [
        {"setting": leaf, "reason": f"{printable(seen)} ({reason})"} for leaf, seen in loosened(statements).items()
    ]
    return {**found, "exceptions": exceptions} if exceptions else found


def _in(table: dict[str, Any], key: str, kind: Any, statement: LearntStatement) -> Any:
    """The table or array at a key, which is made where there is none. Raises `UsageError` where something else is."""
    found = table.setdefault(key, kind)
    if not isinstance(found, type(kind)):
        raise UsageError(
            f"{toml.dotted(statement.key)} is learnt as two different things",
            hint="what is kept of earlier runs (--into) does not go with this one; begin with a new file",
        )
    return found


def reason(recording: Recording) -> str:
    """Why a layer loosens something, for its exceptions: when and how often it was seen."""
    first, last = recording.days
    when = first if first == last else f"{first} to {last}"
    return f"learnt on {when}, to be reviewed"


def text(base: Sequence[str], recording: Recording, statements: LearntStatements, refused: Sequence[Barred]) -> str:
    """The layer as a profile over ``base``, the names of profiles, with a comment at each line, and at its end what no
    layer may have, and what was written and executed. Raises `UsageError` where it would not say what the statements do."""
    found = "\n".join(_lines(base, recording, statements, refused)) + "\n"
    _require_same(found, {"extends": [*base], **tables(statements, reason(recording)), **_learnt(recording)})
    return found


def _require_same(text: str, wanted: Mapping[str, Any]) -> None:
    """Raise `UsageError` where a layer, as every run will read it, has other data than was proved."""
    try:
        text.encode()
        read = parse_toml(text)
    except ValueError:  # also of what is not UTF-8
        read = {}
    read.pop("description", None)
    if read != dict(wanted):
        raise UsageError("what was learnt cannot be written as a layer", hint="rename what has an unusual name")


def _lines(
    base: Sequence[str], recording: Recording, statements: LearntStatements, refused: Sequence[Barred]
) -> Iterator[str]:
    programs = printable(", ".join(sorted({run.program for run in recording.runs})))
    count = len(recording.runs)
    runs = "1 run" if count == 1 else f"{count} runs"
    yield f"description = {toml.inline(f'{programs}: what {runs} asked for')}"
    yield f"extends = {toml.inline(base)}"
    files, tasks, memory = (recording.evidence().peaks.get(name, 0) for name in ("files", "tasks", "memory"))
    if memory:
        yield f"# Most at a time: {-(-memory >> 20)}M of memory, tasks: {tasks}, files that a process had open: {files}."
    for name, lines in statements.items():
        if lines:
            yield ""
            yield f"[{toml.key(name)}]"
            yield from _table(lines)
    for exception in tables(statements, reason(recording)).get("exceptions", ()):
        yield ""
        yield "[[exceptions]]"
        yield from (f"{key} = {toml.inline(value)}" for key, value in exception.items())
    yield ""
    yield "# What was executed: another version may ask for more (`hardening check` says when there is one)."
    yield from _fingerprint(recording)
    if refused:
        yield ""
        yield "# Asked for, and refused by a limit:"
        yield from (_comment(f"- {item.leaf}, {item.seen}: {item.reason}") for item in refused)
    for what, places in recording.paths().items():
        if places and what != "read":  # which are many, and which a layer says nothing of
            yield ""
            yield f"# Paths that were {what}:"
            yield from (_comment(f"- {place}") for place in sorted(places - {os.devnull}))


def _learnt(recording: Recording) -> dict[str, object]:
    return {"learnt": recording.fingerprint().table()}


def _fingerprint(recording: Recording) -> Iterator[str]:
    """What was seen on which software, an item a line."""
    yield "[learnt]"
    for name, value in toml.flat(recording.fingerprint().table()):
        if isinstance(value, list) and len(value) > 1:
            yield f"{toml.dotted(name)} = ["
            yield from (f"  {toml.inline(item)}," for item in value)
            yield "]"
        else:
            yield f"{toml.dotted(name)} = {toml.inline(value)}"


def _comment(text: str) -> str:
    """A comment of one line, whatever it tells of a command."""
    return f"# {printable(text)}"


def _table(lines: Sequence[LearntStatement]) -> Iterator[str]:
    """The lines of one table: each key once, and each element of an array on a line of its own."""
    keys = dict.fromkeys(statement.key for statement in lines)
    for key in keys:
        of_key = [statement for statement in lines if statement.key == key]
        if of_key[0].element:
            yield f"{toml.dotted(key)} = ["
            yield from (f"  {toml.inline(statement.value)},  {_comment(statement.comment)}" for statement in of_key)
            yield "]"
        else:
            yield f"{toml.dotted(key)} = {toml.inline(of_key[-1].value)}  {_comment(of_key[-1].comment)}"
