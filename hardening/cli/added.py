"""Subcommands that other packages bring, through the entry-point group ``hardening.commands``: the name is the command's,
the value names a click command. Its module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata

import click

from hardening.errors import PluginError

GROUP = "hardening.commands"


def installed(taken: Iterable[str]) -> dict[str, metadata.EntryPoint]:
    """The entry points by name, sorted; ``taken`` are the names of the program's own commands. Raises `PluginError`, with
    both owners, where two want one name."""
    owners = dict.fromkeys(taken, "hardening")
    found: dict[str, metadata.EntryPoint] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: (entry.name, owner(entry))):
        known = found.get(entry.name)
        if known is not None and (known.value, owner(known)) == (entry.value, owner(entry)):
            continue  # one distribution is on sys.path twice: an editable installation and its source
        other = owners.setdefault(entry.name, owner(entry))
        if known is not None or other != owner(entry):
            raise PluginError(
                f'{other} and {owner(entry)} both bring the command "{entry.name}"',
                hint="uninstall one of them" if other != "hardening" else f"update or remove {owner(entry)}",
            )
        found[entry.name] = entry
    return found


def owner(entry: metadata.EntryPoint) -> str:
    """The distribution that an entry point belongs to."""
    return entry.dist.name if entry.dist else "an unknown package"


def load(entry: metadata.EntryPoint) -> click.Command:
    """Import a command; raises `PluginError` where it cannot be, or is none."""
    hint = f"update or remove {owner(entry)}"
    try:
        command = entry.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise PluginError(
            f'the command "{entry.name}" of {owner(entry)} cannot be imported: {error}', hint=hint
        ) from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f'the command "{entry.name}" of {owner(entry)} is {type(command).__name__}, not a click command', hint=hint
        )
    return command


def summaries(entries: Mapping[str, metadata.EntryPoint]) -> dict[str, str]:
    """A line for each, without importing any."""
    return {name: f"From {owner(entry)}." for name, entry in entries.items()}
