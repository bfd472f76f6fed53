"""Records of launches that the command line refuses, before there is a launch stage that could write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from hardening.cli import output, stack
from hardening.errors import HardeningError, Problems, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def recorded(function: F) -> F:
    """Have a command that launches (``run``, ``launch``) leave a record where it is refused. What is no launch yet, for a
    command line that cannot be understood, and a dry run leave none."""

    @wraps(function)
    def command(context: click.Context, **arguments: Any) -> Any:
        try:
            return function(context, **arguments)
        except UsageError:
            raise
        except HardeningError as error:
            if not arguments.get("dry_run"):
                _record(context, arguments, error)
            raise

    return command  # type: ignore[return-value]


def _record(context: click.Context, arguments: dict[str, Any], error: HardeningError) -> None:
    from hardening.launch.recording import Records, who

    records = Records("", arguments["runtime"], who())
    recorder = records.recorder()
    recorder.facts.command = list(arguments.get("command", ()))
    recorder.facts.profiles = [{"name": name, "sha256": None} for name in arguments.get("profiles", ())]
    try:
        recorder.refused(_line(context, error), error.exit_code)
    except OSError as problem:
        output.note(f"hardening: {problem.filename}: this refusal cannot be recorded: {problem.strerror}")
    finally:
        records.close()


def _line(context: click.Context, error: HardeningError) -> str:
    problems = error.problems if isinstance(error, Problems) else (error,)
    # Values first, which may have lines of their own.
    first = stack.without_values(context, str(problems[0])).partition("\n")[0]
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"
