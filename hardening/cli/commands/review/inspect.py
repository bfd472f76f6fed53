"""``hardening inspect``: what the kernel says of processes that run, ours or not, and whether a stack would have it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs
import click

from hardening.assemble import pipeline
from hardening.base.linux import children
from hardening.cli import output
from hardening.cli.commands.containers import complete
from hardening.cli.options import imaged, stack
from hardening.cli.session import Session, session
from hardening.compose.composition import Composition
from hardening.errors import EXIT_FINDINGS, EndedError, UsageError
from hardening.report import process, verification
from hardening.report.verification import ReceiptLine
from hardening.runs import containers, inspection, receipt
from hardening.runs.inspection import OWN, RunningProcess
from hardening.score.scoring import of_report

T = TypeVar("T")

EPILOG = """\b
Examples:
  hardening inspect web                       a container of yours
  hardening inspect --pid 4711                any process
  hardening inspect --pid 4711 -p strict      held against a stack: exit code 1 for a difference
  hardening inspect --podman db -p web        a container of podman's
  hardening inspect --all                     a line each, of yours and podman's

With a stack, a process stands still for a moment while its filters are read, as under `strace -p`.
"""


@click.command("inspect", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@imaged.image_option
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Look at this process.")
@click.option("--podman", metavar="NAME", help="Look at a container that podman runs.")
@click.option("--all", "every", is_flag=True, help="Look at all containers that run: yours, and podman's.")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("container", required=False, metavar="[CONTAINER]", shell_complete=complete)
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    image: str | None,
    pid: int | None,
    podman: str | None,
    every: bool,
    as_json: bool,
    container: str | None,
) -> int:
    """Show what the kernel says of a process that runs, whoever started it. With a stack, hold it against that: what
    differs is drift, and the exit code is 1."""
    if (pid is not None) + (podman is not None) + every + (container is not None) != 1:
        raise UsageError("name one container, --pid, --podman or --all", hint="`hardening ps` lists containers")
    here = session(context)
    composition = None
    if stack.is_named(context):
        composition = here.compose(*imaged.look(here, stack.request(context, profiles), image))
    elif image is not None:
        raise UsageError("--image goes with a stack", hint="add -p PROFILE")
    if every:
        found, problems = inspection.running()
        code = _show_all(here, found, composition, as_json)
        output.tell(problems)
        return EXIT_FINDINGS if problems else code
    return _show(here, _chosen(pid, podman, container), composition, as_json)


def _chosen(pid: int | None, podman: str | None, container: str | None) -> RunningProcess:
    if pid is not None:
        return RunningProcess(str(pid), "", pid)
    if podman is not None:
        return inspection.of_podman_named(podman)
    found = containers.find(container or "", containers.own())
    if found.status != containers.RUNNING or found.process is None:
        raise EndedError(f"{container} does not run", hint="`hardening ps` lists what does")
    return RunningProcess(found.name or found.id, OWN, found.process.pid)


def _show(here: Session, item: RunningProcess, composition: Composition | None, as_json: bool) -> int:
    if composition is None:
        _, *seen = _reported(here, item)
        facts = process.data(*seen)
        if as_json:
            output.show_json(facts)
        else:
            output.show_table(process.table(facts))
        return 0
    lines = _held(here, composition)(item)
    answer = process.verdict(lines)
    if as_json:
        output.show_json({**answer, "checks": [attrs.asdict(line) for line in lines]})
    else:
        output.show_tables(*verification.tables(lines))
    return EXIT_FINDINGS if answer["drift"] else 0


def _show_all(here: Session, found: Sequence[RunningProcess], composition: Composition | None, as_json: bool) -> int:
    if composition is None:
        rows = _each(found, partial(_reported, here))
        facts = [attrs.asdict(item) | {"facts": process.data(report, document)} for item, report, document in rows]
        output.show_either(facts, process.lines(rows), as_json=as_json)
        return 0
    held = _held(here, composition)
    verdicts = _each(found, lambda item: (item, process.verdict(held(item))))
    answers = [attrs.asdict(item) | answer for item, answer in verdicts]
    output.show_either(answers, process.verdicts(verdicts), as_json=as_json)
    return EXIT_FINDINGS if any(answer["drift"] for _, answer in verdicts) else 0


def _each(found: Sequence[RunningProcess], look: Callable[[RunningProcess], T]) -> list[T]:
    """What is seen of each process, but for those that have ended since they were listed."""

    def seen(item: RunningProcess) -> T | None:
        try:
            return look(item)
        except EndedError:
            return None

    return [answer for answer in children.side_by_side(found, seen) if answer is not None]


def _reported(here: Session, item: RunningProcess) -> tuple[RunningProcess, dict[str, Any], dict[str, Any]]:
    """A process with its report, and that in the words of an OCI configuration."""
    report = inspection.report(item.pid)
    return item, report, of_report(here.plugins.mechanisms, report, here.host)


def _held(here: Session, composition: Composition) -> Callable[[RunningProcess], list[ReceiptLine]]:
    """What holds a process against a composition, which is assembled once."""
    examined = pipeline.examine(composition, here.host)
    spec = pipeline.assembled(here.plugins, composition, here.host, context=examined).spec
    within = attrs.evolve(examined, spec=spec, has_run=True)
    launcher = inspection.launcher(spec.document)

    def look(item: RunningProcess) -> list[ReceiptLine]:
        found = receipt.verify(composition, within, inspection.report(item.pid, launcher))
        return verification.judge(composition, found, within.unsupported)

    return look
