"""``hardening plan``: what is stored of earlier runs."""

from __future__ import annotations

import os
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardening.cli import output

if TYPE_CHECKING:
    from hardening.cache.plans import Stored


@click.group("plan", short_help="List and clear what is kept of earlier runs.")
def command() -> None:
    """What `run` has composed and `launch` has judged is kept, and used again while nothing has changed that decided it."""


@command.command("list", epilog="\b\nExamples:\n  hardening plan list\n  hardening plan list --json\n")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
def list_plans(as_json: bool) -> None:
    """List the slots, the one used last first."""
    from hardening.base import places, state
    from hardening.cache import plans
    from hardening.report.table import Table

    place = state.existing()
    slots = plans.stored(place / places.PLANS) if place is not None else []
    entries = [_entry(item) for item in slots if item.whole or item.running]
    if as_json:
        output.show_json(entries)
        return
    rows = tuple(
        (
            entry["slot"],
            entry["used"],
            "running" if entry["running"] else "",
            shlex.join(entry["command"]) or entry["bundle"],
        )
        for entry in entries
    )
    output.show_table(Table(("slot", "used", "state", "command"), rows))


@command.command("clear")
def clear() -> None:
    """Remove every slot that is not in use."""
    from hardening.cache import plans

    count = plans.clear()
    output.show(f"{count} {'slot' if count == 1 else 'slots'} removed")


def _entry(item: Stored) -> dict[str, Any]:
    from hardening.base.pointer import CONFIG
    from hardening.launch.config.bundle import read_table
    from hardening.launch.plans import BUNDLE

    process = read_table(str(item.path / BUNDLE), CONFIG).get("process")
    words = process.get("args") if isinstance(process, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        words = []
    return {
        "slot": f"{item.path.parent.name[:12]}/{item.path.name}",
        "used": datetime.fromtimestamp(item.used / 1e9).astimezone().isoformat(timespec="seconds"),
        "running": item.running,
        "command": words,
        "bundle": _elsewhere(item.path),
    }


def _elsewhere(path: Path) -> str:
    """The bundle of a verdict, '' for what has one of its own."""
    from hardening.errors import LaunchError
    from hardening.launch.plans import read

    try:
        slot = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return str(read(slot, str(path)).get("bundle", ""))
    except LaunchError:
        return ""
    finally:
        os.close(slot)
