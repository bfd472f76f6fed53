"""``hardening secret``: the store of secrets, from which `[secrets]` and ``--secret`` give them to commands."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from hardening.base import state, wholefile
from hardening.cli import api
from hardening.errors import EXIT_FINDINGS, HardeningError, UsageError, raise_all

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from hardening_secrets.store import SecretRecord, SecretStore

SOURCE = "FILE|-"
DEFAULT_DRIVER = "file"
_FROM_TERMINAL = "a secret that is typed would be shown: pipe it in, such as from systemd-ask-password -n"


def complete_secret(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of secrets that begin with what was typed."""
    from click.shell_completion import CompletionItem

    try:
        found = _store().records()
    except HardeningError:
        return []
    return [CompletionItem(item.name, help=item.driver) for item in found if item.name.startswith(incomplete)]


def complete_driver(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of drivers that begin with what was typed."""
    from click.shell_completion import CompletionItem

    try:
        found = api.session(ctx).plugins.secret_drivers.values()
    except HardeningError:
        return []
    return [CompletionItem(item.name, help=item.summary) for item in found if item.name.startswith(incomplete)]


@click.group("secret", short_help="Keep secrets, which runs are given by name.")
def group() -> None:
    """Keep secrets: create, inspect, list, remove and rotate them.

    A run is given those that a profile or `--secret` names, as files in memory. Values are bytes, taken as they are; they
    stand in no argument, no profile, no log and no bundle.
    """


@group.command("create", short_help="Keep a new secret.", epilog="""\b
Examples:
  hardening secret create db-password ./password
  systemd-ask-password -n | hardening secret create db-password -
  hardening secret create api-key key.txt --driver gpg --driver-opt key=FINGERPRINT
""")  # fmt: skip
@click.option(
    "-d", "--driver", metavar="NAME", default=DEFAULT_DRIVER, show_default=True, shell_complete=complete_driver,
    help="What keeps the value: file, gpg, pass, command, or a driver of a plugin (`hardening secret drivers`).",
)  # fmt: skip
@click.option("--driver-opt", "options", multiple=True, metavar="KEY=VALUE", help="Something that the driver asks for.")
@click.argument("name")
@click.argument("source", metavar=SOURCE)
@click.pass_context
def create(context: click.Context, driver: str, options: tuple[str, ...], name: str, source: str) -> None:
    """Keep the bytes of FILE, or of standard input for `-`, as the secret NAME, and print its id.

    A name has 1 to 253 bytes without '=', '/', ',' and NUL; a secret 1 to 511,999 bytes.
    """
    from hardening.base.text import nearest

    drivers = api.session(context).plugins.secret_drivers
    if driver not in drivers:
        hint = nearest(driver, drivers) or f"there are {', '.join(sorted(drivers))}"
        raise UsageError(f'unknown secret driver "{driver}"', hint=hint)
    given: dict[str, str] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or key in given:
            raise UsageError(
                f'"{option}" is not an option, or is given twice', origin="--driver-opt", hint="write KEY=VALUE, once"
            )
        given[key] = value
    store = _store()
    record = store.create(name, _read(source), drivers[driver], given, drivers)
    danger = state.danger(store.path)
    if danger is not None:
        api.note(f"warning: {'; '.join(danger)}")
    _tell(store)
    api.show(record.id)


@group.command("rotate", short_help="Give a secret a new value.")
@click.argument("name", shell_complete=complete_secret)
@click.argument("source", metavar=SOURCE)
@click.pass_context
def rotate(context: click.Context, name: str, source: str) -> None:
    """Give the secret NAME the bytes of FILE, or of standard input for `-`, as its new value, and print its id.

    Whatever goes wrong, the old value is intact. What runs already keeps it; runs from now on are given the new one.
    """
    store = _store()
    record = store.rotate(name, _read(source), api.session(context).plugins.secret_drivers)
    _tell(store)
    api.show(record.id)


@group.command("ls", short_help="List secrets.")
@click.option("-q", "--quiet", is_flag=True, help="Show the names only.")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
def ls(quiet: bool, as_json: bool) -> None:
    """List your secrets, without their values."""
    store = _store()
    records = store.records()
    _tell(store)
    if as_json:
        api.show_json([_described(record) for record in records])
    elif quiet:
        for record in records:
            api.show(record.name)
    else:
        from hardening.report.table import Table

        rows = tuple((item.id, item.name, item.driver, item.created, item.updated) for item in records)
        api.show_table(
            Table(("id", "name", "driver", "created", "updated"), rows, last="name", narrow=("created", "id"))
        )


@group.command("inspect", short_help="Show what is known of secrets.")
@click.option("--showsecret", is_flag=True, help="Show the values, too.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_secret)
@click.pass_context
def inspect(context: click.Context, showsecret: bool, names: tuple[str, ...]) -> None:
    """Show what is known of secrets, as JSON with the keys that podman has; their values only where that is asked for.

    A value that is not UTF-8 is shown as SecretDataBase64.
    """
    store = _store()
    records = [store.find(name) for name in names]
    shown = [_described(record) for record in records]
    if showsecret:
        from base64 import b64encode

        _leave_no_core()
        drivers = api.session(context).plugins.secret_drivers
        for record, row in zip(records, shown, strict=True):
            value = store.open(record.name, drivers)
            try:
                row["SecretData"] = value.decode()
            except UnicodeDecodeError:
                row["SecretDataBase64"] = b64encode(value).decode()
    api.show_json(shown)


@group.command("rm", short_help="Remove secrets.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_secret)
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...]) -> int:
    """Remove secrets with their values, and print their ids. What runs already keeps what it was given.

    The exit code is 1 where a driver has not removed a value. It does so with the next change of one of its secrets.
    """
    problems, undone = list[HardeningError](), False
    for name in names:
        store = _store()
        try:
            record = store.remove(name, api.session(context).plugins.secret_drivers)
            api.show(record.id)
            undone |= record.key in store.left
        except HardeningError as error:
            problems.append(error)
        _tell(store)
    raise_all(problems)
    return EXIT_FINDINGS if undone else 0


@group.command("drivers", short_help="List what can keep secrets.")
@click.pass_context
def list_drivers(context: click.Context) -> None:
    """List the installed drivers, with the options that each takes when a secret is made."""
    from hardening.report.table import Table

    found = sorted(api.session(context).plugins.secret_drivers.items())
    rows = tuple(
        (name if number == 0 else "", f"{option}: {text}" if option else text)
        for name, driver in found
        for number, (option, text) in enumerate((("", driver.summary), *driver.known.items()))
    )
    api.show_table(Table(("driver", "what it does, and its options"), rows))


def _store() -> SecretStore:
    from hardening_secrets.store import SecretStore

    return SecretStore.of_caller()


def _tell(store: SecretStore) -> None:
    for line in dict.fromkeys(store.notes):
        api.note(line)


def _described(record: SecretRecord) -> dict[str, Any]:
    return {
        "ID": record.id,
        "CreatedAt": record.created,
        "UpdatedAt": record.updated,
        "Spec": {"Name": record.name, "Driver": {"Name": record.driver, "Options": dict(record.options)}},
    }


def _leave_no_core() -> None:
    from hardening.assemble.handover import leave_no_core

    leave_no_core()


def _read(source: str) -> bytes:
    """The bytes of a file, or of standard input; at most one more than a secret can have. Raises `UsageError`."""
    from hardening.mechanism.secret_driver import LONGEST

    _leave_no_core()
    if source == "-" and sys.stdin.isatty():
        raise UsageError("standard input is a terminal", origin="-", hint=_FROM_TERMINAL)
    try:
        if source != "-":
            return wholefile.read(source, LONGEST)
        with os.fdopen(os.dup(0), "rb", buffering=0) as opened:
            data = b""
            while len(data) <= LONGEST and (part := opened.read(LONGEST + 1 - len(data))):
                data += part
            return data
    except OSError as error:
        hint = "name a file that you can read, or - for standard input"
        raise UsageError(f"cannot read the secret: {error.strerror}", origin=source, hint=hint) from None
