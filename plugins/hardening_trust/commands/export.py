"""``hardening trust export``."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.cli import api
from hardening.errors import LaunchError
from hardening.launch.record import behalf
from hardening_trust import policy, registriesd
from hardening_trust.commands import viewed
from hardening_trust.writing import replace


@click.command(
    "export",
    cls=api.StackCommand,
    short_help="Write the policy as policy.json and registries.d, for podman and skopeo.",
    epilog="""\b
Examples:
  hardening trust export -p ./team.toml ./containers
  skopeo --policy ./containers/policy.json --registries.d ./containers/registries.d copy docker://busybox dir:./checked
""",
)
@viewed.options
@click.argument("directory", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], file: Path | None, directory: Path) -> None:
    """Write DIRECTORY/policy.json, and DIRECTORY/registries.d/hardening.yaml with the places of signatures.

    Each file is replaced as a whole, and stays as it was where it cannot be written. What is printed is what was written.
    """
    found = viewed.viewed(context, profiles, file)
    places = directory / "registries.d"
    try:
        behalf.make_folders(str(places))
    except OSError as error:
        raise LaunchError(
            f"cannot make the directory: {error.strerror}", origin=places, hint="name another directory"
        ) from None
    for path, text in (
        (directory / "policy.json", policy.dump(found.policy())),
        (places / "hardening.yaml", registriesd.dump(found.places)),
    ):
        replace(path, text)
        api.show(str(path))
