"""``hardening trust lint``."""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from hardening.cli import api
from hardening.errors import EXIT_FINDINGS
from hardening.mechanism.findings import count_serious
from hardening_trust.commands import viewed
from hardening_trust.lint import lint


@click.command(
    "lint",
    cls=api.StackCommand,
    short_help="Find scopes that never match, and keys that are missing, expired or unsafe.",
    epilog="""\b
Examples:
  hardening trust lint -p ./team.toml
  hardening trust lint --policy /etc/containers/policy.json --json
""",
)
@viewed.options
@click.option("-j", "--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], file: Path | None, as_json: bool) -> int:
    """Look for what is wrong with the policy although it can be read. Exit code 1: there is something."""
    found = list(lint(viewed.viewed(context, profiles, file)))
    if as_json:
        api.show_json([attrs.asdict(finding) for finding in found])
    elif found:
        from hardening.report.table import Table

        rows = [
            (str(item.severity), item.rule, item.leaf, f"{item.message}; {item.hint}", item.origin)
            for item in found
        ]  # fmt: skip
        columns = ("severity", "rule", "setting", "finding", "origin")
        api.show_table(Table(columns, tuple(rows), last="finding", narrow=("rule", "origin"), folded=True))
    return EXIT_FINDINGS if count_serious(found) else 0
