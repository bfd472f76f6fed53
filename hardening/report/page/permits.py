"""What the command of a stack may do, asked of the mechanisms as ``why`` and ``explain`` ask them: names, files, network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

import attrs

from hardening.assemble.pipeline import Assembly
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError
from hardening.mechanism.denial import PathAccess
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.schema import WILDCARD, Family
from hardening.report.explain import whole_table_members
from hardening.why import question

#: What is asked of the network: in words, and as `hardening why` is asked it (RFC 5737 has the addresses, which nobody has).
_NETWORK = {
    "open a UNIX socket": "socket(1, 1)",
    "connect to a host, TCP port 443": "192.0.2.1:443",
    "connect to a host, UDP port 53": "192.0.2.1:53/udp",
    "serve at TCP port 8080": ":8080",
    "serve at TCP port 80": ":80",
    "see all packets": "socket(17, 3)",
}
#: The namespaces of the OCI runtime specification (config-linux.md, "Namespaces"), with what each keeps apart.
_NAMESPACES = {
    "user": "ids and capabilities",
    "pid": "processes",
    "mount": "mounts",
    "network": "network",
    "ipc": "shared memory and message queues",
    "uts": "host name",
    "cgroup": "control groups",
    "time": "clocks since boot",
}


class Degree(StrEnum):
    """How much of something is permitted."""

    ALLOWED = "allowed"
    PARTLY = "partly"
    DENIED = "denied"


@frozen(eq=False)
class NamePermission:
    """One name of a matrix, with its value in words, its leaf, and what that means more than any other of the matrix."""

    name: str
    degree: Degree
    value: str
    leaf: str
    meaning: str


@frozen(eq=False)
class Matrix:
    """All names of a mechanism whose table is one family: capabilities, system calls. ``rest`` is what becomes of a name
    that nobody has said anything of."""

    title: str
    summary: str
    permissions: tuple[NamePermission, ...]
    rest: NamePermission

    def of(self, degree: str) -> list[NamePermission]:
        """The permissions of a degree."""
        return [item for item in self.permissions if item.degree == degree]


@frozen(eq=False)
class TreePlace:
    """A place of the command's file tree: its path, and its name below the place that it lies in; what it may do there;
    ``why`` not more, and the leaf that says so. ``absent`` is what the host has
    not either. ``below`` are the places that lie in it."""

    path: str
    name: str
    may: frozenset[PathAccess]
    why: str
    decided_by: str
    absent: bool = False
    below: tuple[TreePlace, ...] = ()

    @property
    def seen(self) -> bool:
        """Whether it is there for the command."""
        return PathAccess.SEEN in self.may

    @property
    def kind(self) -> str:
        """In a word."""
        if self.seen:
            return "writable" if PathAccess.WRITABLE in self.may else "read-only"
        return "absent" if self.absent else "hidden"

    @property
    def all_below(self) -> Iterator[TreePlace]:
        """All places that lie in it, at whatever depth."""
        for place in self.below:
            yield place
            yield from place.all_below


@frozen(eq=False)
class NetworkAnswer:
    """What is asked of the network, and why not; ``denials`` is empty where nothing denies it."""

    asked: str
    denials: tuple[tuple[str, str], ...]


@frozen(eq=False)
class Permits:
    """All of it."""

    matrices: tuple[Matrix, ...]
    root: TreePlace
    network: tuple[NetworkAnswer, ...]
    namespaces: tuple[tuple[str, str, str], ...]

    @property
    def places(self) -> tuple[TreePlace, ...]:
        """Every place of the file tree."""
        return (self.root, *self.root.all_below)


def permitted(assembly: Assembly) -> Permits:
    """What the command of an assembly may do on this host."""
    composition, context = assembly.composition, assembly.context
    return Permits(
        tuple(_matrices(composition)),
        _tree(composition, context, assembly.spec.document),
        tuple(_network(composition, context)),
        tuple(_namespaces(assembly.spec.document)),
    )


def _matrices(composition: Composition) -> Iterator[Matrix]:
    for mechanism in composition.mechanisms:
        family = mechanism.schema.settings.get("")
        if isinstance(family, Family):
            # Who looks for a system call wants to find it, whether or not a layer has its name; and what no call of this
            # machine is called permits nothing here.
            calls = {name for name in question.names() if name in whole_table_members(mechanism, name)}
            stated = {
                leaf.member for leaf in composition.leaves if (leaf.mechanism, leaf.setting) == (mechanism.name, "")
            }
            named = {WILDCARD, *calls} if calls else stated
            found = {
                member: _permission(mechanism, family, member, composition.at(mechanism, "", member))
                for member in sorted(named)
            }
            rest = found.pop(WILDCARD)
            if found:
                yield Matrix(mechanism.name, mechanism.summary, tuple(found.values()), rest)


def _permission(mechanism: Mechanism[Any], family: Family[Any], member: str, entry: Resolved) -> NamePermission:
    leaf = mechanism.leaf("", member)
    kind, value = entry.kind, entry.value
    if kind.is_no_looser_than(value, family.absent):
        degree = Degree.DENIED
    else:
        degree = Degree.ALLOWED if kind.is_loosest(value) else Degree.PARTLY
    meaning = mechanism.meaning(leaf).removeprefix(family.help).strip()
    return NamePermission(member, degree, entry.shown, str(leaf), meaning)


def _tree(composition: Composition, context: Context, document: Mapping[str, Any]) -> TreePlace:
    """The places that a configuration or a leaf names, as a tree."""
    linux = document.get("linux", {})
    paths = {str(mount["destination"]) for mount in document.get("mounts", ())}
    paths |= {*linux.get("maskedPaths", ()), *linux.get("readonlyPaths", ())}
    paths |= {leaf.member for leaf in composition.leaves if leaf.member.startswith("/") and "*" not in leaf.member}
    places: dict[str, TreePlace] = {}
    for path in sorted({"/", *paths}):
        found = _place(composition, context, path)
        if found is not None:
            places[path] = found
    return _with_below(places["/"], {path: _above(path, places) for path in places if path != "/"}, places)


def _with_below(place: TreePlace, above: Mapping[str, str], places: Mapping[str, TreePlace]) -> TreePlace:
    """A place with those that lie in it, what is seen first; ``above`` is where each place lies."""
    below = [
        attrs.evolve(_with_below(places[path], above, places), name=path.removeprefix(place.path).lstrip("/"))
        for path, parent in above.items()
        if parent == place.path
    ]
    return attrs.evolve(place, below=tuple(sorted(below, key=lambda item: (not item.seen, item.absent, item.path))))


def _above(path: str, places: Mapping[str, TreePlace]) -> str:
    return next(str(parent) for parent in PurePosixPath(path).parents if str(parent) in places)


def _place(composition: Composition, context: Context, path: str) -> TreePlace | None:
    """A place by the answers of whoever answers for paths; None where nobody does, or where it cannot be told."""
    try:
        found = [answer for _, answer in question.path_answers(composition, context, path)]
        answers = {answer.asked: answer for answer in sorted(found, key=lambda answer: bool(answer.denied))}
    except HardeningError:
        return None
    seen = answers.get(PathAccess.SEEN)
    if seen is None:
        return TreePlace(path, path, frozenset({PathAccess.SEEN}), "", "") if path == "/" else None
    may = frozenset(asked for asked, answer in answers.items() if not answer.denied)
    decides = answers.get(PathAccess.WRITABLE, seen) if PathAccess.SEEN in may else seen
    return TreePlace(path, path, may, decides.denied, decides.leaf, bool(seen.denied) and not seen.errors)


def _network(composition: Composition, context: Context) -> Iterator[NetworkAnswer]:
    for words, asked in _NETWORK.items():
        found: dict[str, str] = {}
        for calls in question.calls_of(asked, context).values():
            for call in calls:
                for _, _, cause in question.denied(composition, context, call):
                    found.setdefault(cause.leaf, cause.what)
        yield NetworkAnswer(words, tuple((what, leaf) for leaf, what in found.items()))


def _namespaces(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each namespace: its name, what it keeps apart, and whose it is."""
    own = {str(item["type"]): str(item.get("path", "")) for item in document.get("linux", {}).get("namespaces", ())}
    for name, apart in _NAMESPACES.items():
        yield name, apart, (own[name] or "its own") if name in own else "the host's"
