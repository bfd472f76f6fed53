"""The policy that images are held against, and where their signatures lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hardening.cli import stack
from hardening.images.reference import Name
from hardening_trust import registriesd
from hardening_trust.commands import viewed
from hardening_trust.registriesd import Registries
from hardening_trust.scopes import Match
from hardening_trust.view import View

F = TypeVar("F", bound=Callable[..., Any])

registries_option = click.option(
    "--registries-d",
    "registries",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Look there for where signatures lie, and not in the directory of containers tools.",
)


def places_options(function: F) -> F:
    """Add ``--registries-d`` to the options of a stack."""
    return stack.stack_options(registries_option(function))


def options(function: F) -> F:
    """Add ``--policy`` and ``--registries-d`` to the options of a stack."""
    return viewed.options(registries_option(function))


def lookup(
    context: click.Context, profiles: tuple[str, ...], file: Path | None, directory: Path | None
) -> tuple[Callable[[Name], Match], Registries]:
    """What finds the scope that decides about an image, and where signatures lie. Raises `ProfileError`, and `UsageError`
    where a policy and profiles are both named."""
    view = viewed.viewed(context, profiles, file)
    return view.match, _over(view, directory)


def places(context: click.Context, profiles: tuple[str, ...], directory: Path | None) -> Registries:
    """Where signatures lie, by a stack and by the files below it. Raises `ProfileError`."""
    return _over(viewed.viewed(context, profiles, None), directory)


def _over(view: View, directory: Path | None) -> Registries:
    return registriesd.over(view.places, registriesd.read(directory or registriesd.default_directory()))
