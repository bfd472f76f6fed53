"""``hardening run``: compose a stack, and replace this process by the launcher."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.assemble import handover, pipeline
from hardening.assemble.pipeline import Assembly
from hardening.base import state
from hardening.cache import entries
from hardening.cli import output, refusals, start, stored
from hardening.cli.notes import QUIET, losses, of_run, show_notes
from hardening.cli.options import completed_by, imaged, keeping, stack
from hardening.cli.options.entrypoint import ImageCommand
from hardening.cli.options.missing import advice, looked_at
from hardening.cli.session import Request, Session, session
from hardening.cli.stored import Storable
from hardening.compose.composition import Composition
from hardening.errors import UsageError, quoted
from hardening.launch.cache import BUNDLE, HOST, IMAGE, LOST, Line, has_input
from hardening.launch.request import LaunchRequest
from hardening.mechanism.inputs import Input
from hardening.mechanism.mechanism import Context
from hardening.mechanism.runtime import Runtime

EPILOG = """\b
Examples:
  hardening run -p strict -- id
  hardening run -p web -v ./site:/srv:ro -e LANG=C -- httpd -f
  hardening run -p batch --rootfs ./rootfs --runtime crun -- /bin/job
  hardening run --set process.resources.memory=256M -i -t -- sh
  hardening run docker.io/library/busybox -- id
  hardening run -d --name site -p web -v ./site:/srv:ro -- httpd -f
  hardening run --dry-run -p strict -- id

Exit codes: the command's own; 128+n where signal n ended it; 2 for a bad profile or
usage, 125 where the launcher failed, 126 and 127 where the command cannot be executed
or does not exist.
"""

#: The options of a line that only looks.
LOOKING = ("--dry-run", "--json")


@click.command("run", cls=stack.StackCommand, epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@stack.stack_options
@start.runtime_option
@start.stdin_option
@click.option("-q", "--quiet", is_flag=True, help=f"{QUIET} Of a command that fails, do not say how to ask why.")
@click.option("--dry-run", is_flag=True, help="Show what would run, and start and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: show it as JSON.")
@start.receipt_option
@keeping.options
@imaged.options
@start.fresh_option
@click.argument(
    "command", nargs=-1, type=click.UNPROCESSED, metavar="[IMAGE] -- COMMAND [ARG]...",
    shell_complete=completed_by("complete_command"),
)  # fmt: skip
@click.pass_context
@refusals.recorded
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    runtime: str,
    interactive: bool,
    quiet: bool,
    dry_run: bool,
    as_json: bool,
    receipt: Path | None,
    fresh: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND under a stack of profiles, as a child of your own session and without a daemon; with -d in the
    background.

    The root is the host's own, read-only and with its secrets hidden, unless a profile or an option names another, or an
    IMAGE stands before `--`. An IMAGE is fetched if it is missing, if the stack's policy permits it; without COMMAND it
    runs its own.
    """
    if as_json and not dry_run:
        raise UsageError("--json goes with --dry-run", hint="`--receipt FILE` keeps what the kernel says of a run")
    here = session(context)
    typed = command
    image, command = imaged.split(context, here.words, command)
    line = _line(here.words, typed, image, command, dry_run=dry_run)
    target = start.receipt_file(receipt)
    engine = here.plugins.runtime(runtime)
    request = stack.request(context, profiles)
    composition, own = _composed(here, request, image, command, quiet=quiet)
    stack.require_no_layer(composition, "--receipt", receipt)
    command = own.command(command)
    if interactive and not dry_run and not keeping.detaches(context):
        stack.require_keyboard(composition)
    place = state.location() if dry_run else start.prepare(engine)
    launch = start.request(
        context, engine, place, interactive=interactive, receipt=target, profiles=profiles, typed=True, hints=not quiet
    )
    with stack.beside_default(here, request):
        checked = pipeline.check(composition, here.host, None, engine)
    options, _ = stack.pasteable(context, line.options[1:])
    found = stored.storable(here, line, own, composition, checked, engine, launch, fresh=fresh, shown=options)
    if dry_run:
        assembly, _ = _assembled(here, composition, command, engine, None, checked)
        _show(engine, assembly, command, launch, found, as_json)
        return
    with stored.entry(found) as kept:
        bundle = kept[0].bundle if kept is not None else Path(launch.directory, BUNDLE)
        assembly, rests = _assembled(here, composition, command, engine, bundle, checked, stays=kept is not None)
        missing = advice(assembly.spec, command[0]) if image is None else None
        notes = [*(losses(assembly) if quiet else of_run(assembly, place, interactive=interactive))]
        loses = not quiet and not interactive and LOST not in notes
        shown = [output.note(line) for line in (*notes, *([f"hint: {missing}"] if missing else []))]
        if loses and has_input():
            output.note(LOST)
        looked = [*looked_at(assembly.spec), *rests]
        values = handover.typed_variables(assembly.spec, composition)
        if kept is not None:
            entry, storable = kept
            storable.start(entry, assembly.spec, values, shown, looked, loses=loses, lasting=not missing)
        spec, launch = handover.split(engine, assembly.spec, values, launch)
        start.start_new(here, spec, bundle, engine, launch)


def _composed(
    here: Session, request: Request, image: imaged.ImageOptions | None, command: tuple[str, ...], *, quiet: bool
) -> tuple[Composition, ImageCommand]:
    """What the command runs under, and what the image runs without one. Raises `UsageError` where neither names any."""
    if image is not None:
        composition, own = imaged.compose(here, request, image, command, quiet=quiet)
        if own.command(command):
            return composition, own
        raise UsageError(
            f"the image {image.text} names no command", hint=f"hardening run {quoted(image.text)} -- COMMAND"
        )
    if not command:
        raise UsageError("no command", hint="write it after `--`: hardening run -- id")
    return here.compose(request), ImageCommand()


def _line(
    words: tuple[str, ...],
    typed: tuple[str, ...],
    image: imaged.ImageOptions | None,
    command: tuple[str, ...],
    *,
    dry_run: bool,
) -> Line:
    """The line, as the cache has it; of a ``dry_run``, that which it stands for. ``typed`` is what follows its options."""
    before = words[: len(words) - len(typed)]
    options = [word for word in before if not dry_run or word not in LOOKING]
    if image is None:
        return Line.of(HOST, options[:-1], command)  # but for the mark of their end
    return Line.of(IMAGE, [*options, typed[0]], command)


def _assembled(
    here: Session,
    composition: Composition,
    command: tuple[str, ...],
    engine: Runtime,
    bundle: Path | None,
    checked: Context,
    *,
    stays: bool = False,
) -> tuple[Assembly, tuple[Input, ...]]:
    """What is to run, judged, and what the verdicts rest on."""
    assembly = pipeline.assembled(
        here.plugins, composition, here.host, command, bundle=bundle, stays=stays, context=checked, runtime=engine
    )
    if composition.image is not None:
        imaged.require_read_only(assembly.spec)
    looked = pipeline.judge(assembly, engine)
    if bundle is not None:
        pipeline.apply_host_changes(assembly)
    return assembly, looked


def _show(
    engine: Runtime,
    assembly: Assembly,
    command: tuple[str, ...],
    launch: LaunchRequest,
    found: Storable | tuple[str, ...],
    as_json: bool,
) -> None:
    from hardening.assemble.enforcement import enforcement
    from hardening.report import data, settings
    from hardening.report.places import shortener

    missing = advice(assembly.spec, command[0])
    if isinstance(found, tuple):
        obstacles = found
        bundle = Path(launch.directory, BUNDLE)
        argv = engine.command(bundle, launch.changed(remove=True))
    else:
        obstacles = found.obstacles(
            assembly.spec, handover.typed_variables(assembly.spec, assembly.composition), missing
        )
        bundle = entries.place(found.line) / launch.id / BUNDLE
        argv = found.argv(bundle, remove=bool(obstacles))
    states = enforcement(assembly.composition, assembly.context.unsupported, assembly.host)
    if as_json:
        output.show_json(
            {
                "command": list(command),
                "runtime": engine.name,
                "argv": argv,
                "image": data.image(assembly.composition.image),
                "stack": data.stack(assembly.composition.stack),
                "mechanisms": data.enforcement(states),
                "findings": data.findings(assembly.findings),
                "files": sorted(assembly.spec.files),
                "not_stored": list(obstacles),
                "spec": assembly.spec.document,
            }
        )
        return
    import shlex

    output.show(f"command  {shlex.join(command)}")
    output.show(f"runtime  {engine.name} {engine.version() or '(not installed)'}")
    output.show(f"spec     {bundle}/config.json (not written; `hardening compose` shows it)\n")
    tables = settings.enforcement(states), settings.findings(assembly.findings)
    in_short = shortener(assembly.composition.stack.layers)
    output.show_tables(*(table.mapped(in_short) for table in (settings.stack(assembly.composition), *tables)))
    stays = f"not kept: {'; '.join(obstacles)}" if obstacles else "kept for the next call"
    output.show(f"\ncache    {stays}")
    output.show(f"argv     {shlex.join(argv)}")
    show_notes(assembly, reported=True)
