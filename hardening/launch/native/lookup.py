"""Finding the command inside the container's root, with the refusals that protect the launcher itself."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files, places
from hardening.base.linux import abi, failure, kernel
from hardening.base.linux.system import os
from hardening.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from hardening.launch.config.model import Invocation

MAX_INTERPRETERS = 5  # as many as the kernel follows
MAX_FIRST_LINE = 256


def find_command(command: Invocation) -> str:
    """The path to execute. `LaunchError` with exit code 127 when there is none, 126 when it cannot be executed."""
    name = command.args[0]
    if "/" in name:
        _check(name)
        return name
    search = dict(command.env).get("PATH") or places.OF_COMMANDS
    refused = ""
    for directory in search.split(":"):
        path = files.join(directory or ".", name)
        try:
            found = os.stat(path)
        except OSError as error:
            if error.errno == errno.EACCES:
                refused = path
            continue
        if stat.S_ISREG(found.st_mode) and os.access(path, os.X_OK, effective_ids=True):
            refuse_magic(path)
            return path
        refused = path
    if refused:
        raise not_executable(refused, "permission denied")
    raise LaunchError(
        f"{name}: command not found in the container",
        origin=failure.COMMAND,
        hint=f"PATH inside is {search}",
        exit_code=EXIT_NOT_FOUND,
    )


def _check(path: str) -> None:
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise LaunchError(
                f"{path}: no such file in the container",
                origin=failure.COMMAND,
                hint=_where(path),
                exit_code=EXIT_NOT_FOUND,
            ) from error
        raise not_executable(path, error.strerror or str(error)) from error
    if stat.S_ISDIR(found.st_mode):
        raise not_executable(path, "is a directory")
    refuse_magic(path)


def _where(path: str) -> str:
    """Where a command of that path is looked for."""
    below = "the root inside" if path.startswith("/") else f"{os.getcwd()}, the working directory inside"
    return f"it is looked for from {below}; a file of the host is there where a volume or the root shows it"


def check_access(path: str) -> None:
    """`LaunchError` unless this process, with the ids and capabilities that it has now, may execute a file."""
    if not os.access(path, os.X_OK, effective_ids=True):
        raise not_executable(path, "permission denied")


def refuse_magic(path: str) -> None:
    """Refuse a command, or an interpreter of its `#!` line, that is reached through a magic link of /proc.

    `/proc/self/exe` is the launcher's own interpreter at this moment; executing it would hand a file of the host to
    the container (CVE-2019-5736).
    """
    for _ in range(MAX_INTERPRETERS):
        try:
            fd = kernel.openat2(abi.AT_FDCWD, files.encode(path), os.O_PATH, abi.RESOLVE_NO_MAGICLINKS)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise not_executable(path, "resolves through a magic link of /proc") from error
            return  # execve(2) will say why
        os.close(fd)
        path = interpreter(path)
        if not path:
            return


def interpreter(path: str) -> str:
    """What the `#!` line of a script names; empty of what has none, or cannot be read (execve(2))."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # may be executed and not read: then it is no script, for the kernel must read it as well
        return ""
    try:
        first = os.read(fd, MAX_FIRST_LINE)
    except OSError:
        return ""
    finally:
        os.close(fd)
    if not first.startswith(b"#!"):
        return ""
    words = first[2:].split(b"\n", 1)[0].split()
    return files.decode(words[0]) if words else ""


def not_executable(path: str, reason: str) -> LaunchError:
    """The error for a command that is there and cannot be run."""
    return LaunchError(f"{path}: cannot be executed: {reason}", origin=failure.COMMAND, exit_code=EXIT_NOT_EXECUTABLE)


def execute(path: str, command: Invocation, secrets: Mapping[bytes, bytes]) -> NoReturn:
    """execve(2), with ``secrets`` in the environment. Where it fails this process ends, with the errno as its status.

    The filter is loaded and may deny every call that could tell more; the launcher words it (`not_executed`).
    """
    try:
        os.execve(
            path,
            command.args,
            {**{files.encode(name): files.encode(value) for name, value in command.env}, **secrets},
        )
    except OSError as error:
        os._exit(error.errno or errno.EIO)


def not_executed(path: str, number: int) -> LaunchError:
    """The error for the errno of an execve(2)."""
    if number == errno.ENOENT:
        return LaunchError(
            f"{path}: exists, but its interpreter or dynamic loader does not",
            origin=failure.COMMAND,
            exit_code=EXIT_NOT_FOUND,
        )
    return not_executable(path, os.strerror(number))
