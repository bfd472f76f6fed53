"""``hardening cache``: what is kept of earlier runs."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import click

from hardening.base import places, state
from hardening.base.pointer import CONFIG, lookup
from hardening.cache import entries
from hardening.cache.entries import Stored
from hardening.cli import output
from hardening.errors import LaunchError
from hardening.launch.cache import BUNDLE, read
from hardening.launch.config.bundle import read_table
from hardening.mechanism.used import REFERENCE
from hardening.report.table import Table


@click.group("cache")
def command() -> None:
    """What `run` has composed and `launch` has judged is kept, and used again, for every command, while nothing has changed
    that decided it."""


@command.command("list", epilog="\b\nExamples:\n  hardening cache list\n  hardening cache list --json\n")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
def list_entries(as_json: bool) -> None:
    """List the entries, the one used last first."""
    place = state.existing()
    kept = entries.stored(place / places.CACHE) if place is not None else []
    found = [entry for entry in map(_entry, kept) if entry]
    rows = tuple(
        (
            entry["entry"],
            entry["used"],
            "running" if entry["running"] else "",
            entry["bundle"] or entry["options"] or " ".join((entry["profiles"], entry["image"])).strip(),
        )
        for entry in found
    )
    output.show_either(found, Table(("entry", "used", "state", "options"), rows), as_json=as_json)


@command.command("clear")
def clear() -> None:
    """Remove every entry that is not in use."""
    count = entries.clear()
    output.show(f"{count} {'entry' if count == 1 else 'entries'} removed")


def _entry(item: Stored) -> dict[str, Any]:
    """What is to be shown of an entry; empty for what is neither whole nor in use."""
    running = item.running
    if not item.whole and not running:
        return {}
    says = _says(item)
    launch = says.get("launch", {})
    image = (lookup(read_table(str(item.path / BUNDLE), CONFIG), "/annotations") or {}).get(REFERENCE)
    return {
        "entry": f"{item.path.parent.name[:12]}/{item.path.name}",
        "used": datetime.fromtimestamp(item.used / 1e9).astimezone().isoformat(timespec="seconds"),
        "running": running,
        "profiles": str(launch.get("profiles", "")),
        "image": image if isinstance(image, str) else "",
        "options": str(says.get("shown", "")),
        "bundle": str(says.get("bundle", "")),
    }


def _says(item: Stored) -> dict[str, Any]:
    """What an entry says; nothing for one that is damaged or gone."""
    try:
        entry = os.open(item.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        return read(entry, str(item.path))
    except LaunchError:
        return {}
    finally:
        os.close(entry)
