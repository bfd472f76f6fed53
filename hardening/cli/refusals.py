"""Records of launches that the command line refuses, before there is a launcher that could write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from hardening.cli import output
from hardening.cli.options import stack
from hardening.cli.unforeseen import FORESEEN, UNFORESEEN, worded
from hardening.errors import HardeningError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def recorded(function: F) -> F:
    """Have a command that launches (``run``, ``launch``) leave a record where it is refused. What is no launch yet, for a
    command line that cannot be understood, and a dry run leave none."""

    @wraps(function)
    def command(context: click.Context, **arguments: Any) -> Any:
        try:
            os.getcwd()  # which the launcher asks for as well: where there is none, that is said and recorded here
            return function(context, **arguments)
        except (UsageError, *FORESEEN):
            raise
        except UNFORESEEN as error:
            if not arguments.get("dry_run"):
                _record(context, arguments, worded(error))
            raise

    return command  # type: ignore[return-value]


def _record(context: click.Context, arguments: dict[str, Any], error: HardeningError) -> None:
    try:
        from hardening.launch.record.recording import Records, login, who

        records = Records("", arguments["runtime"], {**login(), **who()})
        try:
            recorder = records.recorder()
            recorder.facts.command = list(arguments.get("command", ()))
            recorder.facts.profiles = [{"name": name, "sha256": None} for name in arguments.get("profiles", ())]
            recorder.refused(_line(context, error), error.exit_code)
        finally:
            records.close()
    except UNFORESEEN as found:
        problem = worded(found)
        place = f"{problem.origin}: " if problem.origin is not None else ""
        output.note(f"hardening: {place}this refusal cannot be recorded: {problem.message}")


def _line(context: click.Context, error: HardeningError) -> str:
    problems = error.problems
    # Values first, which may have lines of their own.
    first = stack.without_values(context, str(problems[0])).partition("\n")[0]
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"
