"""``hardening ps``, ``logs``, ``stop``, ``kill``, ``wait`` and ``rm``: containers that run, or ran in the background."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime

import click
from click.shell_completion import CompletionItem

from hardening.base import state
from hardening.base.text import nearest
from hardening.cli import output
from hardening.errors import EndedError, HardeningError, UsageError, raise_all
from hardening.report import containers as report
from hardening.runs import containers, pruning
from hardening.runs.containers import Container, await_end, discard, find, own, signal_container
from hardening.runs.containers import stop as end
from hardening.runs.logs import Log, LogRecord, moment

STOP_AFTER = 10.0  # seconds
#: What `wait` prints for a container whose launcher was killed, and which the kernel killed with it.
KILLED_CODE = 128 + signal.SIGKILL


def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names and ids of containers that begin with what was typed."""
    try:
        words = [(word, " ".join(item.command)) for item in own() for word in (item.name, item.id) if word]
    except HardeningError:
        return []
    return [CompletionItem(word, help=text) for word, text in words if word.startswith(incomplete)]


several = click.argument("containers", nargs=-1, required=True, metavar="CONTAINER...", shell_complete=complete)
any_number = click.argument("containers", nargs=-1, metavar="CONTAINER...", shell_complete=complete)
every_option = click.option("-a", "--all", "every", is_flag=True, help="All of yours, instead of naming them.")
one = click.argument("container", metavar="CONTAINER", shell_complete=complete)


def _find(words: Iterable[str]) -> tuple[list[Container], list[HardeningError]]:
    """The containers of names and ids, each once, and what is wrong with the other words: told once the command has done
    what it can for these, as podman and docker do."""
    among, found, problems = own(), dict[str, Container](), list[HardeningError]()
    for word in words:
        try:
            item = find(word, among)
            found[item.id] = item
        except UsageError as error:
            problems.append(error)
    return list(found.values()), problems


def _chosen(
    words: tuple[str, ...], every: bool, find: Callable[[Iterable[str]], tuple[list[Container], list[HardeningError]]]
) -> tuple[list[Container], list[HardeningError]]:
    """The containers that were named, or all, and what is wrong with names. `UsageError` for both, and for neither."""
    if every and words:
        raise UsageError("--all does not go with names", hint="leave one of them out")
    if not every and not words:
        raise UsageError("missing argument 'CONTAINER...'", hint="name one, or add --all; `hardening ps` lists them")
    return (own(), []) if every else find(words)


@click.command("ps", epilog="""\b
Examples:
  hardening ps
  hardening ps -a --json
  hardening rm $(hardening ps -aq)
""")  # fmt: skip
@click.option("-a", "--all", "every", is_flag=True, help="Show those that have ended, too.")
@click.option("-q", "--quiet", is_flag=True, help="Show the ids only.")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
def ps(every: bool, quiet: bool, as_json: bool) -> None:
    """List your containers that run. What is left of launches that were killed is removed."""
    place = state.existing()
    if place is not None:
        output.tell(pruning.prune(place))
    found = [item for item in containers.own() if every or item.running]
    if quiet and as_json:
        raise UsageError("--quiet does not go with --json", hint="leave one of them out")
    if quiet:
        for item in found:
            output.show(item.id)
    else:
        output.show_either(report.data(found), report.table(found, time.time()), as_json=as_json)


@click.command("logs", epilog="""\b
Examples:
  hardening logs site
  hardening logs -f --tail 10 site
  hardening logs -t --since 10m site
""")  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until the container ends.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written.")
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="N", help="Show only the last N lines.")
@click.option(
    "--since", metavar="TIME", help="Show only what is not older: 10m, 1h30m, 08:30, yesterday, 2026-03-01T08:30."
)
@one
def logs(follow: bool, timestamps: bool, tail: int | None, since: str | None, container: str) -> None:
    """Show what a detached container wrote: its standard output on standard output, its standard error on that."""
    first = moment(since, datetime.now().astimezone()) if since else ""
    found = find(container, own())
    if not found.detached:
        raise UsageError(
            f"{found.shown} runs in the foreground, and its output is where it was started", hint="run it with -d"
        )
    show = _writer(timestamps=timestamps)
    with Log(found.path) as log:
        show(log.history(tail=tail, since=first))
        if follow and found.launcher is not None and found.running:
            for records in log.follow(found.launcher):
                show(records)
    # As it is by now.
    lost = (containers.read(found.path) or found).lost
    if lost is not None:
        output.note(f"hardening: {found.shown}: {lost.bytes} bytes of output are not in its log: {lost.reason}")


def _writer(*, timestamps: bool) -> Callable[[list[LogRecord]], None]:
    begun: set[str] = set()  # streams in the middle of a line

    def show(records: list[LogRecord]) -> None:
        for record in records:
            named = sys.stdout if record.stream == "stdout" else sys.stderr
            stream = named.buffer
            if timestamps and record.stream not in begun:
                stream.write(f"{record.time} ".encode())
            stream.write(output.harmless(record.text) if named.isatty() else record.text)
            stream.write(b"\n" if record.ends else b"")
            (begun.discard if record.ends else begun.add)(record.stream)
            stream.flush()

    return show


class _Seconds(click.FloatRange):
    """A span, as messages name it."""

    name = "number of seconds"


@click.command("stop", epilog="""\b
Examples:
  hardening stop site
  hardening stop -t 60 database
""")  # fmt: skip
@click.option("-t", "--time", "seconds", type=_Seconds(min=0), default=STOP_AFTER, show_default=True,
              metavar="SECONDS", help="How long to wait before everything in it is killed.")  # fmt: skip
@every_option
@any_number
def stop(seconds: float, every: bool, containers: tuple[str, ...]) -> None:
    """Send SIGTERM to the commands of containers, and SIGKILL to those that are still there after a while."""
    chosen, problems = _chosen(containers, every, _find)
    found = [item for item in chosen if item.running or not every]
    end(found, seconds)
    for item in found:
        output.show(item.shown)
    raise_all(problems)


@click.command("kill", epilog="""\b
Examples:
  hardening kill site
  hardening kill -s HUP site
""")  # fmt: skip
@click.option("-s", "--signal", "name", default="KILL", show_default=True, metavar="SIGNAL",
              help="Its name or number.")  # fmt: skip
@every_option
@any_number
def kill(name: str, every: bool, containers: tuple[str, ...]) -> None:
    """Send a signal, KILL by default, to the commands of containers.

    Exit code 1: one of them does not run any more.
    """
    number = _signal(name)
    found, problems = _chosen(containers, every, _find)
    for item in found:
        if signal_container(item, number):
            output.show(item.shown)
        elif not every:
            problems.append(EndedError(f"{item.shown} does not run", hint="`hardening ps -a` shows how it ended"))
    raise_all(problems)


def _signal(name: str) -> int:
    word = name.upper().removeprefix("SIG")
    known = {item.name.removeprefix("SIG"): int(item) for item in signal.Signals}
    valid = {int(number) for number in signal.valid_signals()}
    number = int(word) if word.isascii() and word.isdigit() and len(word) < 4 else known.get(word)
    if number not in valid:
        hint = nearest(word, tuple(known)) or "`kill -l` lists the signals"
        raise UsageError(f"unknown signal {name!r}", origin="--signal", hint=hint)
    return number


@click.command("wait", epilog="""\b
Examples:
  hardening wait job
""")  # fmt: skip
@several
def wait(containers: tuple[str, ...]) -> None:
    """Wait until containers have ended, and print the exit code of each on a line."""
    found, problems = _find(containers)
    for item in found:
        end = await_end(item)
        if item.damage and end is None:
            output.note(f"{item.shown}: how it ended cannot be read: {item.damage}")
        elif end is None or end.killed:
            output.note(f"{item.shown}: its launcher was killed, and the command with it")
        output.show(str(KILLED_CODE if end is None else end.code))
        sys.stdout.flush()
    raise_all(problems)


@click.command("rm", epilog="""\b
Examples:
  hardening rm site
  hardening rm -f site
""")  # fmt: skip
@click.option("-f", "--force", is_flag=True, help="Kill those that run. No word of those that do not exist.")
@every_option
@any_number
def rm(force: bool, every: bool, containers: tuple[str, ...]) -> None:
    """Remove what is kept of containers that have ended: log, exit code and name."""
    found, problems = _chosen(containers, every, _existing if force else _find)
    running = [item for item in found if item.running]
    if running and not force:
        names = ", ".join(item.shown for item in running)
        problems.append(UsageError(f"still running: {names}", hint="stop it first, or add -f"))
        found = [item for item in found if not item.running]
    else:
        end(running, 0)
    for item in found:
        discard(item)
        output.show(item.shown)
    raise_all(problems)


def _existing(words: Iterable[str]) -> tuple[list[Container], list[HardeningError]]:
    """The containers of names and ids, without those that do not exist: of which something is said only where one that is
    damaged may have had the name."""
    among = own()
    nameless = ", ".join(item.id for item in among if item.damage and not item.name)
    present = []
    for word in words:
        if any(item.name == word or item.id.startswith(word) for item in among):
            present.append(word)
        elif nameless:
            output.note(f"hardening: no container whose name can be read is {word!r}; damaged are: {nameless}")
    return _find(present)
