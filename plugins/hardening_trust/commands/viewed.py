"""The policy that a command shows: that of a stack of profiles, or a policy.json as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from hardening.cli import api
from hardening.errors import UsageError
from hardening_trust import view
from hardening_trust.view import View

F = TypeVar("F", bound=Callable[..., Any])


def options(function: F) -> F:
    """Add ``--policy`` to the options of a stack, for a command of class `StackCommand`."""
    option = click.option(
        "--policy",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Take the policy.json FILE, and no profile.",
    )
    return api.stack_options(option(function))


def viewed(context: click.Context, profiles: tuple[str, ...], file: Path | None) -> View:
    """The policy that was asked for. Raises `ProfileError`, and `UsageError` where two are named."""
    request = api.request(context, profiles)
    if file is None:
        return view.of_composition(api.session(context).compose(request))
    if context.get_parameter_source("profiles") is not ParameterSource.DEFAULT or request.options is not None:
        raise UsageError("--policy and profiles exclude each other", hint="leave one of them out")
    return view.of_file(file)
