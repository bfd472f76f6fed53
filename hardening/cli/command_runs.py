"""From a command line to the runs of a command that is tried: of ``hardening why`` and ``hardening learn``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from hardening.assemble import handover, pipeline
from hardening.assemble.pipeline import Assembly
from hardening.assemble.redaction import Redaction
from hardening.base.files import is_below
from hardening.cli import output, start
from hardening.cli.options import F, stack
from hardening.cli.session import Request, Session
from hardening.compose.composition import Composition
from hardening.errors import HardeningError, UsageError, quoted
from hardening.mechanism.roles import RootDirectory
from hardening.mechanism.runtime import Runtime
from hardening.profile.layers import is_path
from hardening.trace.tracer import TIME, Idle
from hardening.why import loosen, runner
from hardening.why.attempt import attempt
from hardening.why.loosening import Loosening
from hardening.why.runner import CommandRunner, Ran
from hardening.why.until import Until

#: Seconds that a server may wait for others in a run of a search, before it is taken for one.
IDLE = 3.0


def output_option(what: str) -> Callable[[F], F]:
    """Add ``-o`` to a command, whose help says what is written."""
    return click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help=what)


in_place_option = click.option(
    "--in-place", is_flag=True, help="Write to the volumes themselves, and not to copies of them."
)


def permitted(context: click.Context, here: Session, profiles: tuple[str, ...]) -> tuple[Request, Sequence[Loosening]]:
    """What the parsed command line asks for, and where it loosens something without an exception, the exceptions that `run`
    will want: who asks what a command needs has it tried as it was typed. Raises `ProfileError`, or `Problems`, for what no
    exception permits."""
    request = stack.request(context, profiles)
    try:
        here.compose(request)
    except HardeningError:
        ways = loosen.typed(attempt(here.stack(request), here.plugins.mechanisms, here.host, here.today))
        if not ways:
            raise
        exceptions = [word for way in ways for word in way.options if word != "--exception"]
        return stack.excepted(context, profiles, exceptions), ways
    return request, ()


def prepared(
    context: click.Context,
    here: Session,
    request: Request,
    composition: Composition,
    engine: Runtime,
    command: tuple[str, ...],
    *,
    profiles: Sequence[str],
    seconds: float | None,
    until: str,
    in_place: bool,
    idle: Idle | None = None,
    interactive: bool = False,
    target: Path | None = None,
) -> tuple[CommandRunner, Assembly]:
    """The runs of a command under a composition of ``request``, and what the first of them is made of. SIGTERM and SIGHUP
    end them as Ctrl-C does. Raises what a launch raises before its command runs."""
    context.with_resource(start.ended_by_signals())
    place = start.prepare(engine)
    launch = start.request(context, engine, place, interactive=interactive, receipt=None, profiles=profiles, typed=True)
    with stack.beside_default(here, request):
        checked = pipeline.check(composition, here.host, None, engine)
    assembly = pipeline.assembled(here.plugins, composition, here.host, command, context=checked, runtime=engine)
    stack.require_no_layer(composition, "-o", target)
    require_apart(target, assembly)
    in_place = in_place or start.writes_in_place(assembly.spec.document)
    found = CommandRunner(
        plugins=here.plugins, engine=engine, host=here.host, command=command, launch=launch.changed(name=""),
        input=runner.kept_input() if interactive else -1,
        secrets=handover.open_secrets_apart(here.plugins, engine, assembly.spec.config),
        seconds=seconds, idle=idle, until=until, in_place=in_place,
    )  # fmt: skip
    require_unanswered(until)
    return found, assembly


def note_late(ran: Ran) -> None:
    """Say of a first run that its time was too short, before as much is spent on others."""
    if ran.trace.ended == TIME and not ran.succeeded:
        output.note(
            f"the command was still at work after {ran.seconds:.0f} seconds: what it comes to later is not seen; --timeout "
            "gives each run more, and --limit all of them"
        )


def named(profiles: Sequence[str], target: Path | None) -> list[str]:
    """The profiles as a layer extends them that is written to ``target``: a path is seen from its folder."""
    folder = target.absolute().parent if target is not None else None
    seen = partial(stack.seen_from, folder) if folder is not None else os.path.abspath
    return [seen(profile) if is_path(profile) else profile for profile in profiles]


def require_unanswered(check: str) -> None:
    """Raise `UsageError` for a check that succeeds although no command runs: what else answers it would answer each time."""
    with Until(check) as until:
        if check and until.at_last(0, IDLE):
            raise UsageError(
                f"it succeeds before the command has started: {check}",
                hint="end what else answers it, or check what holds while the command works and no sooner",
            )


def require_apart(target: Path | None, assembly: Assembly) -> None:
    """Raise `UsageError` for a layer that would lie where the command may write: it would decide what that may do."""
    root = assembly.context.of(RootDirectory)
    volumes = root.mounted_volumes() if target is not None and root is not None else ()
    place = os.path.realpath(target or "")
    for volume in volumes:
        source = os.path.realpath(volume.source)
        if volume.writable and (place == source or is_below(place, source)):
            name = Path(place).name if place != source else f"{Path(place).name}.layer"
            raise UsageError(
                f"the command may write to {volume.source}, and what lies there can decide nothing",
                origin=f"-o {target}",
                hint=f"write it beside that: -o {quoted(str(Path(source).parent / name))}",
            )


def write(target: Path, text: str, secrets: Redaction) -> None:
    """Write a layer, and say how it is used. Raises `UsageError`, also for a layer that holds the value of a secret."""
    require_no_secrets(text, secrets)
    output.save(target, text.encode())
    profile = str(target) if "/" in str(target) else f"./{target}"
    output.note(
        f"{target} is that layer: hardening run -p {quoted(profile)}, in the place of those that it extends and of what it "
        "has an exception for, with all else that was typed (-w, -e …)"
    )


def require_no_secrets(layer: str, secrets: Redaction) -> None:
    """Raise `UsageError` for a layer that holds the value of a secret."""
    if secrets.of(layer) != layer:
        raise UsageError("the layer would hold the value of a secret", hint="keep it out of names of files")
