"""``hardening profile``: which profiles there are, and what one says."""

from __future__ import annotations

from typing import Any

import click

from hardening.base.wholefile import Owner
from hardening.cli import output
from hardening.cli.options.stack import complete_profile
from hardening.cli.session import Request, Session, session
from hardening.errors import EXIT_FINDINGS, HardeningError
from hardening.profile.layers import FoundProfile, SearchPath, parse_layer
from hardening.profile.source import read
from hardening.report.table import Table


@click.group("profile")
def command() -> None:
    """Profiles are looked up in /etc/hardening/profiles, $XDG_CONFIG_HOME/hardening/profiles, and in what installed
    packages ship; a name in two of them is an error. A file is named by its path: ./team.toml."""


@command.command("list", epilog="\b\nExamples:\n  hardening profile list\n  hardening profile list --json\n")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def list_profiles(context: click.Context, as_json: bool) -> int:
    """List every profile that has a name. Exit code 1: one of them cannot be read, or its name stands for several."""
    search = session(context).search
    entries = [_entry(search, found) for found in search.all()]
    rows = tuple(
        (
            entry["name"],
            f"cannot be used: {entry['problem']}" if entry["problem"] else entry["description"],
            entry["owner"],
            entry["file"] if entry["problem"] else "",
        )
        for entry in entries
    )
    output.show_either(entries, Table(("profile", "description", "from", "file"), rows), as_json=as_json)
    return EXIT_FINDINGS if any(entry["problem"] for entry in entries) else 0


def _entry(search: SearchPath, found: FoundProfile) -> dict[str, Any]:
    description, problem = "", None
    try:
        description = parse_layer(read(found.path, found.name, owner=Owner.OWN)).description
        search.find(found.name)
    except HardeningError as error:
        problem = error.message
    return {
        "name": found.name,
        "description": description,
        "owner": found.owner,
        "file": str(found.path),
        "problem": problem,
    }


@command.command(
    "show", epilog="\b\nExamples:\n  hardening profile show strict\n  hardening profile show ./team.toml --json\n"
)
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("name", metavar="PROFILE", shell_complete=complete_profile)
@click.pass_context
def show(context: click.Context, as_json: bool, name: str) -> None:
    """Show one profile: where it stands, what it extends, and its text."""
    from hardening.report import data, explain

    here: Session = session(context)
    stack = here.stack(Request((name,)))
    layer = stack.layers[-1]
    text = layer.document.text
    if as_json:
        output.show_json(
            {
                **data.layer(layer),
                "stack": [item.name for item in stack.layers],
                "text": text,
            }
        )
        return
    # As comments, so that what is shown is a profile again.
    for line in explain.tree(stack.layers):
        output.show(f"# {line}")
    output.show(text.rstrip("\n"))
