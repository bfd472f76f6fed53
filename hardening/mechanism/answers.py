"""What a mechanism answers with: places that it has mounted, what a host cannot enforce, what a foreign configuration asked
for beyond the profile, what one setting amounts to for another, lines of a receipt, options, and wishes of images."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from hardening.base.values import frozen
from hardening.mechanism.findings import Severity
from hardening.mechanism.schema import Leaf
from hardening.profile.source import Origin


@frozen(eq=False)
class MountPoint:
    """A place in the command's root where a mechanism has something mounted: whoever makes the root makes room for it, and
    contributes ``mount`` to ``/mounts``. ``leaves`` decided it, ``origin`` is where it was said."""

    path: str
    directory: bool
    mount: Mapping[str, Any]
    leaves: tuple[str, ...]
    origin: Origin | None = None


@frozen
class Unsupported:
    """What this host cannot enforce of what was asked: ``leaf`` is the setting, ``reason`` why, ``remedy`` what to do.

    ``leaf`` may be a family, or the mechanism itself, and ``also`` names leaves that go with it; ``tolerated`` marks what is
    stricter than asked for, and stops nothing; ``whole`` says that nothing at all of the mechanism is enforced.
    ``requirement`` is the leaf that waives it, where that is not the mechanism's own. Nothing waives a gap of a leaf
    that is limited (`hardening.assemble.enforcement`).
    """

    leaf: str
    reason: str
    remedy: str
    tolerated: bool = False
    whole: bool = False
    requirement: str = ""
    also: tuple[str, ...] = ()


@frozen
class Violation:
    """What a foreign configuration asked for beyond the profile, at a JSON pointer."""

    pointer: str
    asked: str
    allowed: str
    leaf: str


@frozen
class Implied:
    """What the value of one leaf amounts to for another one, of the same mechanism or of another that may be installed: a
    volume of `/etc/shadow` amounts to ``hidden_paths./etc/shadow = false``. The core holds it as if the layer of the first
    had said the second: a limit forbids it, an exception permits it. ``what`` says it in words, and ``remedy`` how it is
    said without that. With ``free`` only a limit is held against it. ``instead`` says what to do where nobody here can
    change the limit: a shipped profile says it.
    """

    by: Leaf
    leaf: Leaf
    value: Any
    what: str
    free: bool = False
    instead: str = ""
    remedy: str = ""


class State(StrEnum):
    """What a receipt says of a line: the kernel enforces at least what was composed, or less; nothing of the kernel's that
    was recorded shows it; this host is known to be unable to, and that was tolerated."""

    HOLDS = "holds"
    DIFFERS = "does not hold"
    NOT_SEEN = "not seen"
    NOT_ENFORCED = "not enforced"


@frozen(eq=False)
class Verification:
    """One line of a receipt: what was composed, what the kernel reports, and what comes of it.

    ``leaf`` is the full name of the leaf that was held against the kernel; that of a family's ``*``, such as
    ``rootfs.volumes.*``, stands for all of its members. ``also`` are others that this comparison decides. A leaf that no
    line of its mechanism names is not seen (`hardening.runs.receipt`).
    """

    leaf: str
    expected: str
    kernel: str
    state: State
    also: tuple[str, ...] = ()

    @classmethod
    def of(cls, leaf: str, expected: str, kernel: str, holds: bool, *also: str) -> Verification:
        """What was compared."""
        return cls(leaf, expected, kernel, State.HOLDS if holds else State.DIFFERS, also)

    @classmethod
    def unseen(cls, leaf: str, expected: str, why: str, *also: str) -> Verification:
        """What could not be compared, and why."""
        return cls(leaf, expected, why, State.NOT_SEEN, also)

    @property
    def holds(self) -> bool:
        """Whether the kernel was seen to enforce it."""
        return self.state is State.HOLDS


@frozen(eq=False)
class Option:
    """A command-line option that is a say: each use says ``key`` (dotted, below the mechanism's table).

    ``value`` is the fixed TOML value of an option without an argument. With ``multiple`` the uses form an array.
    """

    flags: tuple[str, ...]
    key: str
    help: str
    metavar: str = ""
    multiple: bool = False
    value: object = None


@frozen
class ImageRequest:
    """What an image asks for and does not get by itself. ``leaves`` are the settings that grant it, any of them, where a
    layer states them; their full names."""

    message: str
    hint: str
    leaves: tuple[str, ...] = ()
    severity: Severity = Severity.NOTE
