"""``hardening lint``: what is wrong with profiles, told from the files alone."""

from __future__ import annotations

import click

from hardening.base.text import listed
from hardening.cli import output
from hardening.cli.options import completed_by
from hardening.cli.options.stack import profile_option
from hardening.cli.session import session
from hardening.compose.rules import RuleRegistry
from hardening.errors import EXIT_FINDINGS, UsageError
from hardening.lint import fixing, linter
from hardening.lint.result import worst
from hardening.mechanism.findings import Severity
from hardening.report import lint as report

TEXT, JSON, SARIF, GITHUB = FORMATS = ("text", "json", "sarif", "github")
EPILOG = """\b
Examples:
  hardening lint profiles/
  hardening lint -p org.toml teams/
  hardening lint --fix team.toml
  hardening lint --format sarif profiles/ > lint.sarif
  hardening lint --explain HRD005

Exit codes: 0; 1 for a result at or above --fail-on; 2 for bad usage, and a -p that
cannot be used.
"""


@click.command("lint", epilog=EPILOG)
@profile_option(
    "before", "A profile that stands before each file in its stack, such as an organisation's; may be repeated."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default=TEXT, show_default=True, help="How to show it.")
@click.option(
    "--fail-on",
    type=click.Choice([str(item) for item in Severity]),
    default=str(Severity.ERROR),
    show_default=True,
    help="The severity from which on a result is exit code 1.",
)
@click.option("--fix", is_flag=True, help="Mend what can be mended without a decision; comments and order stay.")
@click.option(
    "--explain",
    "ident",
    metavar="ID",
    shell_complete=completed_by("complete_rule"),
    help="Show what a rule, by its id or its name, finds, and why.",
)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.pass_context
def command(
    context: click.Context,
    before: tuple[str, ...],
    form: str,
    fail_on: str,
    fix: bool,
    ident: str | None,
    paths: tuple[str, ...],
) -> int:
    """Find what is wrong with profiles: files, or all of a directory, read without the host that they are for.

    What is found is at a line of the file: `# hardening: ignore[ID] reason` there takes it back.
    """
    here = session(context)
    if ident is not None:
        return _explain(context, ident)
    if not paths:
        raise UsageError("no profile to look at", hint="name files or directories: `hardening lint profiles/`")
    if "-" in paths:
        raise UsageError(
            "lint reads no profile from standard input", hint="name its file: what it extends counts from there"
        )
    named, others = linter.files(paths, here.plugins.mechanisms)
    if not named:
        raise UsageError(f"there is no profile in {', '.join(paths)}", hint="profiles are files that end in .toml")
    if others:
        output.note(f"passed over, no profile: {listed(others)}")
    lint = linter.Linter(here.plugins, here.search, here.today, before)
    if fix:
        for path in named:
            for line in fixing.fix(lint, path):
                output.note(line)
    results = lint.all(named)
    if form == JSON:
        output.show_json(report.data(results))
    elif form == SARIF:
        output.show_json(report.log(results))
    elif form == GITHUB:
        for line in report.workflow_commands(results):
            output.show(line)
    else:
        output.show_parts(report.excerpts(result for result in results if not result.suppressed))
        output.note(report.summary(results, len(named)))
    found = worst(results)
    return EXIT_FINDINGS if found is not None and found.reaches(Severity(fail_on)) else 0


def _explain(context: click.Context, ident: str) -> int:
    rules = RuleRegistry(session(context).plugins.mechanisms)
    name = rules.whole(ident.upper() if "/" not in ident else ident)
    rule = rules.find(name)
    if rule is None:
        raise UsageError(f"there is no rule {ident}", hint=rules.nearest(ident))
    output.show(report.explained(name, rule))
    return 0
