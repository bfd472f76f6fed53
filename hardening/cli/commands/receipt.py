"""``hardening receipt``: hold the kernel's report of a process against the stack that it was started with."""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from hardening.assemble.pipeline import assembled, examine
from hardening.cli import output
from hardening.cli.options import imaged, stack
from hardening.cli.session import session
from hardening.errors import EXIT_FINDINGS
from hardening.report import verification
from hardening.runs import receipt

EPILOG = """\b
Examples:
  hardening run -p strict --receipt id.json -- id
  hardening receipt -p strict id.json
  hardening receipt -p strict id.json --json
  hardening receipt -p ./mine.toml --image docker.io/library/busybox id.json

Name the same profiles and options as for the run, and its image. Exit code 1: something does not hold, or
was not seen.
"""


@click.command("receipt", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@imaged.image_option
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], image: str | None, as_json: bool, file: Path) -> int:
    """Compare FILE, which `hardening run --receipt` wrote, with what a stack of profiles composes to.

    What this host cannot enforce of a best-effort mechanism is shown as not enforced, and is no failure.
    """
    here = session(context)
    composition = here.compose(*imaged.look(here, stack.request(context, profiles), image))
    report = receipt.read(file)
    examined = examine(composition, here.host)
    within = attrs.evolve(examined, spec=assembled(here.plugins, composition, here.host, context=examined).spec)
    lines = verification.judge(composition, receipt.verify(composition, within, report), within.unsupported)
    holds = verification.holds(lines)
    if as_json:
        output.show_json({"holds": holds, "checks": [attrs.asdict(line) for line in lines]})
    else:
        output.show_tables(*verification.tables(lines))
        if not holds:
            output.note(
                "hint: if the run had other profiles, options or image, give them here as they were given there"
            )
    return 0 if holds else EXIT_FINDINGS
