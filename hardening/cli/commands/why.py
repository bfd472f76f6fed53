"""``hardening why``: run a command, find what was denied, and try the smallest loosening."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from hardening.assemble import redaction
from hardening.assemble.redaction import Redaction
from hardening.cli import answers, command_runs, output, start
from hardening.cli.options import completed_by, imaged, is_typed, keeping, missing, stack
from hardening.cli.session import Request, Session, session
from hardening.errors import EXIT_FINDINGS, UsageError, quoted
from hardening.profile import toml_text as toml
from hardening.report import why
from hardening.trace.tracer import Idle
from hardening.why import smallest, together
from hardening.why.attempt import Attempt, attempt
from hardening.why.inquiry import Explanation, inquire

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.compose.image_defaults import ImageDefaults

EPILOG = """\b
Examples:
  hardening why -p strict -- ping -c 1 127.0.0.1
  hardening why -p ./app.toml -v ./site:/srv -- httpd -f
  hardening why --until 'curl -fs http://127.0.0.1:8080' -p web -- ./server
  hardening why --once -p batch -- /bin/job
  hardening why -o ~/app.toml -p strict -v "$PWD:$PWD" -w "$PWD" -- make
  hardening why --json -p strict -- make test
  hardening why -p web :443                                may it listen there?

Exit codes: 0 where the command succeeds, or did so with what was found, or what was asked is
permitted or can be; 1 otherwise; 2 for a bad profile or usage; 125 where a launch failed.
"""
#: Seconds that each run may take, and that the search may take.
PATIENCE, LIMIT = 60.0, 600.0
#: The options that mean nothing where nothing is run.
_OF_RUNS = frozenset(
    {"interactive", "until", "once", "in_place", "timeout", "limit", "target", "name", "rm", "log_size", "debug",
     "entrypoint", "pull", "tls_verify"}
)  # fmt: skip


class _AskingCommand(stack.StackCommand):
    """One that takes its options after what is asked, too. Those after an image are its entrypoint's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.allow_interspersed_args = self._asks_before_options(ctx, args)
        return super().parse_args(ctx, args)

    def _asks_before_options(self, ctx: click.Context, args: list[str]) -> bool:
        if "--" in args:
            return False
        read = self.make_parser(ctx).parse_args(list(args))[0]
        words = read.get("command")
        if not isinstance(words, tuple):  # nothing is asked, as with --help, or it is still being typed
            return False
        if not imaged.is_option(ctx, words[1:]) or "entrypoint" in read:
            return False
        ctx.allow_interspersed_args = True
        try:
            read = self.make_parser(ctx).parse_args(list(args))[0]
        except click.UsageError:
            return False
        return len(read["command"]) == 1


@click.command("why", cls=_AskingCommand, epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@stack.stack_options
@start.runtime_option
@start.stdin_option
@click.option("--until", metavar="CHECK", default="", help="It has succeeded when this command of your shell does.")
@click.option("--once", is_flag=True, help="Run it once: what is found is then not confirmed.")
@command_runs.in_place_option
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=PATIENCE, show_default=True, metavar="SECONDS",
    help="How long each run may take; 0: for ever.",
)  # fmt: skip
@click.option(
    "--limit", type=click.FloatRange(min=0), default=LIMIT, show_default=True, metavar="SECONDS",
    help="How long the search may take; 0: for ever.",
)  # fmt: skip
@command_runs.output_option("Write the layer with the loosening to FILE, over the profiles that are named.")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@keeping.options
@imaged.options
@click.argument(
    "command", nargs=-1, type=click.UNPROCESSED, metavar="[IMAGE] -- COMMAND [ARG]...|QUESTION",
    shell_complete=completed_by("complete_command"),
)  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    runtime: str,
    interactive: bool,
    until: str,
    once: bool,
    in_place: bool,
    timeout: float,
    limit: float,
    target: Path | None,
    as_json: bool,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND as `hardening run` would, see what it is denied, and find the smallest set of loosenings with which it
    succeeds, by running it again.

    With a QUESTION in the place of a command, say whether the stack permits it: a /PATH inside, a system call with or
    without its arguments, a capability, HOST:PORT or :PORT.

    What it writes to volumes goes to copies, which are thrown away. What it prints goes to standard error. No run has more
    than the limits of the stack permit.
    """
    here = session(context)
    engine = here.plugins.runtime(runtime)
    _require_visible(context, runtime)
    if _is_question(here, command):
        _require_no_run(context, command[0])
        request = stack.request(context, profiles)
        return 0 if _ask(here, request, command[0], as_json=as_json) else EXIT_FINDINGS
    request, typed = command_runs.permitted(context, here, profiles)
    composition, offer, words = _composed(context, here, request, command)
    runner, assembly = command_runs.prepared(
        context, here, request, composition, engine, words,
        profiles=profiles, seconds=timeout or None, idle=Idle(command_runs.IDLE, for_anything=bool(until)), until=until,
        in_place=in_place, interactive=interactive, target=target,
    )  # fmt: skip
    tried = Attempt(composition, here.host, here.today, offer=offer)
    with output.status() as tell:
        found = inquire(
            tried,
            runner,
            once=once,
            limit=limit or None,
            tell=lambda number: tell(f"trying {number} of at most {smallest.MOST} …"),
            on_first=command_runs.note_late,
        )
    found = found.beside(typed)
    if found.loosening is not None:
        found = attrs.evolve(found, warnings=together.warnings(tried, found.loosening, here.plugins))
    if not found.ran.succeeded:
        found = attrs.evolve(found, hint=missing.advice(assembly.spec, words[0]) or found.hint)
    leave = redaction.of_run(runner.secrets, assembly.spec, composition)
    _show(found, leave, as_json=as_json)
    if target is not None and found.loosening is not None:
        text = why.layer(found, toml.inline(command_runs.named(composition.stack.named, target)))
        command_runs.write(target, text, redaction.of_secrets(runner.secrets))
    return 0 if found.is_good else EXIT_FINDINGS


def _require_visible(context: click.Context, runtime: str) -> None:
    """Raise `UsageError` for a run that nobody can look at."""
    if runtime != start.DEFAULT_RUNTIME:
        raise UsageError(
            f"the runtime {runtime} shows nobody what the command asks for", origin="--runtime", hint="leave it out"
        )
    if keeping.detaches(context):
        raise UsageError(
            "the command is run again and again, in the foreground", origin="--detach", hint="leave it out"
        )


def _is_question(here: Session, words: Sequence[str]) -> bool:
    """Whether something is asked, and nothing is run. Raises `UsageError` for two questions at a time."""
    if "--" in here.words or not words:
        return False
    if len(words) > 1 and words[0].startswith("/"):  # no image begins so
        raise UsageError("one thing is asked at a time", hint="leave out the others, or write a command after `--`")
    return len(words) == 1


def _composed(
    context: click.Context, here: Session, request: Request, command: tuple[str, ...]
) -> tuple[Composition, ImageDefaults | None, tuple[str, ...]]:
    """The composition, what its image says of itself, and the words of the command. Raises `UsageError` without any."""
    image, words = imaged.split(context, here.words, command)
    if image is None:
        composition, offer = here.compose(request), None
    else:
        composition, own = imaged.compose(here, request, image, words, quiet=False)
        words, offer = own.command(words), imaged.offered(here, image)
    if not words:
        raise UsageError("no command", hint="write it after `--`: hardening why -- id")
    return composition, offer, words


def _require_no_run(context: click.Context, question: str) -> None:
    """Raise `UsageError` for an option that says something of a run."""
    for parameter in context.command.get_params(context):
        if parameter.name in _OF_RUNS and is_typed(context, parameter.name):
            raise UsageError(
                f"{question} is asked without a run",
                origin=max(parameter.opts, key=len),
                hint=f"leave it out, or write a command after `--`: hardening why -- {quoted(question)}",
            )


def _ask(here: Session, request: Request, question: str, *, as_json: bool) -> bool:
    """Answer what a command may do, from the composition alone, as far as that goes, and whether it can do so."""
    tried = attempt(here.stack(request), here.plugins.mechanisms, here.host, here.today)
    can = answers.ask(tried, question, here.plugins, as_json)
    if tried.error is not None:
        raise tried.error
    return can


def _show(found: Explanation, leave: Redaction, *, as_json: bool) -> None:
    if as_json:
        output.show_json(leave.of(why.data(found)))
        return
    if output.is_terminal(sys.stdout):
        output.show_tree(leave.of(why.tree(found)))
    else:
        output.show(leave.of(why.sentence(found)))
        for table in (why.denials(found), why.elsewhere(found), why.probes(found)):
            if table.rows:
                output.show("")
                output.show_table(leave.of(table))
    if found.loosening is not None:
        which = "a loosening that was enough" if found.is_only_enough else "smallest loosening"
        output.show(f"\n{which}, {leave.of(answers.pasted(found.loosening))}")
        for line in why.warned(found):
            output.show(f"\n{leave.of(line)}")
    if found.hint:
        output.show(f"\nhint: {leave.of(found.hint)}")
    output.show(f"\n{found.runs} runs in {found.seconds:.1f} seconds")
