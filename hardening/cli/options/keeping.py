"""The options that say what becomes of a container: its name, whether it runs on in the background, and what is shown of its
launch."""

from __future__ import annotations

from typing import Any

import click

from hardening.base import places, units
from hardening.cli.options import F, add, kept
from hardening.errors import UsageError
from hardening.launch.request import LaunchRequest
from hardening.mechanism.runtime import Runtime

_SMALLEST = 4096
_ASKED = "hardening.container"
_LOG_SIZE = "The most that the log of a detached container takes. Default: 16M."


def options(function: F) -> F:
    """Add ``--detach``, ``--name``, ``--rm``, ``--log-size`` and ``--debug`` to a command."""
    return add(
        function,
        kept(_ASKED, "-d", "--detach", is_flag=True, help="Run in the background, and print the container's id."),
        kept(_ASKED, "--name", metavar="NAME", help="A name for ps, logs, stop, kill, wait and rm."),
        kept(_ASKED, "--rm", is_flag=True, help="Remove a detached container when it ends; others are removed anyway."),
        kept(_ASKED, "--log-size", metavar="SIZE", help=_LOG_SIZE),
        kept(_ASKED, "--debug", is_flag=True, help="Describe each operation of the launch when its turn comes."),
    )


def detaches(context: click.Context) -> bool:
    """Whether the container is to run in the background."""
    asked: dict[str, Any] = context.meta.get(_ASKED, {})
    return bool(asked.get("detach"))


def applied(context: click.Context, engine: Runtime, launch: LaunchRequest) -> LaunchRequest:
    """The request with what these options ask for. Raises `UsageError` for options that are malformed, that do not go
    together, or that the runtime does not have."""
    asked: dict[str, Any] = context.meta.get(_ASKED, {})
    detach, name, size = asked.get("detach", False), asked.get("name"), asked.get("log_size")
    if name is not None and not places.is_name(name):
        raise UsageError(
            f"{name!r} is not the name of a container",
            origin="--name",
            hint="at most 63 letters, digits, dots, dashes and underscores, the first a letter or a digit",
        )
    if name is not None and places.is_id(name):
        raise UsageError(f"{name!r} looks like an id", origin="--name", hint="choose a name that no id can be")
    if size is not None and not detach:
        raise UsageError("only a detached container has a log", origin="--log-size", hint="add -d, or leave it out")
    if asked.get("debug") and detach:
        raise UsageError("nobody sees the operations of a detached launch", origin="--debug", hint="leave out -d")
    if asked.get("debug") and not engine.describes:
        raise UsageError(
            f"the runtime {engine.name} does not describe its operations", origin="--debug", hint="use --runtime native"
        )
    launch = launch.changed(debug=bool(asked.get("debug")))
    if not engine.detaches:
        if detach or name:
            option = "--detach" if detach else "--name"
            raise UsageError(
                f"the runtime {engine.name} cannot do that", origin=option, hint="use --runtime native, crun or runc"
            )
        return launch
    sized = launch if size is None else launch.changed(log_size=_bytes(size))
    return sized.changed(name=name or "", detach=detach, auto_remove=bool(asked.get("rm")))


def _bytes(text: str) -> int:
    try:
        size = units.size(text)
    except ValueError as error:
        raise UsageError(str(error), origin="--log-size", hint=units.SIZE_HINT) from None
    if size < _SMALLEST:
        raise UsageError(
            f"invalid size {text!r}: less than {_SMALLEST} bytes", origin="--log-size", hint="write 512K, 16M"
        )
    return size
