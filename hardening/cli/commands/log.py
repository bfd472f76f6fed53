"""``hardening log``: who ran what, under which profiles, and what came of it."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import attrs
import click

from hardening.base import units
from hardening.cli import output
from hardening.errors import UsageError
from hardening.launch.record.audit_text import OPERATIONS
from hardening.report.table import Table
from hardening.runs import records
from hardening.runs.records import Data, FoundRecords, SeenRecords, instant, outcome, whose

EPILOG = """\b
Examples:
  hardening log -n 20
  hardening log --since 1h --event refused
  hardening log --auid alice --since 2026-03-01 --json
  hardening log --id 85332f647d60
  hardening log --from /var/log/audit/audit.log.1

A time is a date, a date and time (local, or with an offset), a time of today, today,
yesterday, or how long ago: 30s, 10m, 1h30m, 7d, 2w.
"""

POLL = 1.0  # seconds between two looks of --follow


def _moment(ctx: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """A point in time, aware of its offset."""
    if value is None:
        return None
    try:
        return units.moment(value, datetime.now().astimezone())
    except ValueError as error:
        raise UsageError(str(error), origin=parameter.opts[0], hint=units.TIME_HINT) from None


def _user(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A user by name or id, as the id."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal() and len(value) < 11:
        return int(value)
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, ValueError):
        hint = "name a user of this host, or a number"
        raise UsageError(f"unknown user {value}", origin=parameter.opts[0], hint=hint) from None


@click.command("log", epilog=EPILOG)
@click.option("--since", callback=_moment, metavar="TIME", help="Only from TIME on.")
@click.option("--until", callback=_moment, metavar="TIME", help="Only up to TIME.")
@click.option("--auid", callback=_user, metavar="USER", help="Only of who has logged in as USER (the audit user id).")
@click.option("--user", callback=_user, metavar="USER", help="Only of launches that ran as USER.")
@click.option(
    "--event", "events", type=click.Choice([*OPERATIONS]), multiple=True, help="Only this event; may be repeated."
)
@click.option("--id", "identity", metavar="ID", help="Only the launch whose id begins with ID.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N.")
@click.option("-f", "--follow", is_flag=True, help="Then show new ones as they come, until interrupted.")
@click.option(
    "--from", "file", type=click.Path(path_type=Path), metavar="FILE", help="Read FILE: an audit log, or JSON lines."
)
@click.option("--json", "as_json", is_flag=True, help="Show them whole, as one JSON object a line.")
def command(
    since: datetime | None,
    until: datetime | None,
    auid: int | None,
    user: int | None,
    events: Sequence[str],
    identity: str | None,
    lines: int | None,
    follow: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Show the records that launches, refused launches, used exceptions and ends of commands have left.

    They are read from the audit log (as root), from the journal and from your own file of records, whichever there are.
    """
    if follow and until is not None:
        raise UsageError("--follow has no end, and --until is one", hint="leave one of them out")

    def wanted(record: Data) -> bool:
        return (
            (auid is None or record.get("loginuid") == auid)
            and (user is None or record.get("uid") == user)
            and (not events or record["event"] in events)
            and (identity is None or record["id"].startswith(identity))
            and _within(record, since, until)
        )

    found = _read(file, since)
    for problem in found.problems:
        output.note(f"not read: {problem}")
    chosen = [record for record in found.records if wanted(record)]
    if lines is not None:
        chosen = chosen[len(chosen) - min(lines, len(chosen)) :]
    _show(chosen, found, as_json)
    if follow:
        for later in _later(found, file, since):
            _show([record for record in later.records if wanted(record)], later, as_json, heading=False)


def _read(file: Path | None, since: datetime | None) -> FoundRecords:
    return records.read_file(file) if file is not None else records.read(os.environ, since)


def _later(found: FoundRecords, file: Path | None, since: datetime | None) -> Iterator[FoundRecords]:
    """What comes after ``found``, in pieces."""
    seen = SeenRecords(found.records)
    while True:
        time.sleep(POLL)
        now = _read(file, since)
        fresh = tuple(record for record in now.records if seen.take(record))
        if fresh:
            yield attrs.evolve(now, records=fresh)


def _within(record: Data, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    at = instant(record["time"])
    return (since is None or at >= since) and (until is None or at <= until)


def _show(chosen: Sequence[Data], found: FoundRecords, as_json: bool, *, heading: bool = True) -> None:
    if as_json:
        for record in chosen:
            print(json.dumps(record))
    elif chosen:
        table = _table(chosen, frozenset(whose(record) for record in found.records if record["event"] == "end"))
        output.show_table(table, heading=heading, as_lines=True)
    elif heading:
        output.note("no records")
    sys.stdout.flush()


def _table(records: Iterable[Data], ended: frozenset[tuple[object, ...]]) -> Table:
    rows = tuple(
        (
            f"{instant(record['time']).astimezone():%Y-%m-%d %H:%M:%S}",
            record["id"],
            record["event"],
            _who(record),
            str(record.get("terminal") or ""),
            outcome(record, ended),
            _what(record),
        )
        for record in records
    )
    columns = ("time", "id", "event", "who", "terminal", "result", "what")
    return Table(columns, rows, last="what", narrow=("terminal", "event"), folded=True)


def _who(record: Data) -> str:
    """Who had logged in, and as whom it ran where that is another: `alice>root`; `(root)` without a login."""
    login, user = record.get("loginuid"), record.get("uid")
    if not isinstance(login, int):
        return f"({_person(user)})"
    return _person(login) if login == user else f"{_person(login)}>{_person(user)}"


def _person(number: object) -> str:
    """A user's name, or the number where there is none; a dash for nobody."""
    if not isinstance(number, int):
        return "-"
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return str(number)


def _what(record: Data) -> str:
    if record["event"] == "exception":
        ticket = f" ({record['ticket']})" if record.get("ticket") else ""
        return f"{record.get('setting')}: {record.get('reason')}{ticket}"
    command = shlex.join(record["command"])
    if record["event"] == "launch" and record.get("profiles"):
        names = [str(profile["name"]) for profile in record["profiles"]]
        return f"{command} [{', '.join(names)}]"
    return f"{command}: {record['error']}" if record.get("error") else command
