"""Which leaves a question means, and how their stories are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from itertools import accumulate
from typing import Any

import attrs

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import ProfileError, UsageError, quoted
from hardening.mechanism.findings import gates as gates_of
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.schema import WILDCARD, Family, Leaf
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Layer
from hardening.profile.source import Document, Node, command_line
from hardening.report.image_defaults import ShownDefault
from hardening.report.places import shortener
from hardening.report.table import Table, wrapped
from hardening.why.attempt import Pending

#: What stands for an image in the place of a layer's name.
IMAGE = "image"
#: Most leaves that one hint names.
MEANT = 3
#: What only a family has for a member that takes any name.
_NO_NAME = "?"
_CALL = re.compile(r"(?P<table>[^.()]+)\.(?P<key>[^()]+)\((?P<arguments>[^()]*)\)")


@frozen
class Answer:
    """The leaves that a question means; ``single`` where it names one of them. ``inside`` is the member that was asked for
    where another answers for it, that it lies in."""

    leaves: tuple[Resolved, ...]
    single: bool
    inside: str = ""


@frozen
class Question:
    """A question about a leaf with arguments: ``name`` is the leaf's, ``result`` what the mechanism answers."""

    name: str
    arguments: tuple[str, ...]
    result: str


def meant(mechanisms: Iterable[Mechanism[Any]], host: Host, question: str) -> str:
    """A question in the names of profiles, where it is in those of the kernel's log: ``seccomp.41`` or ``seccomp.41(2)``."""
    table, _, below = question.partition(".")
    mechanism = next((item for item in mechanisms if item.name == table and below), None)
    if mechanism is None:
        return question
    key, bracket, arguments = below.partition("(")
    return f"{table}.{mechanism.meant(key, host)}{bracket}{arguments}"


def ask(composition: Composition, context: Context, question: str) -> Question | None:
    """The answer to ``TABLE.KEY(ARGUMENT, ...)``, or None for a question of another form, which may still be a name.
    Raises `UsageError` for arguments that the leaf cannot have."""
    match = _CALL.fullmatch(question)
    mechanism = composition.mechanism(match["table"]) if match is not None else None
    if match is None or mechanism is None:
        return None
    arguments = tuple(part.strip() for part in match["arguments"].split(",")) if match["arguments"].strip() else ()
    result = mechanism.answer(composition.settings[mechanism.name], context, match["key"], arguments)
    return Question(f"{match['table']}.{match['key']}", arguments, result) if result is not None else None


def find(composition: Composition, question: str, host: Host | None = None) -> Answer:
    """The leaves that ``TABLE``, ``TABLE.SETTING`` or ``TABLE.KEY`` mean. A member of a family that no layer names has
    the value of all others. Raises `UsageError` with the nearest name, or `ProfileError` for what is no member."""
    table, _, below = question.partition(".")
    mechanism = composition.mechanism(table)
    if mechanism is None:
        names = [item.name for item in composition.mechanisms]
        meant = elsewhere(composition.mechanisms, question, composition.leaves)
        hint = meant or nearest(table, names) or f"the tables are {', '.join(names)}"
        raise UsageError(f'there is no table "{table}"', origin=question, hint=hint)
    own = tuple(entry for leaf, entry in sorted(composition.leaves.items()) if leaf.mechanism == table)
    if not below:
        return Answer(own, False)
    inside = tuple(entry for entry in own if str(entry.leaf).startswith(question + "."))
    if inside and below in {*mechanism.schema.settings, *_prefixes(mechanism)}:
        return Answer(inside, False)
    named = [entry for part in mechanism.expand(below) for entry in _named(composition, mechanism, question, part)]
    found = named or [entry for entry in own if str(entry.leaf) == question]  # some layer has a name for it at least
    if len(found) == 1 and host is not None and found[0].leaf not in composition.leaves:
        leaf = found[0].leaf
        above = mechanism.covering(composition.settings[table], host, leaf.setting, leaf.member)
        if above is not None:
            return Answer((composition.leaves[mechanism.leaf(leaf.setting, above)],), True, str(leaf))
    if not found:
        known = [str(entry.leaf).removeprefix(f"{table}.") for entry in own]
        hint = nearest(below.partition("(")[0], known) or f"`hardening explain {quoted(table)}` lists what there is"
        raise UsageError(f'there is no "{below}" in {table}', origin=question, hint=hint)
    return Answer(tuple(found), len(found) == 1)


def elsewhere(mechanisms: Iterable[Mechanism[Any]], name: str, leaves: Iterable[Leaf] = ()) -> str | None:
    """A hint for the name of a setting, of its option, or of a member of a family, that was written without its table."""
    found = [str(item.leaf(setting)) for item in mechanisms for setting in item.schema.settings
             if name in (setting, setting.rpartition(".")[2]) and setting != "requirement"]  # fmt: skip
    found += [str(leaf) for leaf in leaves if leaf.member and leaf.member.upper() == name.upper().removeprefix("CAP_")]
    found += members(mechanisms, name)
    found += [
        f"{item.name}.{option.key}" for item in mechanisms for option in item.options() if f"--{name}" in option.flags
    ]
    known = list(dict.fromkeys(found))[:MEANT]
    return f"did you mean {' or '.join(known)}?" if known else None


def members(mechanisms: Iterable[Mechanism[Any]], name: str) -> list[str]:
    """The full names of the leaves of a name, of a system call or a capability, that stand in a table by themselves."""
    return [str(item.leaf("", member)) for item in mechanisms for member in whole_table_members(item, name)]


def whole_table_members(mechanism: Mechanism[Any], name: str) -> Iterator[str]:
    """The member with this name, whether or not a layer has it, of the family that is a mechanism's own table; none of a
    family that takes any name."""
    family = mechanism.schema.settings.get("")
    if not isinstance(family, Family):
        return
    read: dict[str, str] = {}
    for text in (name, _NO_NAME):
        with suppress(ProfileError):
            read[text] = family.read_member(Node(text, (mechanism.name,), command_line({}, {})))
    if name in read and _NO_NAME not in read:
        yield read[name]


def _prefixes(mechanism: Mechanism[Any]) -> Iterator[str]:
    for name in mechanism.schema.settings:
        yield from accumulate(name.split(".")[:-1], "{}.{}".format)


def _named(composition: Composition, mechanism: Mechanism[Any], question: str, name: str) -> Iterator[Resolved]:
    hit = mechanism.schema.find(name)
    if hit is None:
        known = [*mechanism.schema.settings, *_prefixes(mechanism)]
        hint = (
            nearest(name.partition("(")[0], known)
            or f"`hardening explain {quoted(mechanism.name)}` lists what there is"
        )
        raise UsageError(f'there is no setting "{name}" in {mechanism.name}', origin=question, hint=hint)
    setting, member = hit
    if isinstance(setting, Family) and not member:
        whole = (mechanism.name, setting.name)
        yield from (
            entry for leaf, entry in sorted(composition.leaves.items()) if (leaf.mechanism, leaf.setting) == whole
        )
        return
    if isinstance(setting, Family) and member != WILDCARD:
        node = Node(member, (mechanism.name,), command_line({}, {(mechanism.name,): question}))
        member = setting.read_member(node)
    leaf = mechanism.leaf(setting.name, member)
    yield attrs.evolve(composition.at(mechanism, setting.name, member), leaf=leaf)


def history(
    entry: Resolved, pending: Sequence[Pending], offered: Sequence[ShownDefault] = (), image: str = ""
) -> Table:
    """What an image, if there is one, and every layer say about one leaf."""
    rows = [
        (IMAGE, item.said, f"{item.outcome}: {item.why}" if item.why else item.outcome, "", image, "")
        for item in offered
    ]
    rows += [
        (step.layer, step.said, str(step.outcome), step.value, step.origin, _reason(step.exception))
        for step in entry.steps
    ]
    rows += [(item.layer, item.said, item.outcome, "", item.origin, "") for item in pending]
    return Table(("layer", "said", "outcome", "value then", "place", "exception"), tuple(rows), expands=True)


def _reason(exception: Any) -> str:
    return f"{exception.reason} ({exception.origin})" if exception is not None else ""


def summaries(composition: Composition) -> list[dict[str, Any]]:
    """A row for every mechanism: ``mechanism``, ``requirement``, how many of its leaves are ``stated``, ``limited``, and
    ``excepted`` (permitted by an exception, as they are), and its ``summary``."""
    rows = []
    for mechanism in composition.mechanisms:
        own = [entry for leaf, entry in composition.leaves.items() if leaf.mechanism == mechanism.name]
        rows.append(
            {
                "mechanism": mechanism.name,
                "requirement": "required" if composition.required(mechanism.name) else "best-effort",
                "stated": sum(entry.stated for entry in own),
                "limited": sum(bool(entry.limit_origin) for entry in own),
                "excepted": sum(entry.exception is not None for entry in own),
                "summary": mechanism.summary,
            }
        )
    return rows


def summary(composition: Composition) -> Table:
    """The mechanisms as a table."""
    rows = tuple(tuple(map(str, row.values())) for row in summaries(composition))
    columns = ("mechanism", "requirement", "stated", "limited", "excepted", "what it does")
    return Table(columns, rows, "mechanisms", last="what it does", narrow=("what it does",))


def tree(layers: Sequence[Layer], width: int | None = None) -> list[str]:
    """The stack as a tree of what extends what, with each layer's place in the order: its lines, with a ``width`` wrapped to
    that and with places in short."""
    order = {layer.document: index for index, layer in enumerate(layers, 1)}  # two may have the same name
    extended = {parent.document for layer in layers for parent in layer.parents}
    drawn = [part for layer in layers if layer.document not in extended for part in _branch(layer, order, "", "")]
    if width is None:
        return [first + words for first, _, words in drawn]
    in_short = shortener(layers)
    return [line for first, following, words in drawn for line in wrapped(in_short(words), first, following, width)]


def _branch(layer: Layer, order: Mapping[Document, int], first: str, following: str) -> Iterator[tuple[str, str, str]]:
    """What stands before the first line of each layer, before its others, and its words."""
    words = (f"{order[layer.document]}. {layer.name}", layer.description, f"({layer.place})")
    parents = [parent for parent in layer.parents if parent.document in order]
    yield first, following + ("│  " if parents else "   "), "  ".join(filter(None, words))
    for index, parent in enumerate(parents, 1):
        last = index == len(parents)
        yield from _branch(
            parent, order, following + ("└─ " if last else "├─ "), following + ("   " if last else "│  ")
        )


def exceptions(layers: Sequence[Layer], today: date) -> Table:
    """The exceptions of all layers, those that end first above."""
    found = sorted((item for layer in layers for item in layer.exceptions), key=lambda item: item.expires or date.max)
    rows = tuple((item.setting, item.reason, item.ticket, _ends(item, today), str(item.origin)) for item in found)
    return Table(("setting", "reason", "ticket", "ends", "place"), rows, "exceptions", expands=True)


def gates(layers: Sequence[Layer]) -> Table:
    """Which findings refuse a run, by the layer that says so."""
    rows = tuple(
        (rule or "all others", str(gate.rules.get(rule, gate.refuse) or "never"), str(place))
        for gate in gates_of(layers)
        for rule, place in sorted(gate.places.items(), reverse=True)
    )
    return Table(("rule", "refuses from", "place"), rows, "findings that refuse")


def _ends(exception: Exemption, today: date) -> str:
    if exception.expires is None:
        return ""
    return f"{exception.expires} ({(exception.expires - today).days} days)"
