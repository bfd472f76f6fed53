"""``hardening compose``: a stack as a spec, a bundle, settings, one profile, or a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardening.cli import output, stack
from hardening.cli.run import QUIET, show_notes
from hardening.cli.session import Session, session
from hardening.errors import EXIT_FINDINGS, UsageError

if TYPE_CHECKING:
    from hardening.cli.session import Request
    from hardening.pipeline import Plan

FORMATS = ("spec", "settings", "toml", "html", "sarif")

EPILOG = """\b
Examples:
  hardening compose -p strict -- id                      the OCI runtime spec
  hardening compose -p web --format settings             every value and what decided it
  hardening compose -p org.toml -p app.toml --format toml > flat.toml
  hardening compose -p web --format html > report.html
  hardening compose -p web --format sarif > findings.sarif
  hardening compose -p web -o ./bundle -- httpd -f       a bundle for `hardening launch`

\b
Exit codes: 0; 1 with --format sarif where there is a warning or an error; 2 for a bad
profile or usage; 125 where this host cannot enforce a required mechanism.
"""


@click.command(
    "compose",
    cls=stack.StackCommand,
    epilog=EPILOG,
    context_settings={"allow_interspersed_args": False},
    short_help="Compose a stack of profiles into an OCI runtime spec.",
)
@stack.stack_options
@click.option("--format", "form", type=click.Choice(FORMATS), default="spec", show_default=True, help="What to show.")
@click.option("--json", "as_json", is_flag=True, help="JSON, for the formats spec and settings.")
@click.option(
    "-o",
    "--output",
    "bundle",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Write a bundle, which must not exist.",
)
@click.option("-q", "--quiet", is_flag=True, help=QUIET)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARG]...]")
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    form: str,
    as_json: bool,
    bundle: Path | None,
    quiet: bool,
    command: tuple[str, ...],
) -> int:
    """Compose a stack of profiles. Without COMMAND the spec has no command to run."""
    if as_json and form in ("toml", "html"):
        raise UsageError(f"--json does not go with --format {form}", hint="use --format settings --json")
    if bundle is not None and form != "spec":
        raise UsageError(f"-o does not go with --format {form}", hint="-o writes a bundle; redirect the others")
    here = session(context)
    request = stack.request(context, profiles)
    if form == "settings":
        return _settings(here, request, as_json)
    if form == "toml":
        from hardening.report.settings import profile

        output.show_raw(profile(here.compose(request)).encode())
        return 0
    plan = _plan(here, request, command, bundle)
    if not quiet:
        show_notes(plan, reported=form in ("html", "sarif"))
    code = _write(here, plan, form, bundle)
    if bundle is not None and not (command or quiet):
        output.note("the bundle has no command to run: add `-- COMMAND`")
    return code


def _plan(here: Session, request: Request, command: tuple[str, ...], bundle: Path | None) -> Plan:
    from hardening import pipeline

    composition = here.compose(request)
    target = bundle.absolute() if bundle else None
    return pipeline.plan(here.plugins, composition, here.host, command, bundle=target)


def _write(here: Session, plan: Plan, form: str, bundle: Path | None) -> int:
    from hardening import bundle as bundles
    from hardening import pipeline

    if bundle is not None:
        pipeline.release(here.plugins, plan)
        bundles.write(plan.spec, bundle.absolute())
    elif form == "html":
        from hardening.report.html import page

        output.show_raw(page(plan).encode())
    elif form == "sarif":
        from hardening.findings import count_serious
        from hardening.report.sarif import log

        output.show_json(log(plan.findings))
        return EXIT_FINDINGS if count_serious(plan.findings) else 0
    else:
        output.show_raw(plan.spec.config)
    return 0


def _settings(here: Session, request: Request, as_json: bool) -> int:
    from hardening.report import data, settings

    composition = here.compose(request)
    if as_json:
        output.show_json(data.composition(composition))
        return 0
    output.show_table(settings.stack(composition))
    output.show("")
    output.show_table(settings.leaves(entry for _, entry in sorted(composition.leaves.items())))
    if composition.findings:
        output.show("")
        output.show_table(settings.findings(composition.findings))
    return 0
