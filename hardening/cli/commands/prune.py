"""``hardening prune``: what every launch does first."""

from __future__ import annotations

import click

from hardening.base import state
from hardening.errors import raise_all
from hardening.runs import pruning


@click.command("prune", epilog="\b\nExamples:\n  hardening prune\n")
def command() -> None:
    """Remove what is left of launches that were killed with all that would have cleaned up after them.

    The next launch does it as well, and so does `hardening ps`.
    """
    place = state.existing()
    if place is not None:
        raise_all(list(pruning.prune(place)))
