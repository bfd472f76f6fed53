"""Writable places in memory: how they are written, and which of two is the stricter one (tmpfs(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from hardening.base.text import nearest
from hardening.base.units import show_size
from hardening.base.values import frozen
from hardening.mechanism.kinds import Ceiling, Kind
from hardening.mechanism.roles import RIGHTS
from hardening.mechanism.schema import WILDCARD, Family, Statement, require_absent
from hardening.profile.source import Node
from hardening_rootfs.paths import destination

NONE = "none"
SIZE = Ceiling(low=4096, size=True, unit="bytes")
DEFAULT_SIZE = 64 << 20
SHARED = 0o1777
STICKY = 0o1000
#: What a place in memory may permit beyond being written to -> the option that takes it away.
FLAGS = {right: without for right, without in RIGHTS.items() if right != "rw"}
_OPTIONS = ("size", "mode", "rw", *FLAGS, *FLAGS.values())
_KEYS = ("size", "mode", *FLAGS)
_HINT = "a tmpfs has size=, mode=, exec, suid and dev"


@frozen
class Tmpfs:
    """One tmpfs: ``size`` in bytes, ``mode`` of its top directory as for chmod(2), ``rights`` are of `FLAGS`."""

    size: int = DEFAULT_SIZE
    mode: int = SHARED
    rights: frozenset[str] = frozenset()

    def options(self) -> list[str]:
        """Mount options. The number of files is bounded with the size: empty files take kernel memory, too."""
        flags = [flag if flag in self.rights else without for flag, without in FLAGS.items()]
        return [*flags, "rprivate", f"mode={self.mode:o}", f"size={self.size}", f"nr_inodes={self.inodes}"]

    @property
    def inodes(self) -> int:
        """The number of files, directories and links."""
        return max(1024, self.size // 1024)


@frozen(eq=False)
class TmpfsKind(Kind[Tmpfs | None]):
    """None (no tmpfs) is the strictest; a smaller one with fewer rights is stricter than a larger one with more."""

    optional = True

    def parse(self, node: Node) -> Tmpfs | None:
        if isinstance(node.raw, str):
            return None if node.raw == NONE else _from_text(node.raw, node)
        if isinstance(node.raw, int) and not isinstance(node.raw, bool):
            return Tmpfs(SIZE.parse(node))
        return _from_table(node)

    def is_no_looser_than(self, a: Tmpfs | None, b: Tmpfs | None) -> bool:
        if a is None or b is None:
            return a is None
        return (
            a.size <= b.size
            and a.rights <= b.rights
            and not a.mode & ~b.mode & 0o777
            and bool(a.mode & STICKY or not b.mode & STICKY)
        )

    def intersect(self, a: Tmpfs | None, b: Tmpfs | None) -> Tmpfs | None:
        if a is None or b is None:
            return None
        mode = (a.mode & b.mode & 0o777) | ((a.mode | b.mode) & STICKY)
        return Tmpfs(min(a.size, b.size), mode, a.rights & b.rights)

    def grammar(self) -> str:
        return '`"none"`, a size such as `"64M"`, or options such as `"size=64M,exec,mode=700"`'

    def samples(self) -> Sequence[Tmpfs | None]:
        return (
            None,
            Tmpfs(4096),
            Tmpfs(),
            Tmpfs(rights=frozenset({"exec"})),
            Tmpfs(8192, rights=frozenset(FLAGS) - {"exec"}),
            Tmpfs(4096, 0o700),
            Tmpfs(mode=0o1750),
            Tmpfs(mode=0o777),
        )

    def candidates(self, value: Tmpfs | None) -> Sequence[Tmpfs | None]:
        """The same with one right more, a permission of its top directory for others than its owner, or twice the size."""
        if value is None:
            return self.samples()
        modes = [value.mode | bits for bits in (0o050, 0o070, 0o005, 0o007)] + [value.mode & ~STICKY]
        return [
            *(attrs.evolve(value, rights=value.rights | {right}) for right in FLAGS),
            *(attrs.evolve(value, mode=mode) for mode in modes),
            attrs.evolve(value, size=2 * value.size),
        ]

    def show(self, value: Tmpfs | None) -> str:
        if value is None:
            return NONE
        rights = [flag for flag in FLAGS if flag in value.rights]
        return ",".join([f"size={show_size(value.size)}", *rights, f"mode={value.mode:03o}"])

    def dump(self, value: Tmpfs | None) -> object:
        return self.show(value)


def usual_mode(place: str) -> int:
    """Everybody's with the sticky bit, but the owner's alone in ``/run``."""
    return 0o755 if place == "/run" or place.startswith("/run/") else SHARED


def _place(node: Node) -> str:
    return next((part for part in reversed(node.path) if isinstance(part, str) and part.startswith("/")), "")


def _from_text(text: str, node: Node, place: str = "") -> Tmpfs:
    values: dict[str, object] = {}
    for option in text.split(","):
        key, equals, value = option.partition("=")
        if not equals and key[:1].isdigit():
            key, value = "size", key
        if key not in _OPTIONS or bool(value) != (key in ("size", "mode")):
            raise node.error(f'unknown option "{option}" for a tmpfs', hint=nearest(key, _OPTIONS) or _HINT)
        if key in values:
            raise node.error(f"{key} is given twice", hint="remove one of them")
        values[key] = value or True
    return _build(values, node, place or _place(node))


def _from_table(node: Node) -> Tmpfs:
    values: dict[str, object] = {}
    for key, member in node.members():
        if key not in _KEYS:
            raise member.error("unknown key", hint=nearest(key, _KEYS) or f"the keys here are {', '.join(_KEYS)}")
        values[key] = member.boolean() if key in FLAGS else member.raw
    return _build(values, node, _place(node))


def _build(values: Mapping[str, object], node: Node, place: str) -> Tmpfs:
    size = SIZE.parse(Node(values["size"], node.path, node.document)) if "size" in values else DEFAULT_SIZE
    mode = _mode(values["mode"], node) if "mode" in values else usual_mode(place)
    for flag, without in FLAGS.items():
        if values.get(flag) and without in values:
            raise node.error(f"{flag} and {without} contradict each other", hint="remove one of them")
    return Tmpfs(size, mode, frozenset(flag for flag in FLAGS if values.get(flag)))


def _mode(raw: object, node: Node) -> int:
    if not isinstance(raw, str) or not re.fullmatch(r"0?[01]?[0-7]{3}", raw):
        raise node.error(f'"{raw}" is not a mode', hint='write octal digits in a string, as in mode = "1777"')
    return int(raw, 8)


def read_item(node: Node) -> tuple[str, Tmpfs]:
    """``DST[:OPTS]`` as podman and docker write it -> destination and value."""
    place, _, options = node.string().partition(":")
    where = destination(place, node)
    return where, _from_text(options, node, where) if options else Tmpfs(mode=usual_mode(where))


def read(family: Family[Tmpfs | None], node: Node) -> Iterator[Statement]:
    """The says of ``tmpfs``: a table of destinations; ``"none"`` for no tmpfs at all; an array of ``DST[:OPTS]``, which
    replaces what there is; or such arrays as ``add`` and ``drop`` in the table."""
    if node.raw == NONE:
        yield Statement(family.name, WILDCARD, None, node.origin)
        return
    if not isinstance(node.raw, dict):
        yield Statement(family.name, WILDCARD, None, node.origin)
        yield from _once(family, [(item, *read_item(item)) for item in node.items()])
        return
    members: list[tuple[Node, str, Tmpfs | None]] = []
    for key, value in node.members():
        if key == "add":
            members += [(item, *read_item(item)) for item in value.items()]
        elif key == "drop":
            members += [(item, destination(item.string(), item), None) for item in value.items()]
        else:
            said = family.kind.parse(value)
            if key == WILDCARD:
                require_absent(family, said, value)
            members.append((value, key if key == WILDCARD else destination(key, value), said))
    yield from _once(family, members)


def _once(family: Family[Tmpfs | None], members: list[tuple[Node, str, Tmpfs | None]]) -> Iterator[Statement]:
    seen: dict[str, Tmpfs | None] = {}
    for node, place, value in members:
        if place in seen and seen[place] != value:
            raise node.error(f"{place} is given twice", hint="name it once")
        if place not in seen:
            yield Statement(family.name, place, value, node.origin)
        seen[place] = value
