"""Profiles -> the ordered layers of a stack.

A profile is found by path (`is_path`), or by name in `SearchPath`. ``extends`` puts other profiles before it; the stack
holds each profile once, at its first place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import attrs

from hardening.base import places, state
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.errors import Gathering, ProfileError, quoted
from hardening.profile import exemption
from hardening.profile.exemption import Exemption
from hardening.profile.source import Document, Node, Origin, one_or_more, read

if TYPE_CHECKING:
    from hardening.profile.fingerprint import Fingerprint
    from hardening.profile.metadata import Metadata
    from hardening.profile.signatures import Required, Signature

SUFFIX = ".toml"
#: What a file of assertions is called beside the profile that it is about.
TEST_SUFFIX = f".test{SUFFIX}"
#: What the administrator of the machine says.
MACHINE = Path("/etc/hardening")
#: Whose a folder of profiles is: the caller's own.
USER = "user"
#: The tables of a profile that are no mechanism's.
TABLES = ("exceptions", "limits", "findings", "learnt", "profile")
HEADER = ("description", "extends", "complete", *TABLES)


@frozen(eq=False)
class Layer:
    """A profile at its place in a stack. ``tables`` and ``limits`` hold the mechanisms' tables by name; ``complete`` is
    where it says that it is complete: what nobody has stated so far, it states as the strict default. ``shipped`` is one of
    an installed package, whose users cannot change it, and ``asked`` the first of those by which it came into the stack, or
    itself; ``findings`` is its table of that name, and ``findings_limit`` that of its limits
    (`hardening.mechanism.findings.gate`); ``learnt`` says what it was learnt from, ``metadata`` what it says of
    itself. ``parents`` are those that it extends.
    ``enforced`` is one of the stack that the administrator puts before every other; ``signature`` is the layer's, where one
    is required."""

    name: str
    document: Document
    description: str
    extends: tuple[str, ...]
    tables: Mapping[str, Node]
    limits: Mapping[str, Node]
    exceptions: tuple[Exemption, ...]
    complete: Origin | None = None
    shipped: bool = False
    asked: str = ""
    findings: Node | None = None
    findings_limit: Node | None = None
    learnt: Fingerprint | None = None
    metadata: Metadata | None = None
    parents: tuple[Layer, ...] = ()
    enforced: bool = False
    signature: Signature | None = None

    @property
    def place(self) -> str:
        """The file, or ``command line``."""
        return str(self.document.file) if self.document.file else self.name


@frozen
class SearchDirectory:
    """A place where profiles are looked up; ``owner`` says whose it is, for lists, ``shipped`` that it is a package's."""

    path: Path
    owner: str
    shipped: bool = False


@frozen(eq=False)
class FoundProfile:
    """A profile on the search path; ``owner`` says whose folder it lies in."""

    name: str
    path: Path
    owner: str


@frozen(eq=False)
class SearchPath:
    """The folders for profiles. A name stands for one file: in two folders it is an error, whichever comes first."""

    folders: tuple[SearchDirectory, ...]

    @classmethod
    def standard(cls, shipped: Sequence[SearchDirectory]) -> SearchPath:
        """``/etc/hardening/profiles``, the caller's ``$XDG_CONFIG_HOME/hardening/profiles``, and ``shipped``: none of them
        depends on the place where the caller stands."""
        config = places.xdg(os.environ, "XDG_CONFIG_HOME")
        own = [] if config is None else [SearchDirectory(Path(config, "hardening/profiles"), USER)]
        return cls((SearchDirectory(MACHINE / "profiles", "system"), *own, *shipped))

    @cached_property
    def _shipped(self) -> tuple[str, ...]:
        return tuple(f"{os.path.realpath(folder.path)}/" for folder in self.folders if folder.shipped)

    def ships(self, path: Path) -> bool:
        """Whether a file, by its path without links, is one of an installed package's."""
        return str(path).startswith(self._shipped)

    def of_root(self) -> SearchPath:
        """The folders that are not the caller's."""
        return SearchPath(tuple(folder for folder in self.folders if folder.owner != USER))

    def all(self) -> list[FoundProfile]:
        """Every profile that has a name, sorted; what lies in two folders is there twice."""
        found = [
            FoundProfile(path.stem, path, folder.owner)
            for folder in self.folders
            if folder.path.is_dir()
            for path in folder.path.iterdir()
            if path.suffix == SUFFIX and not path.name.endswith(TEST_SUFFIX)
        ]
        return sorted(found, key=lambda item: item.name)

    def hits(self, name: str) -> list[FoundProfile]:
        """The files that a name stands for; one that is in several folders by links is one."""
        found: dict[str, FoundProfile] = {}
        for folder in self.folders:
            path = folder.path / (name + SUFFIX)
            if name and os.path.lexists(path) and not path.name.endswith(TEST_SUFFIX):
                found.setdefault(os.path.realpath(path), FoundProfile(name, path, folder.owner))
        return list(found.values())

    def find(self, name: str, origin: Origin | None = None) -> FoundProfile:
        """Look a name up. Raises `ProfileError`, with the nearest name, where there is none, and for one that stands for
        more than one file: nobody's profile takes the place of another's. A profile of another user is refused."""
        hits = self.hits(name)
        if not hits:
            known = [found.name for found in self.all()] if name else []
            hint = nearest(name, known) or "`hardening profile list` shows the profiles and where they are looked up"
            raise ProfileError(f'no such profile: "{name}"', origin=origin, hint=hint)
        if len(hits) > 1:
            raise ProfileError(
                f'"{name}" names {len(hits)} profiles: {", ".join(str(item.path) for item in hits)}',
                origin=origin,
                hint=f"name the one that is meant by its path, such as {quoted(str(hits[0].path))}, or rename the others",
            )
        return hits[0]


@frozen(eq=False)
class Stack:
    """The ordered layers; later ones stand closer to the application. ``found`` is what each name that was looked up stood
    for, ``named`` are the profiles that were asked for, as they were typed, and ``consulted`` are the files, each with what
    a look at it gave, that decide which these are beside themselves. ``until`` is the last day on which all are signed."""

    layers: tuple[Layer, ...]
    found: tuple[FoundProfile, ...] = ()
    named: tuple[str, ...] = ()
    consulted: tuple[tuple[Path, str], ...] = ()
    until: date | None = None

    @property
    def refuses_findings(self) -> bool:
        """Whether some layer says which findings refuse a run."""
        return any(layer.findings is not None or layer.findings_limit is not None for layer in self.layers)

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the layers, as absolute paths with their links."""
        found = (layer.document.file for layer in self.layers)
        return tuple(sorted({str(file.absolute()) for file in found if file is not None}))


def is_path(profile: str) -> bool:
    """Whether a profile is named by the path of its file: with a ``/`` or the suffix of profiles."""
    return "/" in profile or profile.endswith(SUFFIX)


def files_below(folder: str) -> Iterator[str]:
    """The paths of the profiles in a folder, and of the assertions beside them, at whatever depth, but what is hidden."""
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (os.path.join(place, name) for name in sorted(names) if name.endswith(SUFFIX) and name[0] != ".")


def resolve(
    profiles: Sequence[str],
    search: SearchPath,
    command_line: Document | None = None,
    consulted: Sequence[tuple[Path, str]] = (),
    reader: Reader | None = None,
    *,
    enforced: Path | None = None,
    signed: Required | None = None,
) -> Stack:
    """The stack of the named profiles, left to right, what each extends before it, the command line last; ``reader`` gives
    the layers of files. The stack of the ``enforced`` profile, of which all is root's, goes before them, and all but that
    are ``signed``.

    Raises `ProfileError` for a profile that does not exist, cannot be read, is part of a cycle, or is not signed.
    """
    reader = reader or read_layer
    first = _Builder(search.of_root(), reader, Owner.ROOT)
    if enforced is not None:
        first.add(str(enforced), None, Path(), ())
    builder = _Builder(search, reader)
    builder.layers = {key: attrs.evolve(layer, enforced=True) for key, layer in first.layers.items()}
    for profile in profiles:
        builder.add(profile, None, Path(), ())
    layers = [*builder.layers.values()]
    looked, until = tuple(consulted), None
    if signed is not None:
        layers, looked, until = _verified(layers, signed, looked)
    if command_line is not None:
        layers.append(_typed(command_line, signed))
    found = (*first.found.values(), *builder.found.values())
    return Stack(tuple(layers), found, tuple(profiles), looked, until)


def _typed(command_line: Document, signed: Required | None) -> Layer:
    """The layer of the command line. Where layers have to be signed it has no exceptions: what a profile may loosen by its
    signature alone, nobody loosens by typing it."""
    layer = parse_layer(command_line)
    if signed is not None and layer.exceptions:
        raise ProfileError(
            f"an exception is for a signed profile, which {signed.origin} requires",
            origin=layer.exceptions[0].origin,
            hint="write it into a profile, and have that signed: `hardening profile sign`",
        )
    return layer


def _verified(
    layers: list[Layer], required: Required, consulted: tuple[tuple[Path, str], ...]
) -> tuple[list[Layer], tuple[tuple[Path, str], ...], date | None]:
    """The layers with their signatures, all files that decide them, and the last day on which these are valid."""
    from hardening.profile import signatures  # on few machines they are required

    # Of a package who could have written it is asked as of code, and the enforced stack is who requires this.
    files = {layer: layer.document.file for layer in layers if not (layer.shipped or layer.enforced)}
    texts = {file: layer.document.text for layer, file in files.items() if file is not None}
    found = signatures.verify(texts, required)
    kept = {layer: found.signatures.get(file) for layer, file in files.items() if file is not None}
    signed = [attrs.evolve(layer, signature=kept.get(layer)) for layer in layers]
    return signed, (*consulted, *found.looked), found.until


class Reader(Protocol):
    """What gives the layer of a file, as `read_layer` does."""

    def __call__(self, path: Path, name: str, *, owner: Owner = Owner.ANY) -> Layer: ...


def read_layer(path: Path, name: str, *, owner: Owner = Owner.ANY) -> Layer:
    """The layer of the profile at ``path``. Raises as `hardening.profile.source.read` and `parse_layer` do."""
    return parse_layer(read(path, name, owner=owner))


class _Builder:
    def __init__(self, search: SearchPath, reader: Reader, owner: Owner | None = None) -> None:
        self.search = search
        self.read = reader
        self.owner = owner
        self.layers: dict[Path, Layer] = {}
        self.found: dict[str, FoundProfile] = {}

    def add(self, profile: str, origin: Origin | None, folder: Path, chain: tuple[tuple[Path, str], ...]) -> Path:
        """Add a profile and those before it. Returns its key."""
        by_path = is_path(profile)
        path, name = self._by_path(profile, folder) if by_path else self._by_name(profile, origin)
        # realpath(3) of a loop of links is no error here: reading the file is, and says so.
        key = Path(os.path.realpath(path))
        if key in (seen for seen, _ in chain):
            names = [name for _, name in chain] + [name]
            raise ProfileError(f"`extends` is circular: {' -> '.join(names)}", origin=origin, hint="remove one of them")
        if key in self.layers:
            return key
        if len(chain) > 64:
            raise ProfileError("`extends` goes deeper than 64 profiles", origin=origin, hint="merge some of them")
        if origin is not None and not os.path.lexists(path):
            hint = "a path in `extends` is relative to the directory of the profile with the `extends`"
            raise ProfileError(f"extends {profile}, and there is no {path}", origin=origin, hint=hint)
        layer = self.read(path, name, owner=self.owner or (Owner.ANY if by_path else Owner.OWN))
        extended = zip(layer.extends, _extends(layer.document.root), strict=True)
        before = [self.add(parent, node.origin, path.parent, (*chain, (key, name))) for parent, node in extended]
        asked = next((above for place, above in chain if self.search.ships(place)), name)
        parents = tuple(self.layers[one] for one in before)
        self.layers[key] = attrs.evolve(layer, shipped=self.search.ships(key), asked=asked, parents=parents)
        return key

    def _by_path(self, profile: str, folder: Path) -> tuple[Path, str]:
        path = Path(os.path.normpath(folder / state.expanded(profile)))
        return path, path.name.removesuffix(SUFFIX)

    def _by_name(self, profile: str, origin: Origin | None) -> tuple[Path, str]:
        if profile not in self.found:
            self.found[profile] = self.search.find(profile, origin)
        return self.found[profile].path, profile


def _extends(root: Node) -> list[Node]:
    node = root.get("extends")
    return one_or_more(node) if node is not None else []


def parse_layer(document: Document, faults: Gathering | None = None) -> Layer:
    """Split a document into header, exceptions, limits and mechanism tables. What is wrong in these ``faults`` have, and the
    layer has not; it is raised where that is None."""
    root, each = document.root, faults or Gathering()
    description, complete, limits, exceptions = map(root.get, ("description", "complete", "limits", "exceptions"))
    limited = dict(each.attempt(lambda: [*limits.members()]) or ()) if limits is not None else {}
    listed = each.attempt(lambda: [*exceptions.items(tables=True)]) if exceptions is not None else None
    is_complete = each.attempt(complete.boolean) if complete is not None else False
    found = Layer(
        name=document.name,
        document=document,
        description=each.attempt(description.string) or "" if description is not None else "",
        extends=each.attempt(lambda: tuple(node.string() for node in _extends(root))) or (),
        tables=MappingProxyType(
            {key: node for key, node in root.members() if key not in HEADER and _is_table(node, each)}
        ),
        limits=MappingProxyType({key: node for key, node in limited.items() if key != "findings"}),
        exceptions=tuple(exemption.read_all(listed or (), each)),
        complete=complete.origin if complete is not None and is_complete else None,
        findings=root.get("findings"),
        findings_limit=limited.get("findings"),
        learnt=each.attempt(lambda: _learnt(root.get("learnt"))),
        metadata=each.attempt(lambda: _metadata(root.get("profile"), each)),
    )
    if faults is None:
        each.raise_all()
    return found


def _is_table(node: Node, each: Gathering) -> bool:
    if isinstance(node.raw, dict):
        return True
    hint = nearest(node.dotted, HEADER) or f"a profile has {', '.join(HEADER)} and tables"
    each.problems.append(node.error("unknown key", hint=hint))
    return False


def _metadata(node: Node | None, each: Gathering) -> Metadata | None:
    if node is None:
        return None
    from hardening.profile import metadata

    return metadata.read(node, each)


def _learnt(node: Node | None) -> Fingerprint | None:
    if node is None:
        return None
    from hardening.profile import fingerprint  # few layers were

    return fingerprint.read(node)
