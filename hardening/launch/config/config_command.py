"""What a configuration says of the command itself, which no operation holds: it may be another one at each launch."""

from __future__ import annotations

from hardening.base.frozen import Frozen
from hardening.errors import LaunchError, raise_all
from hardening.launch.config.reader import ConfigTable, Problem


class Invocation(Frozen):
    """The command of `/process`: its words, its variables, its working directory, and whether it has a terminal, with the
    size of that in characters."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    terminal: bool
    console_size: tuple[int, int] | None


def read(document: object, origin: str) -> Invocation:
    """The command of a configuration whose other fields have been read before; `LaunchError` for each field of it that is
    refused."""
    problems: list[Problem] = []
    table = ConfigTable(document, "", problems).table("process", required=True)
    command = read_command(table) if table is not None else None
    raise_all([LaunchError(reason, origin=f"{origin}:{pointer}") for pointer, reason in problems])
    assert command is not None  # noqa: S101 - there was a problem
    return command


def read_command(table: ConfigTable) -> Invocation:
    """The command of `/process`."""
    args = table.strings("args", required=True)
    if table.has("args") and (not args or not args[0]):
        table.refuse("args", "names no command")
    cwd = table.text("cwd", required=True)
    if cwd and not cwd.startswith("/"):
        table.refuse("cwd", "must be an absolute path")
    return Invocation(
        args=args,
        env=_read_environment(table),
        cwd=cwd,
        terminal=table.flag("terminal"),
        console_size=_read_console_size(table),
    )


def _read_environment(table: ConfigTable) -> tuple[tuple[str, str], ...]:
    pairs = []
    for index, entry in enumerate(table.strings("env")):
        name, equals, value = entry.partition("=")
        if not equals or not name:
            table.refuse("env", "must be NAME=VALUE", index)
        pairs.append((name, value))
    return tuple(pairs)


def _read_console_size(table: ConfigTable) -> tuple[int, int] | None:
    size = table.table("consoleSize")
    if size is None:
        return None
    height, width = size.integer("height", 0, 65535, required=True), size.integer("width", 0, 65535, required=True)
    size.done()
    return (height, width) if height is not None and width is not None else None
