"""``hardening plugin``: which plugins there are, and what they bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from hardening.cli import added, output
from hardening.cli.session import session
from hardening.errors import EXIT_LAUNCHER, PluginError
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.runtime import Runtime
from hardening.mechanism.scanner import Scanner
from hardening.mechanism.secret_driver import SecretDriver
from hardening.plugin import hookspecs, plugins
from hardening.plugin.installed import Brought, brought
from hardening.plugin.plugins import Plugin, Plugins
from hardening.report.table import Table

#: What plugins register, by its key in JSON, and what a table calls one.
_OBJECTS = {
    "mechanisms": "table",
    "runtimes": "runtime",
    "scanners": "scanner",
    "secret_drivers": "secret driver",
}
#: What else they bring, of which there is a name alone.
_NAMES = {"hooks": "hook", "commands": "command", "profiles": "profiles"}
_SPEC = f"{hookspecs.PROJECT}_spec"


@click.group("plugin")
def command() -> None:
    """Plugins bring mechanisms, runtimes, scanners, secret drivers and verdicts; they come from installed packages."""


@command.command(
    "list",
    epilog="\b\nExamples:\n  hardening plugin list\n  hardening plugin list --json\n\n"
    "\b\nExit code 125: one of them cannot be used, or two are in each other's way.\n",
)
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def list_plugins(context: click.Context, as_json: bool) -> int:
    """List the plugins with all that they bring, and what is wrong with those that cannot be used."""
    rows, problem = _rows(context)
    cells = tuple(cell for row in rows for cell in _cells(row))
    output.show_either(rows, Table(("plugin", "from", "brings", "what it does"), cells), as_json=as_json)
    if problem is not None:
        raise problem
    return EXIT_LAUNCHER if any(row["problem"] for row in rows) else 0


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A line for each thing that a plugin brings."""
    head = (row["name"], f"{row['distribution']} {row['version']}".strip())
    brings = [("problem", row["problem"])] if row["problem"] else []
    brings += [(f"{what} {item['name']}", item["summary"]) for kind, what in _OBJECTS.items() for item in row[kind]]
    brings += [(f"{what} {name}", "") for kind, what in _NAMES.items() for name in row[kind]]
    for bring in brings or [("", "")]:
        yield (*head, *bring)
        head = ("", "")


def _rows(context: click.Context) -> tuple[list[dict[str, Any]], Exception | None]:
    """What each plugin brings, looked at by itself, and what is wrong with all together."""
    here = session(context)
    problem: PluginError | None = None
    rows = []
    if here.given:
        rows += [_row(plugin, here.plugins) for plugin in here.plugins.plugins]
    else:
        for item in sorted(brought(plugins.GROUP, here.announced), key=lambda item: item.name):
            try:
                plugin = plugins.loaded(item)
                rows.append(_row(plugin, plugins.Plugins([plugin])))
            except PluginError as error:
                rows.append(_empty(item, item.value, error.message))
        if not any(row["problem"] for row in rows):
            try:
                _ = here.plugins.scanners, here.plugins.secret_drivers
            except PluginError as error:
                problem = error
    for kind, group in (("commands", added.GROUP), ("profiles", plugins.PROFILES_GROUP)):
        for item in [] if here.given else brought(group, here.announced):
            own = [row for row in rows if row["distribution"] == item.distribution and row["module"] in item.value]
            own = own or [row for row in rows if row["distribution"] == item.distribution]
            if not own:
                own = [_empty(item, item.value)]
                rows += own
            own[0][kind].append(item.name)
    return rows, problem


def _empty(item: Plugin | Brought, module: str, problem: str = "") -> dict[str, Any]:
    about = {"name": item.name, "module": module, "distribution": item.distribution, "version": item.version}
    return {**about, "problem": problem, **{kind: [] for kind in (*_OBJECTS, *_NAMES)}}


def _row(plugin: Plugin, among: Plugins) -> dict[str, Any]:
    found = (among.mechanisms, among.runtimes, among.scanners.values(), among.secret_drivers.values())
    registered: dict[str, Iterable[Any]] = dict(zip(_OBJECTS, found, strict=True))
    own = {kind: [_about(item) for item in items if among.owner(item) is plugin] for kind, items in registered.items()}
    return {**_empty(plugin, plugin.module.__name__), **own, "hooks": _judging(plugin)}


def _about(item: Mechanism[Any] | Runtime | Scanner | SecretDriver) -> dict[str, Any]:
    about: dict[str, Any] = {"name": item.name, "summary": item.summary}
    if isinstance(item, Mechanism):
        about["options"] = [flag for option in item.options() for flag in option.flags]
        about["owns"] = list(item.owns)
    if isinstance(item, Runtime):
        about["version"] = item.version()
    return about


def _judging(plugin: Plugin) -> list[str]:
    """The hooks that a plugin implements and that do not only register: what those bring is shown by itself."""
    marks = {name: getattr(item, f"{hookspecs.PROJECT}_impl", None) for name, item in vars(plugin.module).items()}
    implemented = {mark.get("specname") or name for name, mark in marks.items() if mark is not None}
    judging = implemented - {f"{hookspecs.PROJECT}_{kind}" for kind in _OBJECTS}
    return [name for name, hook in vars(hookspecs).items() if name in judging and hasattr(hook, _SPEC)]
