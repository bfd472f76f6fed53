"""``hardening trust serve``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardening.cli import api
from hardening_trust.serve import parse_address, serve


@click.command(
    "serve",
    short_help="Share a directory of signatures over HTTP, read-only.",
    epilog="""\b
Examples:
  hardening trust serve /var/lib/containers/sigstore 127.0.0.1:8080
  hardening trust serve ./sigs '[::1]:0'
""",
)
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("address")
def command(directory: Path, address: str) -> None:
    """Answer requests for the signatures below DIRECTORY on ADDRESS, HOST:PORT, until it is ended by SIGTERM or SIGINT.

    The URL is printed once it answers, for `lookaside` in registries.d; with port 0 the kernel chooses a port. Nothing but
    files of the name signature-N is served, and nothing that a symbolic link leads to.
    """
    serve(directory, parse_address(address), _say)


def _say(url: str) -> None:
    api.show(url)
    sys.stdout.flush()
