"""From a command line to the runs of a command that is tried: of ``hardening why`` and ``hardening learn``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hardening.assemble import handover, pipeline
from hardening.assemble.pipeline import Assembly
from hardening.cli import start
from hardening.cli.options import stack
from hardening.cli.session import Request, Session
from hardening.compose.composition import Composition
from hardening.mechanism.runtime import Runtime
from hardening.why import trial
from hardening.why.trial import Trials

in_place_option = click.option(
    "--in-place", is_flag=True, help="Write to the volumes themselves, and not to copies of them."
)


def trials(
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
    idle: float | None = None,
    interactive: bool = False,
) -> tuple[Trials, Assembly]:
    """The runs of a command under a composition of ``request``, and what the first of them is made of. SIGTERM and SIGHUP
    end them as Ctrl-C does. Raises what a launch raises before its command runs."""
    context.with_resource(start.ended_by_signals())
    place = start.prepare(engine)
    launch = start.request(context, engine, place, interactive=interactive, receipt=None, profiles=profiles, typed=True)
    with stack.beside_default(here, request):
        checked = pipeline.check(composition, here.host, None, engine)
    assembly = pipeline.assembled(here.plugins, composition, here.host, command, context=checked, runtime=engine)
    in_place = in_place or start.writes_in_place(assembly.spec.document)
    found = Trials(
        plugins=here.plugins, engine=engine, host=here.host, command=command, launch=launch.changed(name=""),
        input=trial.kept_input() if interactive else -1,
        secrets=handover.open_secrets_apart(here.plugins, engine, assembly.spec.config),
        seconds=seconds, idle=idle, until=until, in_place=in_place,
    )  # fmt: skip
    return found, assembly
