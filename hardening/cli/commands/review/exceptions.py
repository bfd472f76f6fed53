"""``hardening exceptions``: the register of all exceptions of profiles."""

from __future__ import annotations

import click

from hardening.base.text import listed
from hardening.cli import output
from hardening.cli.options.stack import profile_option
from hardening.cli.session import Request, session
from hardening.errors import EXIT_FINDINGS, EXIT_USAGE, UsageError
from hardening.lint import linter, register
from hardening.report import lint as report

EPILOG = """\b
Examples:
  hardening exceptions profiles/
  hardening exceptions -p org.toml -p web --json

Exit codes: 0; 1 where one has ended; 2 for bad usage, and for a profile that cannot be used.
"""


@click.command("exceptions", epilog=EPILOG)
@profile_option(
    "profiles",
    "A profile of one stack, by name or path; may be repeated. Its exceptions are those of all of its layers.",
)
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], as_json: bool, paths: tuple[str, ...]) -> int:
    """List exceptions with who answers for them, why, the last day, the days that are left, and whether anything needs them.

    Of the files and directories that are named, each file's own; with -p those of a stack.
    """
    here = session(context)
    if paths and profiles:
        raise UsageError("-p does not go with files", hint="name the files of the stack with -p, or leave -p out")
    lint = linter.Linter(here.plugins, here.search, here.today)
    if paths:
        named, others = linter.files(paths, here.plugins.mechanisms)
        if others:
            output.note(f"passed over, no profile: {listed(others)}")
        found = list(register.of_files(lint, named))
    else:
        found = [register.of_stack(lint, here.stack(Request(profiles or here.machine.default)))]
    items = register.ordered(item for some, _ in found for item in some)
    if as_json:
        output.show_json([item.data for item in items])
    elif items:
        output.show_table(report.register(items))
    faults = [fault for _, fault in found if fault is not None]
    output.tell(problem for fault in faults for problem in fault.problems)
    return EXIT_USAGE if faults else EXIT_FINDINGS if any(item.ended for item in items) else 0
