"""What the kernel was asked for by the helper, and has answered: nothing in /proc tells of Landlock (landlock(7))."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.mechanism.mechanism import Context, Verification
from hardening.mechanism.roles import RootDirectory
from hardening_landlock.settings import PLACES, PORTS, LandlockSettings
from hardening_landlock.spec import enforced, leaves, permitted

CREATE, ADD, RESTRICT = 444, 445, 446  # the same numbers on every architecture
_PATH, _PORT = 1, 2  # enum landlock_rule_type
#: The helper's words -> of which of the three fields of struct landlock_ruleset_attr, and the bits (linux/landlock.h).
BITS: Mapping[str, tuple[int, int]] = {
    "read": (0, 0b1100),
    "write": (0, 0b11_1111_1111_0010 & ~0b1100),
    "truncate": (0, 1 << 14),
    "execute": (0, 1),
    "ioctl": (0, 1 << 15),
    "bind": (1, 1),
    "connect": (1, 2),
    "abstract": (2, 1),
    "signals": (2, 2),
}
#: A rule for what the command was given open.
STREAM = "a standard stream"


@frozen(eq=False)
class Ruleset:
    """One ruleset: what it handles, by the fields of struct landlock_ruleset_attr, and its rules, each with what it permits:
    a place, a port, or `STREAM`."""

    handled: tuple[int, ...]
    rules: tuple[tuple[int, int, str], ...] = ()

    def restricts(self, word: str) -> bool:
        """Whether it denies all of what a word of the helper stands for that no rule permits."""
        field, bits = BITS[word]
        return self.handled[field] & bits == bits

    def permits(self, word: str) -> set[str]:
        """Where it permits something of that."""
        field, bits = BITS[word]
        kind = _PATH if field == 0 else _PORT
        return {place for found, allowed, place in self.rules if found == kind and allowed & bits}


def rulesets(receipt: Mapping[str, Any]) -> list[Ruleset]:
    """Those that the process has laid upon itself (landlock_restrict_self(2)), read from the calls of its helpers."""
    found: list[Ruleset] = []
    for helper in receipt["helpers"]:
        made: dict[int, Ruleset] = {}
        for call in helper["calls"]:
            number, arguments, result = call["number"], call["arguments"], call["result"]
            memory = {int(place): bytes.fromhex(text) for place, text in call["memory"].items()}
            if number == CREATE and result >= 0 and not arguments[2]:
                made[result] = Ruleset(struct.unpack("3Q", memory.get(0, b"")[: arguments[1]].ljust(24, b"\0")[:24]))
            elif number == ADD and result == 0 and arguments[0] in made:
                rule = _rule(arguments[1], memory.get(2, b""), call["descriptors"])
                made[arguments[0]] = attrs.evolve(made[arguments[0]], rules=(*made[arguments[0]].rules, rule))
            elif number == RESTRICT and result == 0 and arguments[0] in made:
                found.append(made[arguments[0]])
    return found


def _rule(kind: int, memory: bytes, opened: Mapping[str, str]) -> tuple[int, int, str]:
    """A rule's kind, what it permits and of what; of what could not be read, everywhere."""
    if kind == _PATH and len(memory) >= 12:
        allowed, parent = struct.unpack_from("=Qi", memory)
        return kind, allowed, STREAM if parent < 3 else opened.get(str(parent), "/")
    if kind == _PORT and len(memory) >= 16:
        allowed, port = struct.unpack_from("=QQ", memory)
        return kind, allowed, str(port)
    return kind, -1, "/"


def verify(settings: LandlockSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold the rulesets against the settings: one of them has to deny all that a setting does."""
    handled = enforced(settings, context)
    if receipt["helpers"] is None:
        for leaf in leaves(settings, handled):
            yield Verification.unseen(leaf, "confined", "nobody has seen the process confine itself")
        return
    found = rulesets(receipt)
    if not settings.mounts:
        confined = any(ruleset.handled[0] for ruleset in found)
        yield Verification.of("landlock.mounts", "none are changed", "none" if confined else "not confined", confined)
    for setting in dict.fromkeys(handled.values()):
        words = [word for word, other in handled.items() if other == setting]
        expected = _expected(settings, context, setting)
        holding = [ruleset for ruleset in found if all(_holds(ruleset, word, expected) for word in words)]
        seen = sorted({_shown(ruleset, word) for ruleset in holding or found for word in words})
        shown = ", ".join(permitted(settings, context, setting)) if expected is not None else "confined"
        yield Verification.of(f"landlock.{setting}", shown or "none", "; ".join(seen) or "not confined", bool(holding))


def _expected(settings: LandlockSettings, context: Context, setting: str) -> tuple[str, ...] | None:
    """What may be permitted: of places also what they lead to, links followed; None of what has no rules."""
    if not isinstance(getattr(settings, setting), tuple):
        return None
    words, root = permitted(settings, context, setting), context.of(RootDirectory)
    if setting in ("bind", "connect") or root is None:
        return words
    return PLACES.smallest((*words, *map(root.resolved, words)))


def _holds(ruleset: Ruleset, word: str, expected: tuple[str, ...] | None) -> bool:
    kind = PORTS if word in ("bind", "connect") else PLACES
    permits = tuple(ruleset.permits(word) - {STREAM})
    return ruleset.restricts(word) and (expected is None or kind.is_no_looser_than(permits, expected))


def _shown(ruleset: Ruleset, word: str) -> str:
    return ", ".join(sorted(ruleset.permits(word))) or "none" if ruleset.restricts(word) else "everything"
