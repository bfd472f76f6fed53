"""The policy that images are held against, and where their signatures lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from hardening.base.values import frozen
from hardening.cli import api
from hardening.images.reference import Name
from hardening_trust import keys, registriesd
from hardening_trust.admission import NAME
from hardening_trust.commands import viewed
from hardening_trust.registriesd import Registries
from hardening_trust.scopes import Match
from hardening_trust.subjects import SignatureLocations
from hardening_trust.verification import ReadKey
from hardening_trust.view import View, of_composition

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
    return api.stack_options(registries_option(function))


def options(function: F) -> F:
    """Add ``--policy`` and ``--registries-d`` to the options of a stack."""
    return viewed.options(registries_option(function))


@frozen(eq=False)
class Chosen:
    """A policy: ``match`` finds the scope that decides about an image, ``read_key`` reads the keys that it names, and
    ``places`` has what signatures there are."""

    match: Callable[[Name], Match]
    read_key: ReadKey
    places: SignatureLocations


def lookup(
    context: click.Context, profiles: tuple[str, ...], file: Path | None, directory: Path | None, *, verify: bool
) -> Chosen:
    """The policy of a stack, whose keys only their owner may be able to write and whose plugins may have signatures; or that
    of a file, as podman and skopeo take it. Raises `ProfileError`, and `UsageError` where both are named."""
    if file is not None:
        view = viewed.viewed(context, profiles, file)
        found = registriesd.configured(directory)
        return Chosen(view.match, keys.read_bare, SignatureLocations(found, verify=verify))
    here = api.session(context)
    composition = here.compose(api.request(context, profiles))
    view = of_composition(composition)

    def others(name: Name, digest: str) -> Iterator[tuple[bytes, str]]:
        found = here.plugins.signatures(name, digest, composition, verify=verify, but=NAME)
        for number, content in enumerate(found, 1):
            yield content, f"signature {number} of other plugins"

    return Chosen(view.match, keys.read, SignatureLocations(_over(view, directory), verify=verify, others=others))


def places(context: click.Context, profiles: tuple[str, ...], directory: Path | None) -> Registries:
    """Where signatures lie, by a stack and by the files below it. Raises `ProfileError`."""
    return _over(viewed.viewed(context, profiles, None), directory)


def _over(view: View, directory: Path | None) -> Registries:
    return registriesd.over(view.places, registriesd.configured(directory))
