"""Everything a user can cause, as exceptions that a person can act on. Standard library only.

An error reads ``origin: message`` with ``hint: remedy`` below it; the command line prints it in one place and exits
with the error's code.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    A = TypeVar("A")
    T = TypeVar("T")

EXIT_FINDINGS = 1
EXIT_USAGE = 2
EXIT_LAUNCHER = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


#: What no shell reads as anything but itself.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-")


def shell_word(text: str) -> str:
    """A text as one word of a shell: as shlex has it, which the launcher cannot import once the root is another one."""
    return text if text and _PLAIN.issuperset(text) else "'" + text.replace("'", "'\"'\"'") + "'"


def quoted(text: str) -> str:
    """A name or a path as one word of a shell, so that a hint can be pasted as it stands. What cannot be printed is written
    as ``$'…'`` has it (Shell Command Language, 2.2.4)."""
    if text.isprintable():
        return shell_word(text)
    bytewise = text.encode("utf-8", "surrogateescape")
    return (
        "$'"
        + "".join(chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\{byte:03o}" for byte in bytewise)
        + "'"
    )


class HardeningError(Exception):
    """Base of all errors that a user can cause.

    ``origin`` is anything whose ``str()`` names a place (``file:line``), ``hint`` a remedy in one sentence, ``setting`` the
    full name with which the message begins, where it is about one.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self, message: str, *, origin: object | None = None, hint: str | None = None, setting: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.origin = origin
        self.hint = hint
        self.setting = setting

    def __str__(self) -> str:
        head = f"{self.origin}: {self.message}" if self.origin is not None else self.message
        # A name with a line feed must not begin a line that looks like another message. A hint may have lines of ours.
        head = head.replace("\n", "\\n")
        text = f"{head}\nhint: {self.hint}" if self.hint else head
        # A name that came in as half of a surrogate pair would make the error itself impossible to write down.
        return text.encode("utf-8", "backslashreplace").decode()

    @property
    def problems(self) -> tuple[HardeningError, ...]:
        """This error, or each of several that it stands for (`Problems`)."""
        return (self,)


class ProfileError(HardeningError):
    """A profile, a stack of profiles or a command-line setting is wrong."""


class UsageError(HardeningError):
    """The command line asks for something that does not exist or does not go together."""


class EndedError(HardeningError):
    """A container that something was to be done to has ended."""

    exit_code = EXIT_FINDINGS


class PluginError(HardeningError):
    """A plugin does not keep the rules that all plugins keep, or fails."""

    exit_code = EXIT_LAUNCHER


class SpecError(HardeningError):
    """An OCI configuration is malformed, or holds what the chosen runtime would not enforce."""


class HostError(HardeningError):
    """This host cannot enforce what a required mechanism asks for."""

    exit_code = EXIT_LAUNCHER


class LaunchError(HardeningError):
    """The launcher could not start the command; ``exit_code`` is 125, 126 or 127 as for podman and env(1)."""

    exit_code = EXIT_LAUNCHER

    def __init__(
        self,
        message: str,
        *,
        origin: object | None = None,
        hint: str | None = None,
        exit_code: int = EXIT_LAUNCHER,
    ) -> None:
        super().__init__(message, origin=origin, hint=hint)
        self.exit_code = exit_code


class ImageError(HardeningError):
    """An image cannot be had: its registry, archive or store does not give what it should."""

    exit_code = EXIT_LAUNCHER


class ImageMissing(ImageError):
    """There is no such image in a registry that answers."""


class Problems(HardeningError):
    """Several independent errors of one stage, reported together so that one run shows them all."""

    def __init__(self, problems: list[HardeningError]) -> None:
        super().__init__(f"{len(problems)} problems")
        self._problems = tuple(problem for part in problems for problem in part.problems)
        self.exit_code = max(problem.exit_code for problem in problems)

    @property
    def problems(self) -> tuple[HardeningError, ...]:
        return self._problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class Gathering:
    """Errors of parts that are each looked at, whatever the others are: an error ``with`` it is kept, and `raise_all` raises
    all that are there."""

    def __init__(self) -> None:
        self.problems: list[HardeningError] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, HardeningError):
            return False
        self.problems.append(error)
        return True

    def attempt(self, read: Callable[[], T]) -> T | None:
        """What ``read`` gives, None where it raises."""
        with self:
            return read()
        return None

    def raise_all(self) -> None:
        """As the function of that name does."""
        raise_all(self.problems)


def gathered(read: Callable[[A], T], items: Iterable[A]) -> list[T]:
    """What ``read`` gives of each item; raises all that is wrong with them at once."""
    each = Gathering()
    found: list[T] = []
    for item in items:
        with each:
            found.append(read(item))
    each.raise_all()
    return found


def raise_all(problems: list[HardeningError]) -> None:
    """Raise nothing, the single problem, or all of them as one `Problems`."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Problems(problems)
