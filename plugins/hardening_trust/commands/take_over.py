"""``hardening trust import``."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.cli import api
from hardening.errors import UsageError, quoted
from hardening_trust import policy, taken, writing


@click.command(
    "import",
    short_help="Take a policy.json over into a profile.",
    epilog="""\b
Examples:
  hardening trust import --into team.toml
  hardening trust import policy.json --registries-d /etc/containers/registries.d --into team.toml
""",
)
@click.option(
    "--registries-d",
    "registries",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Take over where signatures lie, too. Without it the files of containers tools are read at each run.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="PROFILE",
    required=True,
    help="The profile to write, NAME.toml; one that is there is not touched.",
)
@click.argument("file", type=click.Path(path_type=Path), metavar="[FILE]", required=False)
def command(file: Path | None, registries: Path | None, into: Path) -> None:
    """Write a profile that requires of images what the policy.json FILE does, or the one that podman reads: what
    CONTAINERS_POLICY_JSON names, or the first of ~/.config/containers, /etc/containers and /usr/share/containers. All of it,
    or nothing is written: what a profile cannot say is told with its line.

    podman and skopeo go on with FILE; `hardening trust export` writes one of the profile.
    """
    if into.suffix != ".toml":
        raise UsageError(f"{into} is not a profile", hint="its name ends with .toml")
    file = policy.default_path() if file is None else file
    with writing.alone(into):
        if into.exists() or into.is_symlink():
            raise UsageError(f"{into} is there already", hint="name a new file: --into PROFILE")
        places = taken.places(registries) if registries is not None else {}
        writing.replace(into, taken.profile(policy.read(file), places, into))
    api.show(str(into))
    named = quoted(str(into) if "/" in str(into) else f"./{into}")
    api.note(f"it applies where it is named, after others: hardening run -p default -p {named} IMAGE -- COMMAND")
