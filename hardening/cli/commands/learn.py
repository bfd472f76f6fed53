"""``hardening learn``: run a command, see what it asks for, and write the layer that gives it that and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from hardening.assemble import redaction
from hardening.assemble.redaction import Redaction
from hardening.cli import command_runs, output, start
from hardening.cli.options import stack
from hardening.cli.session import Request, session
from hardening.elf import extra
from hardening.errors import EXIT_FINDINGS, UsageError
from hardening.learn import layer, recording
from hardening.learn.learning import Learnt, learn, with_needed
from hardening.learn.stack_runs import StackRuns

#: Seconds for all runs.
LIMIT = 1800.0
EPILOG = """\b
Examples:
  hardening learn -p strict -o app.toml -- ./app --once
  hardening learn -p web -o site.toml --check 'curl -fs http://127.0.0.1:8080/' -- httpd -f
  hardening learn -p build --into seen.json -- make test
  hardening learn -p build --into seen.json -o make.toml -- make install

Exit codes: 0; 1 where the command does not succeed under what was learnt; 2 for a bad
profile or usage.
"""


@click.command("learn", cls=stack.StackCommand, epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@stack.stack_options
@start.stdin_option
@command_runs.output_option("Write the layer to FILE; to standard output without.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Learn from the runs in FILE too, and keep this one there.",
)
@click.option(
    "--check", metavar="COMMAND", default="", help="A command of this shell that says whether the program works."
)
@click.option("--timeout", type=click.FloatRange(min=1), default=60, show_default=True, help="Seconds for each run.")
@click.option(
    "--limit", type=click.FloatRange(min=0), default=LIMIT, show_default=True, metavar="SECONDS",
    help="How long all runs may take; 0: for ever.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Write the layer even if the command does not succeed under it.")
@click.option(
    "--static", "reads_programs", is_flag=True, help="Allow what the programs could call by their files, too."
)
@command_runs.in_place_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARG]...")
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    interactive: bool,
    target: Path | None,
    into: Path | None,
    check: str,
    timeout: float,
    limit: float,
    force: bool,
    reads_programs: bool,
    in_place: bool,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND under a stack of profiles, see what it asks for, and write a layer that gives it that and nothing else.

    The command runs several times: until it succeeds, to find what it can do without, and under the result. It succeeds with
    exit code 0, or when --check does, which is asked again and again while it runs. No run has more than the limits of the
    stack permit. What is typed beside the profiles is a part of the layer where they take an exception for it.
    """
    if not command:
        raise UsageError("no command", hint="write it after `--`: hardening learn -- id")
    if reads_programs:
        extra.require()
    here = session(context)
    request, typed = command_runs.permitted(context, here, profiles)
    base = here.compose(request)
    before = recording.read(into) if into is not None else recording.Recording()
    engine = here.plugins.runtime(start.DEFAULT_RUNTIME)
    runner, assembly = command_runs.prepared(
        context, here, request, base, engine, command,
        profiles=profiles, seconds=timeout, until=check, in_place=in_place, interactive=interactive, target=target,
    )  # fmt: skip
    named = here.compose(Request(profiles))
    with output.status() as tell:
        runs = StackRuns(
            base, named, here.today, runner, idle=command_runs.IDLE, reads_programs=reads_programs, limit=limit or None,
            tell=lambda number: tell(f"run {number} …"), on_first=command_runs.note_late,
        )  # fmt: skip
        found = learn(runs, before)
    if found.proved and runs.unlike:
        found = attrs.evolve(found, proved=False)
    found = _without(found, redaction.of_run(runner.secrets, assembly.spec, base))
    if into is not None and found.recording.runs:
        recording.write(into, found.recording)
    needing = [one.tables for one in typed if one.excepted]
    found = attrs.evolve(found, statements=with_needed(found.statements, needing, "as it was typed"))
    _tell(found, runs.unlike)
    if not (found.proved or (force and found.recording.runs)):
        return EXIT_FINDINGS
    text = layer.text(command_runs.named(base.stack.named, target), found.recording, found.statements, found.barred)
    secrets = redaction.of_secrets(runner.secrets)
    if target is None:
        command_runs.require_no_secrets(text, secrets)
        output.show_raw(text.encode())
    else:
        command_runs.write(target, text, secrets)
    return 0 if found.proved else EXIT_FINDINGS


def _without(found: Learnt, leave: Redaction) -> Learnt:
    """What was learnt, as it is told and kept: what a layer says was proved, and stays."""
    statements = {
        name: [attrs.evolve(statement, comment=leave.of(statement.comment)) for statement in said]
        for name, said in found.statements.items()
    }
    spared = {leave.of(leaf): leave.of(seen) for leaf, seen in found.spared.items()}
    recording = found.recording.changed(leave.of)
    return attrs.evolve(found, recording=recording, statements=statements, barred=leave.of(found.barred), spared=spared)


def _tell(found: Learnt, unlike: Sequence[str]) -> None:
    """Say on standard error what a person must know of what was learnt, and in what copies were ``unlike`` their volumes."""
    loosened = layer.loosened(found.statements)
    for leaf, seen in loosened.items():
        output.note(f"loosened: {leaf} ({seen})")
    came = "not needed" if found.proved else "refused"  # of a command that fails nobody knows what it needs
    for leaf, seen in found.spared.items():
        output.note(f"asked for, and {came}: {leaf} ({seen})")
    for item in found.barred:
        output.note(f"refused by a limit: {item.leaf} ({item.seen}): {item.reason}")
    for name in found.left:
        output.note(f"not tightened: {name}, since the command fails where it is")
    if found.proved:
        output.note("recorded in {:.2f} s, and in {:.2f} s unrecorded".format(*found.seconds))
        others = len(found.recording.runs) - 1
        if others:
            output.note(f"proved by this command; each of the {others} before it was, with what was known then")
    elif found.unfinished:
        output.note(
            f"warning: {found.unfinished}: nothing is proved; --timeout gives each run more time, --limit all of them, and "
            "--check says when a command works that goes on"
        )
    elif unlike:
        output.note(
            f"warning: the runs had copies that are unlike their volumes ({'; '.join(unlike)}): nothing is proved; with "
            "--in-place every run writes to the volumes themselves"
        )
    else:
        output.note("warning: the command does not succeed under what was learnt; `hardening why` looks for the reason")
