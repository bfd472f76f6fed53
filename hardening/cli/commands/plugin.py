"""``hardening plugin``: which plugins there are, and what they bring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from hardening.cli import added, output
from hardening.cli.options import completed_by
from hardening.cli.session import session
from hardening.errors import EXIT_FINDINGS, EXIT_LAUNCHER, PluginError, UsageError, quoted
from hardening.launch.record import behalf
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.runtime import Runtime
from hardening.mechanism.scanner import Scanner
from hardening.mechanism.secret_driver import SecretDriver
from hardening.plugin import hookspecs, pluginchecks, plugins
from hardening.plugin.installed import Brought, brought
from hardening.plugin.plugins import Plugin, Plugins
from hardening.report.table import Table
from hardening.testing.scaffold import KINDS

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
#: What runtimes have or have not.
_ABILITIES = ("describes", "detaches", "takes_secrets", "takes_variables", "writes_receipts")


@click.group("plugin")
def command() -> None:
    """Plugins bring mechanisms, runtimes, scanners, secret drivers and verdicts; they come from installed packages."""


@command.command(
    "list",
    epilog="\b\nExamples:\n  hardening plugin list\n  hardening plugin list --json\n\n"
    "Exit code 125: one of them cannot be used, or two are in each other's way.\n",
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


@command.command(
    "show",
    epilog="\b\nExamples:\n  hardening plugin show seccomp\n  hardening plugin show seccomp --json\n\n"
    "Exit code 125: it cannot be used, or is in the way of another one.\n",
)
@click.argument("name", shell_complete=completed_by("complete_plugin"))
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def show_plugin(context: click.Context, name: str, as_json: bool) -> int:
    """Show one plugin: where it comes from, all that it brings, and what is wrong with it."""
    rows, problem = _rows(context)
    found = next((row for row in rows if row["name"] == name), None)
    if found is None:
        raise plugins.unknown(name, [row["name"] for row in rows])
    if as_json:
        output.show_json(found)
    else:
        lines = list(_lines(found))
        width = max(len(what) for what, _ in lines) + 2
        for what, text in lines:
            output.show(fill(text, output.width(), initial_indent=what.ljust(width), subsequent_indent=" " * width))
    if problem is not None:
        raise problem
    return EXIT_LAUNCHER if found["problem"] else 0


@command.command(
    "new",
    epilog="\b\nExamples:\n  hardening plugin new quota\n  hardening plugin new vault --kind secret-driver --into ./vault\n",
)
@click.argument("name")
@click.option("--kind", type=click.Choice(tuple(KINDS)), default="mechanism", show_default=True, help="What it brings.")
@click.option("--into", type=click.Path(path_type=Path), help="The new folder. [default: ./hardening-NAME]")
@click.pass_context
def new_plugin(context: click.Context, name: str, kind: str, into: Path | None) -> None:
    """Make the distribution of a new plugin, which installs, passes its tests and registers as it is."""
    from hardening import __version__
    from hardening.testing.scaffold import RESERVED, files

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        hint = f"hardening plugin new {quoted(re.sub('[^a-z0-9]+', '-', name.lower()).strip('-0123456789') or 'quota')}"
        raise UsageError(f'"{name}" is no name of small letters and digits, with - between', origin="NAME", hint=hint)
    if name in RESERVED:
        hint = f"hardening plugin new {quoted(f'my-{name}')}"
        raise UsageError(f'"{name}" has a meaning of its own in profiles', origin="NAME", hint=hint)
    if any(item.name == name for item in brought(plugins.GROUP, session(context).announced)):
        hint = f"hardening plugin show {quoted(name)}"
        raise UsageError(f'there is a plugin "{name}" already', origin="NAME", hint=hint)
    folder = into or Path(f"hardening-{name}")
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError("not empty", origin=folder, hint="name a new folder with --into")
        for path, text in files(name, kind, __version__).items():
            behalf.make_folders(str((folder / path).parent))
            behalf.save(str(folder / path), text.encode(), new=True)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", origin=folder, hint="name another --into") from None
    output.show(
        f"{folder}: a {kind}. Next: pip install {quoted(str(folder.absolute()))}, then hardening plugin check {name}"
    )


@command.command(
    "check",
    epilog="\b\nExamples:\n  hardening plugin check quota\n  hardening plugin check --json\n\n"
    "Exit code 1: something is broken; 125: a plugin cannot be used.\n",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completed_by("complete_plugin"))
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def check_plugins(context: click.Context, names: tuple[str, ...], as_json: bool) -> int:
    """Hold what installed plugins bring against the laws and checks of hardening.testing, all or those named. What is not
    asked is told."""
    from hardening.testing.installed import check_plugin, unchecked

    here = session(context)
    known = [plugin.name for plugin in here.plugins.plugins]
    for name in names:
        if name not in known:
            raise plugins.unknown(name, known)
    rows, left = [], []
    with output.status() as tell:
        for plugin in here.plugins.plugins:
            if not names or plugin.name in names:
                tell(f"checking {plugin.name}")
                found = check_plugin(here.plugins, plugin, here.host, here.today)
                rows += [
                    {"plugin": plugin.name, "of": of, "law": item.law, "shown": item.evidence} for of, item in found
                ]
                left += [(plugin.name, *item) for item in unchecked(here.plugins, plugin)]
    for name, of, why in left:
        output.note(f"not checked: {of} of {name}: {why}")
    cells = tuple(tuple(row.values()) for row in rows)
    if rows or as_json:
        output.show_either(rows, Table(("plugin", "of", "broken", "what shows it"), cells), as_json=as_json)
    else:
        output.show(f"nothing is broken of {', '.join(names or known)}")
    return EXIT_FINDINGS if rows else 0


def _lines(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is known of a plugin, a line each."""
    yield "plugin", f"{row['name']} ({row['distribution']} {row['version']})"
    yield "module", f"{row['module']} ({row['file']})" if row["file"] else row["module"]
    yield "interface", row["interface"]
    for name in ("requires", "problem"):
        if row[name]:
            yield name, row[name] if isinstance(row[name], str) else ", ".join(row[name])
    for kind, what in _OBJECTS.items():
        for item in row[kind]:
            yield what, f"{item['name']}: {item['summary']}"
            for about, named in item.items():
                if named and isinstance(named[0], dict):
                    yield from (
                        (f"  {about.removesuffix('s')}", f"{part['name']}: {part['summary']}") for part in named
                    )
                elif about not in ("name", "summary") and named:
                    yield f"  {about}", ", ".join(named) if isinstance(named, list) else str(named)
    for kind, what in _NAMES.items():
        yield from ((what, name) for name in row[kind])


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
            if item.name in here.without:
                continue
            try:
                plugin = plugins.loaded(item)
                rows.append({**_row(plugin, plugins.Plugins([plugin])), "requires": _required(item)})
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
    known = {"file": "", "interface": "", "requires": _required(item) if isinstance(item, Brought) else []}
    return {**about, **known, "problem": problem, **{kind: [] for kind in (*_OBJECTS, *_NAMES)}}


def _required(item: Brought) -> list[str]:
    """What a distribution requires, but for its extras."""
    return [line for line in item.requires if "extra ==" not in line]


def _row(plugin: Plugin, among: Plugins) -> dict[str, Any]:
    found = (among.mechanisms, among.runtimes, among.scanners.values(), among.secret_drivers.values())
    registered: dict[str, Iterable[Any]] = dict(zip(_OBJECTS, found, strict=True))
    own = {kind: [_about(item) for item in items if among.owner(item) is plugin] for kind, items in registered.items()}
    version = vars(plugin.module).get("hardening_api", hookspecs.API)
    file = getattr(plugin.module, "__file__", None) or ""
    made = {"file": file, "interface": version, "hooks": _judging(plugin)}
    return {**_empty(plugin, plugin.module.__name__), **own, **made}


def _about(item: Mechanism[Any] | Runtime | Scanner | SecretDriver) -> dict[str, Any]:
    about: dict[str, Any] = {"name": item.name, "summary": item.summary}
    if isinstance(item, Mechanism):
        about["options"] = [flag for option in item.options() for flag in option.flags]
        about["owns"] = list(item.owns)
        about["after"] = list(item.after)
        about["settings"] = [{"name": each.name, "summary": each.help} for each in item.schema.fields.values()]
    if isinstance(item, Runtime):
        about["version"] = item.version()
        about["has"] = [name for name in _ABILITIES if getattr(item, name)]
    if isinstance(item, Scanner):
        about["kinds"] = list(item.kinds)
    if isinstance(item, SecretDriver):
        about["options"] = [{"name": name, "summary": what} for name, what in item.known.items()]
    return about


def _judging(plugin: Plugin) -> list[str]:
    """The hooks that a plugin implements and that do not only register: what those bring is shown by itself."""
    judging = pluginchecks.implemented(plugin) - {f"{hookspecs.PROJECT}_{kind}" for kind in _OBJECTS}
    return [name for name, hook in vars(hookspecs).items() if name in judging and hasattr(hook, _SPEC)]
