"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


def add(function: F, *options: Callable[[F], F]) -> F:
    """Give a command options, in the order of its help."""
    for option in reversed(options):
        function = option(function)
    return function


def kept(key: str, *flags: str, **settings: Any) -> Callable[[F], F]:
    """An option of click's that is no parameter of the command: where it is given, its value is kept in ``meta[key]`` of the
    context, by its name."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(key, {})[parameter.name] = value

    return click.option(*flags, expose_value=False, callback=keep, **settings)


def is_typed(context: click.Context, name: str) -> bool:
    """Whether the command line that was parsed has the parameter of this name: its default counts for nothing."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def completed_by(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """What completes a parameter: a function of `hardening.cli.options.completing`, which no run imports."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from hardening.cli.options import completing

        found: list[CompletionItem] = getattr(completing, name)(ctx, parameter, incomplete)
        return found

    return complete
