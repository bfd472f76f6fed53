"""What the table ``[apparmor]`` says."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hardening.base.values import frozen
from hardening.mechanism.kinds import Kind
from hardening.mechanism.schema import scalar
from hardening.profile.source import Node

#: Between the names of a label: each of them has to permit something (apparmor stacking).
STACK = "//&"
UNCONFINED = "unconfined"
_NAME = re.compile(r"(?!:)(?!.*//&)[^\s\0]+")


@frozen(eq=False)
class Profiles(Kind[tuple[str, ...]]):
    """Names of profiles, sorted, of which each has to permit something: with one more it is stricter, and both together are
    what two sets have in common. What each permits the host's policy knows, and nobody here."""

    def parse(self, node: Node) -> tuple[str, ...]:
        nodes = [node] if isinstance(node.raw, str) else list(node.items())
        return tuple(sorted({name for item in nodes for name in self._names(item)}))

    def _names(self, node: Node) -> list[str]:
        names = node.string().split(STACK) if node.raw != "" else []
        for name in names:
            if name == UNCONFINED:
                raise node.error(f'"{name}" confines nothing', hint="leave the setting out, or write []")
            if not _NAME.fullmatch(name):
                raise node.error(f'"{name}" is not the name of a profile', hint="aa-status(8) lists those there are")
        return names

    def is_no_looser_than(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        return set(a) >= set(b)

    def intersect(self, a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({*a, *b}))

    def grammar(self) -> str:
        return "name, or array of names"

    def samples(self) -> Sequence[tuple[str, ...]]:
        return ((), ("web",), ("base",), ("base", "web"))

    def candidates(self, value: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        """Each name in turn left out."""
        return [tuple(other for other in value if other != name) for name in value]

    def show(self, value: tuple[str, ...]) -> str:
        return STACK.join(value) or "none"

    def dump(self, value: tuple[str, ...]) -> object:
        return list(value)


@frozen
class ApparmorSettings:
    """Composed settings of `apparmor`."""

    profile: tuple[str, ...] = scalar(
        Profiles(),
        (),
        "Profiles of the host that confine the command. Of several each has to permit something.",
        lenient="which profiles there are, and what they permit, the host's policy decides",
    )
