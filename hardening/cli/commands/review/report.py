"""``hardening report``: what the command of a stack may do, and why, as one page of HTML."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.assemble import pipeline
from hardening.cli import output
from hardening.cli.notes import QUIET, show_notes
from hardening.cli.options import imaged, stack
from hardening.cli.session import session
from hardening.errors import UsageError, quoted

EPILOG = """\b
Examples:
  hardening report -p web -o web.html
  hardening report -p org.toml -p app.toml > app.html
  hardening report -p ./mine.toml --image oci:./image:v1 -o mine.html
"""


@click.command("report", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@imaged.image_option
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write it to FILE.")
@click.option("-q", "--quiet", is_flag=True, help=QUIET)
@click.pass_context
def command(
    context: click.Context, profiles: tuple[str, ...], image: str | None, target: Path | None, quiet: bool
) -> None:
    """Write one page of HTML that says what a command may do under a stack of profiles, and why: capabilities, system calls,
    files and network, every value with what decided it, limits, exceptions and findings. It needs nothing else, and asks for
    nothing from anywhere. Without -o it goes to standard output; with it, it replaces no file but an earlier report."""
    from hardening.report.page import is_page, page

    here = session(context)
    composition = here.compose(*imaged.look(here, stack.request(context, profiles), image))
    stack.require_no_layer(composition, "-o", target)
    if target is not None and target.is_file() and target.stat().st_size and not is_page(target):
        hint = f"name another file, or remove it: rm {quoted(str(target))}"
        raise UsageError("it is no report, and would be replaced", origin=f"-o {target}", hint=hint)
    # What this host cannot enforce stands in the page: it may be read where nothing is to run.
    context_here = pipeline.examine(composition, here.host)
    assembly = pipeline.assembled(here.plugins, composition, here.host, context=context_here)
    show_notes(assembly, quiet=quiet, reported=True)
    text = page(assembly, here.today).encode()
    if target is None:
        output.show_raw(text)
        return
    output.save(target, text)
