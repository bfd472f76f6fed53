"""Finding the command inside the container's root, with the refusals that protect the launcher itself."""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files, places
from hardening.base.linux import abi, executable, failure, kernel
from hardening.base.linux.system import os
from hardening.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, LaunchError, quoted
from hardening.launch.config.confinement import POINTER, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from hardening.launch.config.model import Invocation

#: Where a configuration names the helpers before its command.
HELPER = f"config.json:{POINTER}"
_ALL_EXECUTE = 0o111  # of permissions, as chmod(2) has them


def find_command(command: Invocation) -> str:
    """The path of the command. `LaunchError` with exit code 127 when there is none, 126 when it cannot be executed."""
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
        raise not_permitted(refused)
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


def check_helpers(command: Invocation, file: str, kept: int) -> None:
    """`LaunchError` unless this process may execute each helper that stands before a command, and the last of them the
    command's ``file``: what it lends beyond the bounding set, ``kept``, a helper could not tell."""
    for path, *_ in command.helpers:
        if not os.access(path, os.X_OK, effective_ids=True):
            raise LaunchError(f"{path}: the helper that confines the command cannot be executed inside", origin=HELPER)
    if command.helpers and (missing := lent_capabilities(file) & ~kept):
        raise not_executed(file, errno.EPERM, missing)


def check_access(path: str) -> None:
    """`LaunchError` unless this process, with the ids and capabilities that it has now, may execute a file."""
    if not os.access(path, os.X_OK, effective_ids=True):
        raise not_permitted(path)


def refuse_magic(path: str) -> None:
    """Refuse a command, or an interpreter of its `#!` line, that is reached through a magic link of /proc.

    `/proc/self/exe` is the launcher's own interpreter at this moment; executing it would hand a file of the host to
    the container (CVE-2019-5736).
    """
    for _ in range(executable.INTERPRETERS):
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
        first = os.read(fd, executable.FIRST_LINE)
    except OSError:
        return ""
    finally:
        os.close(fd)
    words = executable.interpreter_line(first)
    return files.decode(words[0]) if words else ""


def lent_capabilities(path: str) -> int:
    """The capabilities, as a mask, that whoever executes a file is to have from it at once: where the bounding set lacks one
    of them, the kernel refuses to execute it (capabilities(7), safety checking for capability-dumb binaries)."""
    try:
        found = executable.capabilities(os.getxattr(path, executable.ATTRIBUTE))
        if os.statvfs(path).f_flag & os.ST_NOSUID:
            return 0
    except OSError:
        return 0
    # Those of another owner count in another user namespace than this one.
    return found.permitted if found is not None and found.effective and not found.owner else 0


def not_permitted(path: str) -> LaunchError:
    """The error for a command that this process may not execute, which says what refuses it where that alone would."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not mode & _ALL_EXECUTE:
            return not_executable(path, f"permission denied: nobody may, by its mode {mode:04o}")
        if os.statvfs(path).f_flag & os.ST_NOEXEC:
            hint = f"`hardening explain {quoted(path)}`, with the profiles of the run, shows what decided"
            return not_executable(path, "permission denied: it lies on a mount with noexec", hint)
    except OSError:  # a directory on its way is closed to this process
        pass
    return not_executable(path, "permission denied")


def not_executable(path: str, reason: str, hint: str | None = None) -> LaunchError:
    """The error for a command that is there and cannot be run."""
    text = f"{path}: cannot be executed: {reason}"
    return LaunchError(text, origin=failure.COMMAND, hint=hint, exit_code=EXIT_NOT_EXECUTABLE)


def execute(path: str, command: Invocation, secrets: Mapping[bytes, bytes]) -> NoReturn:
    """execve(2) of the command at ``path``, or of the helper that stands before it, with ``secrets`` in the environment.
    Where it fails this process ends, with the errno as its status.

    The filter is loaded and may deny every call that could tell more; the launcher words it (`not_executed`).
    """
    try:
        os.execve(
            command.helpers[0][0] if command.helpers else path,
            joined(command.helpers, command.args),
            {**{files.encode(name): files.encode(value) for name, value in command.env}, **secrets},
        )
    except OSError as error:
        os._exit(error.errno or errno.EIO)


def not_executed(path: str, number: int, missing: int = 0) -> LaunchError:
    """The error for the errno of an execve(2). ``missing`` are the capabilities, as a mask, that the file lends and that the
    bounding set lacks."""
    if number == errno.ENOENT:
        return LaunchError(
            f"{path}: exists, but its interpreter or dynamic loader does not",
            origin=failure.COMMAND,
            exit_code=EXIT_NOT_FOUND,
        )
    if number == errno.EPERM and missing:
        names = abi.capability_names(missing)
        asked = " and ".join(f"`hardening explain capabilities.{quoted(name.removeprefix('CAP_'))}`" for name in names)
        return not_executable(
            path,
            f"{os.strerror(number)}: the file lends {', '.join(names)}, which the bounding set lacks",
            f"{asked} shows what decided; a copy of the file (cp) lends nothing, and runs without",
        )
    return not_executable(path, os.strerror(number))
