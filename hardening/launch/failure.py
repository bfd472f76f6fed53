"""Failures of one step of a launch, in words, on both sides of the channel."""

from __future__ import annotations

from hardening.errors import EXIT_LAUNCHER, LaunchError
from hardening.launch import kernel
from hardening.launch.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from hardening.launch.channel import Channel

#: Where a configuration names its command.
COMMAND = "config.json:/process/args/0"
MAX_TEXT = 1200  # characters: three of them fit into one message


class Step:
    """``with Step("mount /proc", "/mounts/0"):`` turns an `OSError` inside into a `LaunchError` that says so."""

    def __init__(self, name: str, pointer: str = "", hint: str = "") -> None:
        self.name = name
        self.pointer = pointer
        self.hint = hint

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            text = error.strerror or str(error)
            raise LaunchError(
                f"cannot {self.name}: {text}",
                origin=f"config.json:{self.pointer}" if self.pointer else None,
                hint=getattr(error, "hint", "") or self.hint or kernel.remedy(error.errno),
            ) from error


class Withdrawn(LaunchError):
    """Nobody wants this launch any more, and it is no failure: the plan that asked for it does not count."""


def report(channel: Channel, error: LaunchError) -> None:
    """Tell the launch stage why this process ends. When even that fails, the closed channel must do."""
    try:
        texts = (error.message, str(error.origin) if error.origin is not None else "", error.hint or "")
        channel.send("fail", str(error.exit_code), *(text[:MAX_TEXT] for text in texts))
    except OSError:
        os._exit(EXIT_LAUNCHER)


def from_message(fields: list[str]) -> LaunchError:
    """The error that `report` sent."""
    code, message, origin, hint = fields
    return LaunchError(message, origin=origin or None, hint=hint or None, exit_code=int(code))
