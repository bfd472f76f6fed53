"""Failures of one step of a launch, in words."""

from __future__ import annotations

from hardening.base.linux import kernel
from hardening.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

#: Where a configuration names its command.
COMMAND = "config.json:/process/args/0"


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
            raise failure(self.name, self.pointer, self.hint, error) from error


def failure(name: str, pointer: str, hint: str, error: OSError) -> LaunchError:
    """What is said of a step that the kernel refuses, at the JSON pointer of who asks for it."""
    return LaunchError(
        f"cannot {name}: {error.strerror or error}",
        origin=f"config.json:{pointer}" if pointer else None,
        hint=getattr(error, "hint", "") or hint or kernel.remedy(error.errno),
    )
