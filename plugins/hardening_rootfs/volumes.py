"""Volumes: a file or directory of the host, shown in the container; how it is written, and which is the stricter one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism.kinds import Kind, ValueChange
from hardening.mechanism.roles import RIGHTS, USUAL_RIGHTS, Volume
from hardening.profile.source import Node
from hardening_rootfs.paths import destination, host_path

#: From the strictest to the loosest: no mount of either side is seen by the other; those of the host are seen inside;
#: those made inside are seen on the host, too (mount_namespaces(7)).
PROPAGATION = ("rprivate", "private", "slave", "rslave", "shared", "rshared")
#: Without a label of its own the volume may not be readable at all; ``Z`` gives it to this container, ``z`` to all.
RELABEL = ("", "Z", "z")
NONE = "none"
#: What a volume can be given, as its options say it; `volume_options` names those that it may have.
GRANTS = (*RIGHTS, "idmap", "slave", "shared", "z", "Z")
#: option -> what it says
_WORDS: Mapping[str, tuple[str, object]] = {
    **{right: (right, True) for right in RIGHTS},
    **{without: (right, False) for right, without in RIGHTS.items()},
    "bind": ("recursive", False),
    "rbind": ("recursive", True),
    "idmap": ("idmap", True),
    "z": ("relabel", "z"),
    "Z": ("relabel", "Z"),
    **{word: ("propagation", word) for word in PROPAGATION},
}


@frozen(eq=False)
class VolumeKind(Kind[Volume | None]):
    """None (no volume) < read-only < writable; fewer rights are stricter; another source cannot be compared."""

    optional = True

    def parse(self, node: Node) -> Volume | None:
        return None if node.raw == NONE else read_item(node)[1]

    def is_no_looser_than(self, a: Volume | None, b: Volume | None) -> bool:
        if a is None or b is None:
            return a is None
        return (
            (a.source, a.target) == (b.source, b.target)
            and (a.rights <= b.rights and a.recursive <= b.recursive and a.idmap <= b.idmap)
            and PROPAGATION.index(a.propagation) <= PROPAGATION.index(b.propagation)
            and RELABEL.index(a.relabel) <= RELABEL.index(b.relabel)
        )

    def intersect(self, a: Volume | None, b: Volume | None) -> Volume | None:
        if a is None or b is None or (a.source, a.target) != (b.source, b.target):
            return None
        return attrs.evolve(
            a,
            rights=a.rights & b.rights,
            recursive=a.recursive and b.recursive,
            idmap=a.idmap and b.idmap,
            propagation=min(a.propagation, b.propagation, key=PROPAGATION.index),
            relabel=min(a.relabel, b.relabel, key=RELABEL.index),
        )

    def changes(self, before: Volume | None, after: Volume | None) -> Sequence[ValueChange]:
        """Of one source, the options that are others."""
        if before is None or after is None or before.source != after.source:
            return super().changes(before, after)
        old, new = _said(before), _said(after)
        gone, added = ([word for word in one if word not in other] for one, other in ((old, new), (new, old)))
        return [ValueChange("", ",".join(gone), ",".join(added), self.order(after, before))]

    def grammar(self) -> str:
        return '`"SRC:DST[:OPTS]"`, or a table with `source`, `target` and `options`'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": ["string", "object"]}

    def samples(self) -> Sequence[Volume | None]:
        plain = Volume("/srv/a", "/data")
        return (
            None,
            plain,
            Volume("/srv/b", "/data"),
            attrs.evolve(plain, rights=plain.rights - {"rw"}),
            attrs.evolve(plain, rights=frozenset(RIGHTS)),
            attrs.evolve(plain, rights=plain.rights - {"exec"}, recursive=False),
            attrs.evolve(plain, idmap=True, propagation="rshared"),
            attrs.evolve(plain, relabel="Z", propagation="private"),
            attrs.evolve(plain, relabel="z", rights=plain.rights - {"rw"}, propagation="slave"),
        )

    def candidates(self, value: Volume | None) -> Sequence[Volume | None]:
        """The same volume with one of the usual rights more: no sample has its source."""
        if value is None:
            return self.samples()
        usual = (right for right in RIGHTS if right in USUAL_RIGHTS)
        return [attrs.evolve(value, rights=value.rights | {right}, origin=None) for right in usual]

    def steps(self, value: Volume | None) -> Sequence[Volume | None]:
        """The same volume with one right more, the usual ones first, or another option one step looser."""
        if value is None:
            return self.samples()
        rights = sorted(RIGHTS, key=lambda right: right not in USUAL_RIGHTS)
        looser: list[dict[str, Any]] = [{"rights": value.rights | {right}} for right in rights]
        looser += [{"recursive": True}, {"idmap": True}]
        for name, words, said in (("propagation", PROPAGATION, value.propagation), ("relabel", RELABEL, value.relabel)):
            looser += [{name: word} for word in words[words.index(said) + 1 :][:1]]
        return [attrs.evolve(value, origin=None, **one) for one in looser]

    def show(self, value: Volume | None) -> str:
        return NONE if value is None else f"{value.source}:{value.target}:{','.join(_said(value))}"

    def dump(self, value: Volume | None) -> object:
        if value is None:
            return NONE
        usual = _said(Volume(value.source, value.target))
        options = [option for option in _said(value) if option in ("rw", "ro") or option not in usual]
        if ":" in value.source or ":" in value.target:
            return {"source": value.source, "target": value.target, "options": options}
        return f"{value.source}:{value.target}:{','.join(options)}"


def _said(value: Volume) -> list[str]:
    """The options that `read_item` reads back as ``value``."""
    words = [right if right in value.rights else without for right, without in RIGHTS.items()]
    words += ["rbind" if value.recursive else "bind", value.propagation]
    words += ["idmap"] if value.idmap else []
    return [*words, value.relabel] if value.relabel else words


def read_item(node: Node) -> tuple[str, Volume]:
    """One volume as podman and docker write it, or as a table -> its destination and the volume."""
    source, target, options = _from_table(node) if isinstance(node.raw, dict) else _from_text(node)
    said: dict[str, tuple[str, object]] = {}
    for option in options:
        if option not in _WORDS:
            hint = nearest(option.replace("0", "o"), tuple(_WORDS)) or f"the options are {', '.join(_WORDS)}"
            raise node.error(f'unknown option "{option}" for a volume', hint=hint)
        name, value = _WORDS[option]
        if name in said and said[name][1] != value:
            raise node.error(f"{said[name][0]} and {option} contradict each other", hint="remove one of them")
        said[name] = (option, value)
    values: dict[str, Any] = {name: value for name, (_, value) in said.items()}
    rights = frozenset(right for right in RIGHTS if values.pop(right, right in USUAL_RIGHTS))
    volume = Volume(host_path(source, node), destination(target, node), rights, origin=node.origin)
    return volume.target, attrs.evolve(volume, **values)


def _from_text(node: Node) -> tuple[str, str, list[str]]:
    parts = node.string().split(":")
    if len(parts) == 1:
        raise node.error(
            f'"{node.raw}" names no destination', hint="write SRC:DST; a place in memory is a tmpfs, not a volume"
        )
    if len(parts) > 3:
        raise node.error(
            f'"{node.raw}" has more than three parts', hint="write {source = …, target = …} where a path has a colon"
        )
    return parts[0], parts[1], [option for option in ":".join(parts[2:]).split(",") if option]


def _from_table(node: Node) -> tuple[str, str, list[str]]:
    known = ("source", "target", "options")
    for key, member in node.members():
        if key not in known:
            raise member.error("unknown key", hint=nearest(key, known) or f"a volume has {', '.join(known)}")
    source, target, options = (node.get(key) for key in known)
    if source is None or target is None:
        raise node.error("a volume needs source and target", hint='write {source = "/srv/data", target = "/data"}')
    return source.string(), target.string(), [item.string() for item in options.items()] if options else []


def read_destination(node: Node) -> str:
    """A destination, to drop what is mounted there; ``SRC:DST`` means its destination."""
    parts = node.string().split(":")
    return destination(parts[1] if len(parts) > 1 else parts[0], node)
