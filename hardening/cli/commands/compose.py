"""``hardening compose``: a stack as a spec, a bundle, settings, one profile, or a report."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.assemble import bundle as bundles
from hardening.assemble import pipeline
from hardening.assemble.pipeline import Assembly
from hardening.cli import output
from hardening.cli.notes import QUIET, show_notes
from hardening.cli.options import completed_by, imaged, stack
from hardening.cli.session import Session, session
from hardening.compose.composition import Composition
from hardening.errors import EXIT_FINDINGS, UsageError
from hardening.mechanism.findings import Finding, count_serious
from hardening.report import data, settings
from hardening.report.places import shortener

FORMATS = ("spec", "settings", "toml", "sarif")

EPILOG = """\b
Examples:
  hardening compose -p strict -- id                      the OCI runtime spec
  hardening compose -p web --format settings             every value and what decided it
  hardening compose -p org.toml -p app.toml --format toml > flat.toml
  hardening compose -p web --format sarif > findings.sarif
  hardening compose -p web -o ./bundle -- httpd -f       a bundle for `hardening launch`
  hardening compose -p ./mine.toml -o ./bundle docker.io/library/busybox -- id

Exit codes: 0; 1 with --format sarif where [findings] of a layer refuses one, or where no
layer says so, of a warning or worse; 2 for a bad profile or usage; 125 where this host
cannot enforce a required mechanism.
"""


@click.command("compose", cls=stack.StackCommand, epilog=EPILOG, context_settings={"allow_interspersed_args": False})
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
@imaged.options
@click.argument(
    "command", nargs=-1, type=click.UNPROCESSED, metavar="[IMAGE] [-- COMMAND [ARG]...]",
    shell_complete=completed_by("complete_command"),
)  # fmt: skip
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
    """Compose a stack of profiles. Without COMMAND the spec has no command to run.

    An IMAGE before `--` is the root, as for `hardening run`: it is fetched if it is missing, if the stack's policy permits
    it, and without COMMAND its own is run.
    """
    if as_json and form == "toml":
        raise UsageError(f"--json does not go with --format {form}", hint="use --format settings --json")
    if bundle is not None and form != "spec":
        raise UsageError(f"-o does not go with --format {form}", hint="-o writes a bundle; redirect the others")
    here = session(context)
    image, command = imaged.split(context, here.words, command)
    if image is not None and form == "toml":
        raise UsageError("--format toml does not go with an image", hint="no profile names one; use --format settings")
    request = stack.request(context, profiles)
    if image is None:
        composition = here.compose(request)
    else:
        composition, own = imaged.compose(here, request, image, command, quiet=quiet)
        command = own.command(command)
    if form == "settings":
        return _settings(composition, as_json)
    if form == "toml":
        output.show_raw(settings.profile(composition).encode())
        return 0
    with stack.beside_default(here, request):
        assembly = _assembled(here, composition, command, bundle)
    show_notes(assembly, quiet=quiet, reported=form == "sarif")
    code = _write(here, assembly, form, bundle)
    if bundle is not None and not (command or quiet):
        output.note("the bundle has no command to run: add `-- COMMAND`")
    return code


def _assembled(here: Session, composition: Composition, command: tuple[str, ...], bundle: Path | None) -> Assembly:
    target = bundle.absolute() if bundle else None
    assembly = pipeline.assembled(here.plugins, composition, here.host, command, bundle=target)
    if composition.image is not None:
        imaged.require_read_only(assembly.spec)
    return assembly


def _write(here: Session, assembly: Assembly, form: str, bundle: Path | None) -> int:
    if bundle is not None:
        pipeline.judge(assembly, None)
        pipeline.apply_host_changes(assembly)
        bundles.write(assembly.spec, bundle.absolute())
    elif form == "sarif":
        from hardening.compose.rules import RuleRegistry
        from hardening.report import sarif

        found = [assembly.composition.located(finding) for finding in assembly.findings]
        nowhere = [layer.place for layer in assembly.composition.stack.layers if layer.document.file][-1]
        rules = RuleRegistry(assembly.composition.mechanisms)
        output.show_json(sarif.log(found, {item.rule: rules.described(item.rule) for item in found}, nowhere))
        return EXIT_FINDINGS if _fails(assembly.composition, found) else 0
    else:
        pipeline.require_no_refusal(assembly)
        output.show_raw(assembly.spec.config)
    return 0


def _fails(composition: Composition, findings: list[Finding]) -> bool:
    """Whether findings fail a gate: those that the layers refuse where one says so, else all that are more than notes."""
    if composition.stack.refuses_findings:
        return bool(composition.refusals(findings))
    return count_serious(findings) > 0


def _settings(composition: Composition, as_json: bool) -> int:
    if as_json:
        output.show_json(data.composition(composition))
        return 0
    leaves = settings.leaves(entry for _, entry in sorted(composition.leaves.items()))
    tables = settings.stack(composition), leaves, settings.findings(composition.findings)
    in_short = shortener(composition.stack.layers)
    output.show_tables(*(table.mapped(in_short) for table in tables))
    return 0
