"""registries.d: where the signatures of a registry's images are kept (containers-registries.d(5)).

The man page says that the nearest scope is taken; the programs look for each field by itself, from the nearest scope on,
and so does this.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base import state, wholefile
from hardening.base.text import nearest
from hardening.errors import ProfileError
from hardening_trust.kinds import FIELDS, Lookaside

if TYPE_CHECKING:
    import yaml

#: What a distribution ships, and what an administrator says; below the caller's home is what the caller does.
BASES = (Path("/usr/share/containers"), Path("/etc/containers"))
USER = Path(".config/containers/registries.d")
#: Where signatures are where no file says so: root's place, and below an ordinary user's home.
SYSTEM_STORE = Path("/var/lib/containers/sigstore")
USER_STORE = Path(".local/share/containers/sigstore")
LONGEST = 1 << 20

LOOKASIDE, STAGING, ATTACHMENTS = FIELDS
#: The names that fields once had.
_OLD = MappingProxyType({LOOKASIDE: "sigstore", STAGING: "sigstore-staging"})
_FIELDS = (LOOKASIDE, STAGING, *_OLD.values(), ATTACHMENTS)


@attrs.frozen
class Registries:
    """The fields of each scope, ``""`` being `default-docker`; what they do not say, ``below`` says."""

    scopes: Mapping[str, Mapping[str, str | bool]]
    below: Registries | None = None

    def read_from(self, scopes: Sequence[str]) -> str:
        """The URL below which signatures are read, for an image with these scopes, the nearest first."""
        return str(self._find(scopes, LOOKASIDE) or _builtin())

    def written_to(self, scopes: Sequence[str]) -> str:
        """The URL below which signatures are written. In one scope the staging area comes before the place to read."""
        return str(self._find(scopes, STAGING, LOOKASIDE) or _builtin())

    def has_attachments(self, scopes: Sequence[str]) -> bool:
        """Whether sigstore attachments are looked for in the registry."""
        return self._find(scopes, ATTACHMENTS) is True

    def says_of_attachments(self, scopes: Sequence[str]) -> bool:
        """Whether anything is said of sigstore attachments."""
        return self._find(scopes, ATTACHMENTS) is not None

    def places(self) -> dict[str, Lookaside]:
        """What is said of each scope, under the names that fields have now."""
        return {scope: self._place(said) for scope, said in self.scopes.items()}

    def _place(self, said: Mapping[str, str | bool]) -> Lookaside:
        read, write = (str(said.get(name) or said.get(_OLD[name]) or "") for name in (LOOKASIDE, STAGING))
        attachments = said.get(ATTACHMENTS)
        return Lookaside(read, write, None if attachments is None else attachments is True)

    def _find(self, scopes: Sequence[str], *fields: str) -> str | bool | None:
        """The first value that the nearest scope gives which gives one; an empty URL is none."""
        for scope in (*scopes, ""):
            said = self.scopes.get(scope, {})
            for field in fields:
                for name in (field, _OLD.get(field, field)):
                    if said.get(name) not in (None, ""):
                        return said[name]
        return None if self.below is None else self.below._find(scopes, *fields)


def directories(uid: int | None = None) -> list[Path]:
    """The directories that containers tools read for a user, the caller where none is named, since podman 6: a file in a
    later one replaces those of its name in earlier ones, and all that are left count together."""
    uid = os.geteuid() if uid is None else uid
    names = ["registries.rootless.d", f"registries.rootless.d/{uid}"] if uid else ["registries.rootful.d"]
    home = state.home()
    found = [base / name for base in BASES for name in ("registries.d", *names)]
    return found if home is None else [*found, home / USER]


def configured(directory: Path | None = None) -> Registries:
    """What the files of ``directory`` say, or those of containers tools. Raises as `read`."""
    return read(*directories()) if directory is None else read(directory)


def over(places: Mapping[str, Lookaside], below: Registries) -> Registries:
    """What a stack says of where signatures lie, by scope, ``""`` being that of all, before what files say."""
    return Registries({scope: place.fields for scope, place in places.items()}, below)


def files(*directories: Path) -> list[Path]:
    """The files of directories that count, sorted by their names; none of a directory that is not there. Raises
    `ProfileError`."""
    found: dict[str, Path] = {}
    for directory in directories:
        try:
            found |= {path.name: path for path in directory.iterdir() if path.suffix == ".yaml"}
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ProfileError(
                f"cannot read registries.d: {error.strerror}", origin=directory, hint="name a directory"
            ) from None
    return [found[name] for name in sorted(found)]


def read(*directories: Path) -> Registries:
    """All files of directories that count. Raises `ProfileError` with file and line for what is malformed, unknown, or said
    twice."""
    scopes: dict[str, dict[str, str | bool]] = {}
    origins: dict[str, str] = {}
    for path in files(*directories):
        for scope, origin, fields in _read(path):
            if scope in scopes:
                what = f'"docker" namespace "{scope}"' if scope else '"default-docker"'
                raise ProfileError(
                    f"{what} is defined twice",
                    origin=origin,
                    hint=f"it is already at {origins[scope]}; a file of the same name would replace that one",
                )
            scopes[scope], origins[scope] = fields, origin
    return Registries(scopes)


def dump(places: Mapping[str, Lookaside]) -> str:
    """The text of a file that names these places, by scope, ``""`` being `default-docker`."""
    import json

    def fields(place: Lookaside, indent: str) -> list[str]:
        return [f"{indent}{name}: {json.dumps(said, ensure_ascii=False)}" for name, said in place.fields.items()]

    lines: list[str] = []
    if "" in places:
        lines += ["default-docker:", *fields(places[""], "  ")]
    named = sorted(scope for scope in places if scope)
    lines += ["docker:"] if named else ["docker: {}"]
    for scope in named:
        # A JSON string is a YAML string.
        lines += [f"  {json.dumps(scope, ensure_ascii=False)}:", *fields(places[scope], "    ")]
    return "\n".join(lines) + "\n"


def _builtin() -> str:
    home = state.home() if os.geteuid() else None
    return (SYSTEM_STORE if home is None else home / USER_STORE).as_uri()


def _read(path: Path) -> Iterator[tuple[str, str, dict[str, str | bool]]]:
    """Each scope of a file, with its place and its fields."""
    root = _composed(path)
    if root is None:
        return
    for key, place, value in _members(root, path):
        if key == "default-docker":
            yield "", place, _fields(value, path)
        elif key == "docker":
            for scope, at, inner in _members(value, path):
                if not scope:
                    raise ProfileError("a scope is empty", origin=at, hint="what holds for all is default-docker")
                yield scope, at, _fields(inner, path)
        else:
            known = ("default-docker", "docker")
            raise ProfileError(
                f'unknown key "{key}"', origin=place, hint=nearest(key, known) or f"known: {', '.join(known)}"
            )


def _composed(path: Path) -> yaml.Node | None:
    """The YAML nodes of a file: they know their lines, and repeated keys are still there to be seen."""
    import yaml

    data = wholefile.read_trusted(path, "it", LONGEST, hint="check its permissions")
    try:
        node: yaml.Node | None = yaml.compose(data, Loader=yaml.SafeLoader)
    # PyYAML leaves numbers and code points to Python; which error chr() raises depends on its version.
    except (yaml.YAMLError, OverflowError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        origin = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ProfileError(f"it is not YAML: {problem}", origin=origin, hint="see containers-registries.d(5)") from None
    return node


def _members(node: yaml.Node, path: Path) -> Iterator[tuple[str, str, yaml.Node]]:
    """Key, place and value of each member of a mapping; an empty value is an empty mapping."""
    import yaml

    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return
    if not isinstance(node, yaml.MappingNode):
        raise ProfileError("a mapping is expected", origin=_place(path, node), hint="see containers-registries.d(5)")
    seen: set[str] = set()
    for key, value in node.value:
        place = _place(path, key)
        if not isinstance(key, yaml.ScalarNode):
            raise ProfileError("a key is not text", origin=place, hint="see containers-registries.d(5)")
        _require_characters(key.value, place)
        if key.value in seen:
            raise ProfileError(f'duplicate key "{key.value}"', origin=place, hint="remove one of them")
        seen.add(key.value)
        yield key.value, place, value


def _fields(node: yaml.Node, path: Path) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {}
    for name, place, value in _members(node, path):
        if name not in _FIELDS:
            hint = nearest(name, _FIELDS) or f"known: {', '.join(_FIELDS)}"
            raise ProfileError(f'unknown key "{name}"', origin=place, hint=hint)
        found[name] = _flag(value, place) if name == ATTACHMENTS else _text(value, place)
    return found


def _text(node: Any, place: str) -> str:
    if node.tag != "tag:yaml.org,2002:str" or not isinstance(node.value, str):
        raise ProfileError("a URL is expected", origin=place, hint="write file:///DIRECTORY or https://HOST/PATH")
    _require_characters(node.value, place)
    return node.value


def _require_characters(text: str, place: str) -> None:
    """Refuse a half of a surrogate pair, which PyYAML takes (``\\ud800``) and which no file can hold (RFC 3629)."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ProfileError("\\uD800 to \\uDFFF are no characters", origin=place, hint="see containers-registries.d(5)")


def _flag(node: Any, place: str) -> bool:
    if node.tag != "tag:yaml.org,2002:bool":
        raise ProfileError("true or false is expected", origin=place, hint="write true, to look for attachments")
    return str(node.value).lower() in ("true", "yes", "on")


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"
