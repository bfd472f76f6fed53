"""``hardening diff``: what becomes allowed, and what denied, from one stack to another."""

from __future__ import annotations

import click

from hardening.cli import output
from hardening.cli.options import sides
from hardening.cli.options.stack import complete_profile
from hardening.cli.session import session
from hardening.errors import EXIT_FINDINGS
from hardening.mechanism.kinds import Order
from hardening.report import data, difference

#: A stack that permits something that the other denies, or cannot be compared with it.
EXIT_LOOSER = 3
_CODES = {Order.SAME: 0, Order.OTHER: EXIT_FINDINGS, Order.TIGHTER: EXIT_FINDINGS}

EPILOG = """\b
Examples:
  hardening diff strict default                         two shipped profiles
  hardening diff HEAD:web.toml ./web.toml               what a change of yours permits
  hardening diff main:web.toml HEAD:web.toml --format markdown
  hardening diff org,team org,./team.toml --json        stacks, as -p org -p team has them

Exit codes: 0 both permit the same, 1 B is tighter, or differs in nothing that is
permitted, 3 B is looser or cannot be compared with A, 2 what cannot be read.
"""


@click.command("diff", epilog=EPILOG)
@click.option(
    "--format", "form", type=click.Choice(("text", "markdown")), default="text",
    help="How it is shown: markdown is for a pull request. Default: text.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("before", metavar="A", shell_complete=complete_profile)
@click.argument("after", metavar="B", shell_complete=complete_profile)
@click.pass_context
def command(context: click.Context, form: str, as_json: bool, before: str, after: str) -> int:
    """Show what B permits that A denies, and what it denies that A permits: each setting and limit, with the line that
    decides.

    Each of A and B is a profile by name or path, several with commas between them (org,./web.toml), as -p repeated has them,
    or a profile as a revision of git has it (REV:PATH; what it extends is read of that revision, too). Either may be a
    bundle, or its config.json; of two, what has no order of its own cannot be compared.
    """
    here = session(context)
    with sides.named(here, before, after) as both:
        found = sides.compared(here, *both)
    if as_json:
        output.show_json(data.comparison(found, both))
    elif form == "markdown":
        output.show(difference.markdown(found, both))
    else:
        for line in difference.lines(found, both):
            output.show(line)
    return _CODES.get(found.order, EXIT_LOOSER)
