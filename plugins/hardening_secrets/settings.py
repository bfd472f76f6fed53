"""The `[secrets]` table: which secrets the command is given, where, and which of two uses is the stricter one."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.launch.secret import secrets
from hardening.mechanism.kinds import Kind
from hardening.mechanism.schema import Members, family
from hardening.profile.source import Node, Origin

MOUNT, ENV = secrets.MOUNT, secrets.ENV
NONE = "none"
#: As podman and docker have it.
LONGEST_NAME = 253
NAME_HINT = "1 to 253 bytes, without '=', '/', ',' and NUL, and neither `.` nor `..`"
_KEYS = ("source", "type", "target", "uid", "gid", "mode")
#: What podman reads as the same option.
_ALIASES = {"name": "source", "UID": "uid", "GID": "gid"}
_ITEM = "NAME[,type=mount|env,target=,uid=,gid=,mode=]"
_MAX_ID = 2**32 - 2


@frozen
class Use:
    """How one secret is given. ``target`` is the path of its file, or the name of its variable; ``uid`` and ``gid`` None are
    those of the command. Two uses are equal wherever they were said."""

    name: str
    type: str = MOUNT
    target: str = ""
    uid: int | None = None
    gid: int | None = None
    mode: int = secrets.MODE
    origin: Origin | None = attrs.field(default=None, eq=False)

    @property
    def is_file(self) -> bool:
        """Whether the secret is a file."""
        return self.type == MOUNT

    @property
    def is_usual(self) -> bool:
        """Whether the secret is a file of the command's user in the usual place."""
        return self.is_file and self.target == usual(self.name) and self.uid is None and self.gid is None

    def row(self) -> dict[str, object]:
        """As the configuration names it (`hardening.launch.secret.secrets`)."""
        row: dict[str, object] = {"name": self.name, "type": self.type, "target": self.target}
        if self.is_file:
            row["mode"] = self.mode
            row |= {key: value for key, value in (("uid", self.uid), ("gid", self.gid)) if value is not None}
        return row


def usual(name: str) -> str:
    """Where the file of a secret is unless something else is said."""
    return f"{secrets.PLACE}/{name}"


def of_configuration(secret: secrets.Secret) -> Use:
    """A use as a configuration names it."""
    return Use(secret.name, secret.kind, secret.target, secret.uid, secret.gid, secret.mode)


@frozen(eq=False)
class UseKind(Kind[Use | None]):
    """None (not given) is the strictest. Of two files at one place with one owner the one with fewer rights is stricter. A
    file that only the command's user can read, in the usual place, is stricter than any variable, which every process of the
    command inherits; all else cannot be compared."""

    optional = True

    def parse(self, node: Node) -> Use | None:
        return None if node.raw == NONE else read_item(node)[1]

    def is_no_looser_than(self, a: Use | None, b: Use | None) -> bool:
        if a is None or b is None:
            return a is None
        if _place(a) == _place(b):
            return not a.mode & ~b.mode
        return a.name == b.name and a.is_usual and not b.is_file and not a.mode & ~secrets.MODE

    def intersect(self, a: Use | None, b: Use | None) -> Use | None:
        if a is None or b is None or a.name != b.name:
            return None
        if _place(a) == _place(b):
            return attrs.evolve(a, mode=a.mode & b.mode)
        files = [use for use in (a, b) if use.is_file]
        if len(files) > 1 or not all(use.is_usual for use in files):
            return None
        # Two variables, or one and a file in the usual place: what both have in common is the file.
        mode = files[0].mode & secrets.MODE if files else secrets.MODE
        return Use(a.name, MOUNT, usual(a.name), mode=mode, origin=a.origin)

    def grammar(self) -> str:
        return f'`"{_ITEM}"`, or a table with `name` and these'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": ["string", "object"]}

    def samples(self) -> Sequence[Use | None]:
        return self._uses("db")

    def candidates(self, value: Use | None) -> Sequence[Use | None]:
        """The same file for one more to read, and those of the same secret."""
        if value is None:
            return self.samples()
        return (*(attrs.evolve(value, mode=value.mode | bit) for bit in (0o040, 0o004)), *self._uses(value.name))

    def _uses(self, name: str) -> Sequence[Use | None]:
        plain = Use(name, MOUNT, usual(name))
        return (
            None,
            plain,
            attrs.evolve(plain, mode=0o444),
            attrs.evolve(plain, mode=0o040),
            attrs.evolve(plain, uid=1000),
            attrs.evolve(plain, gid=1000, mode=0o440),
            attrs.evolve(plain, target="/etc/db.key"),
            attrs.evolve(plain, target="/etc/db.key", mode=0o440),
            Use(name, ENV, "DB"),
            Use(name, ENV, "DB_PASSWORD"),
        )

    def show(self, value: Use | None) -> str:
        return NONE if value is None else ",".join((value.name, *_said(value)))

    def dump(self, value: Use | None) -> object:
        if value is not None and "," in value.target:
            return {"name": value.name, **dict(option.split("=", 1) for option in _said(value))}
        return self.show(value)


def _place(use: Use) -> tuple[object, ...]:
    return (use.name, use.type, use.target, use.uid, use.gid)


def _said(value: Use) -> Iterator[str]:
    """The options that `read_item` reads back."""
    yield f"type={value.type}"
    if value.target != (usual(value.name) if value.is_file else value.name):
        yield f"target={value.target}"
    for key, number in (("uid", value.uid), ("gid", value.gid)):
        if number is not None:
            yield f"{key}={number}"
    if value.is_file and value.mode != secrets.MODE:
        yield f"mode={value.mode:04o}"


def is_name(text: str) -> bool:
    """Whether a secret can have this name."""
    fits = 0 < len(text.encode("utf-8", "surrogatepass")) <= LONGEST_NAME
    return fits and text not in (".", "..") and not set(text) & set(",/=\0")


def read_name(node: Node) -> str:
    """The name of a secret."""
    text = node.string()
    if not is_name(text):
        raise node.error(f'"{text}" is not the name of a secret', hint=NAME_HINT)
    return text


def read_item(node: Node) -> tuple[str, Use]:
    """One secret as podman and docker write it, or as a table -> its name and use."""
    values = _from_table(node) if isinstance(node.raw, dict) else _from_text(node)
    name = str(values.pop("source", ""))
    if not is_name(name):
        what = f'"{name}" is not the name of a secret' if name else "no secret is named"
        raise node.error(what, hint=NAME_HINT if name else f"write {_ITEM}")
    kind = values.pop("type", MOUNT)
    if kind not in (MOUNT, ENV):
        raise node.error(f'"{kind}" is not a type of a secret', hint="type=mount, a file, or type=env, a variable")
    target = str(values.pop("target", ""))
    if kind == ENV:
        if values:
            raise node.error(f"{', '.join(values)}: a variable has neither owner nor mode", hint="leave it out")
        return name, Use(name, ENV, _variable(target or name, node), origin=node.origin)
    path = _path(target or name, node)
    numbers = {key: _number(key, value, node) for key, value in values.items()}
    return name, Use(name, MOUNT, path, **numbers, origin=node.origin)


def _from_table(node: Node) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, member in node.members():
        known = _known(key, node)
        if isinstance(member.raw, bool) or not isinstance(member.raw, str | int):
            raise member.error("text or a number is expected", hint='write it in quotes: "text"')
        if known == "mode" and not isinstance(member.raw, str):
            raise member.error("a mode is written in octal digits", hint='as text: mode = "0440"')
        _once(values, known, member.raw, node)
    return values


def _from_text(node: Node) -> dict[str, object]:
    first, *options = node.string().split(",")
    values: dict[str, object] = {}
    if "=" in first:
        options = [first, *options]
    else:
        values["source"] = first
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise node.error(f'"{option}" is not an option of a secret', hint=f"write {_ITEM}")
        _once(values, _known(key, node), value, node)
    return values


def _known(key: str, node: Node) -> str:
    known = _ALIASES.get(key, key)
    if known not in _KEYS:
        hint = nearest(key, (*_KEYS, *_ALIASES)) or f"the options are {', '.join(_KEYS)}"
        raise node.error(f'unknown option "{key}" for a secret', hint=hint)
    return known


def _once(values: dict[str, object], key: str, value: object, node: Node) -> None:
    if key in values:
        raise node.error(f"{'the name' if key == 'source' else key} is given twice", hint="remove one of them")
    values[key] = value


def _path(text: str, node: Node) -> str:
    path = text if text.startswith("/") else f"{secrets.PLACE}/{text}"
    parts = path.split("/")
    if ".." in parts or "\0" in path or path.endswith("/"):
        raise node.error(f'"{text}" is not the path of a file', hint="write it without .. and without / at its end")
    path = "/" + posixpath.normpath(path).lstrip("/")
    if path in ("/", "/run", secrets.PLACE) or path.startswith(("/proc/", "/sys/", "/dev/")) or path == "/dev":
        raise node.error(
            f"{path} cannot be a secret", hint=f"name a file: below {secrets.PLACE} unless it begins with /"
        )
    return path


def _variable(text: str, node: Node) -> str:
    if "=" in text or "\0" in text:
        raise node.error(f'"{text}" is not the name of a variable', hint="write target=NAME")
    return text


def _number(key: str, value: object, node: Node) -> int:
    text = str(value)
    if key == "mode":
        if not re.fullmatch(r"0{0,4}[0-7]{1,3}", text):
            raise node.error(f'"{text}" is not a mode', hint="write octal digits, at most 0777: mode=0440")
        return int(text, 8)
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _MAX_ID:
        raise node.error(f'"{text}" is not a {key}', hint=f"write a number from 0 to {_MAX_ID}, as the command sees it")
    return int(text)


@frozen
class SecretsSettings:
    """Composed `[secrets]`."""

    given: Members[Use | None] = family(
        UseKind(),
        rest=None,
        absent=None,
        read_member=read_name,
        read_item=read_item,
        examples=("db",),
        help="The secrets that the command is given, by name: as a file in memory, by default `/run/secrets/NAME`, which "
        "only the command's user can read, or as a variable. `hardening secret` keeps their values, no profile does.",
    )

    def uses(self) -> list[Use]:
        """The secrets there are, by name."""
        return [use for _, use in sorted(self.given.named.items()) if use is not None]


def leaf(use: Use) -> str:
    """The leaf that decides a use."""
    return f"secrets.given.{use.name}"


def numbers(mapping: Mapping[str, Any], *keys: str) -> list[int]:
    """The integers under some keys of a row of a receipt; those that are none are left out."""
    found = [mapping.get(key) for key in keys]
    return [value for value in found if isinstance(value, int) and not isinstance(value, bool)]
