"""Subcommands that other packages bring, through the entry-point group ``hardening.commands``: the name is the command's,
the value names a click command. Its module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable

import click

from hardening.errors import PluginError
from hardening.installed import Announced, Brought, brought

GROUP = "hardening.commands"
OWN = "hardening"  # the distribution of the program itself
#: What the commands are for that the program's own plugins bring: their short help.
OWN_COMMANDS = {
    "scan": "Look for setuid, devices, credentials and the like in a root.",
    "secret": "Keep secrets, which runs are given by name.",
    "trust": "Say which images may be used, sign them, and verify them.",
}


def installed(taken: Iterable[str], among: Announced | None = None) -> dict[str, Brought]:
    """The entry points by name, sorted; ``taken`` are the names of the program's own commands. Raises `PluginError`, with
    both owners, where two want one name."""
    owners = dict.fromkeys(taken, OWN)
    found: dict[str, Brought] = {}
    for item in sorted(brought(GROUP, among), key=lambda item: (item.name, owner(item))):
        other = owners.setdefault(item.name, owner(item))
        if item.name in found or other != owner(item):
            raise PluginError(
                f'{other} and {owner(item)} both bring the command "{item.name}"',
                hint="uninstall one of them" if other != OWN else f"update or remove {owner(item)}",
            )
        found[item.name] = item
    return found


def owner(item: Brought) -> str:
    """The distribution that an entry point belongs to."""
    return item.distribution or "an unknown package"


def load(item: Brought) -> click.Command:
    """Import a command; raises `PluginError` where it cannot be, or is none."""
    hint = f"update or remove {owner(item)}"
    try:
        command = item.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise PluginError(
            f'the command "{item.name}" of {owner(item)} cannot be imported: {error}', hint=hint
        ) from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f'the command "{item.name}" of {owner(item)} is {type(command).__name__}, not a click command', hint=hint
        )
    return command


def summary(item: Brought) -> str:
    """A line about a command, without importing it: what it is for, or who brings it."""
    return OWN_COMMANDS.get(item.name, "") if owner(item) == OWN else f"From {owner(item)}."
