"""``hardening plugin``: which plugins there are, and what they bring."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import click

from hardening.cli import output
from hardening.cli.session import session


@click.group("plugin", short_help="List plugins, mechanisms and runtimes.")
def command() -> None:
    """Plugins bring mechanisms, runtimes and verdicts; they come from installed packages."""


@command.command("list", epilog="\b\nExamples:\n  hardening plugin list\n  hardening plugin list --json\n")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def list_plugins(context: click.Context, as_json: bool) -> None:
    """List the plugins with their mechanisms and runtimes."""
    from hardening.report.table import Table

    rows = _rows(context)
    if as_json:
        output.show_json(rows)
        return
    cells = []
    for row in rows:
        brings = [*(f"table {item['name']}" for item in row["mechanisms"])]
        brings += [f"runtime {item['name']}" for item in row["runtimes"]]
        brings += [f"hook {name}" for name in row["hooks"]]
        what = "; ".join(item["summary"] for item in [*row["mechanisms"], *row["runtimes"]])
        cells.append((row["name"], ", ".join(brings), what, f"{row['distribution']} {row['version']}".strip()))
    output.show_table(Table(("plugin", "brings", "what it does", "from"), tuple(cells)))


def _rows(context: click.Context) -> list[dict[str, Any]]:
    plugins = session(context).plugins
    return [
        {
            "name": plugin.name,
            "module": plugin.module.__name__,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "mechanisms": [
                {"name": item.name, "summary": item.summary}
                for item in plugins.mechanisms
                if plugins.owner(item) is plugin
            ],
            "runtimes": [
                {"name": item.name, "summary": item.summary, "version": item.version()}
                for item in plugins.runtimes
                if plugins.owner(item) is plugin
            ],
            "hooks": _judging(plugin.module),
        }
        for plugin in plugins.plugins
    ]


def _judging(module: ModuleType) -> list[str]:
    """The judging hooks that a plugin implements. Those that register take no argument; what they register is shown by
    itself."""
    from inspect import signature

    from hardening import hookspecs

    marks = {name: getattr(item, f"{hookspecs.PROJECT}_impl", None) for name, item in vars(module).items()}
    implemented = {mark.get("specname") or name for name, mark in marks.items() if mark is not None}
    return [
        name
        for name, hook in vars(hookspecs).items()
        if name in implemented and hasattr(hook, f"{hookspecs.PROJECT}_spec") and signature(hook).parameters
    ]
