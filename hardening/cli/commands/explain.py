"""``hardening explain``: the value, every layer's say, what decided, and the smallest loosening."""

from __future__ import annotations

import click

from hardening.cli import answers, output
from hardening.cli.options import completed_by, imaged, stack
from hardening.cli.options.says import unquoted
from hardening.cli.session import Request, Session, session
from hardening.compare.difference import beyond
from hardening.compose.composition import Composition
from hardening.report import data, difference, explain, settings
from hardening.report.places import shortener
from hardening.why import attempt
from hardening.why.attempt import Attempt

EPILOG = """\b
Examples:
  hardening explain -p web                                 the stack, and a line a mechanism
  hardening explain -p web capabilities                    every leaf of a table
  hardening explain -p web capabilities.NET_RAW            one leaf, with its history
  hardening explain -p web 'seccomp.ioctl(1, 0x5412)'      what happens to this call
  hardening explain -p web seccomp.41                      a number of the kernel's log
  hardening explain -p ./app.toml --beyond strict          what a stack permits beyond another
  hardening explain -p ./mine.toml --image oci:./image:v1  and what of the image was taken
  hardening explain -p org.toml -p app.toml rootfs.read_only --json

A stack that is refused is explained as far as it goes; the exit code is then 2.
"""


@click.command("explain", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@click.option(
    "--beyond",
    "floor",
    metavar="PROFILE",
    shell_complete=stack.complete_profile,
    help="Show instead what the stack permits beyond PROFILE.",
)
@imaged.image_option
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument(
    "question",
    required=False,
    metavar="[TABLE[.KEY[(ARGUMENT,...)]]|/PATH]",
    shell_complete=completed_by("complete_setting"),
)
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    floor: str | None,
    image: str | None,
    as_json: bool,
    question: str | None,
) -> int:
    """Show the value of TABLE.KEY, what every layer says of it with file and line, and what decided.

    With arguments, show what happens to a system call with these: 'seccomp.ioctl(1, 0x5412)'. With --image, also show
    what the image says of itself, what of that was taken, and why not the rest. With the absolute PATH of a file inside,
    show whether the command sees it and can write there, and by which line.
    """
    here = session(context)
    if question and not question.startswith("/"):
        question = explain.meant(here.plugins.mechanisms, here.host, unquoted(question))
    request, offer = imaged.look(here, stack.request(context, profiles), image)
    if floor is not None:
        _show_beyond(here, here.compose(request, offer), floor, question, as_json)
        return 0
    about = question.split(".")[0] if question and not question.startswith("/") else None
    tried = attempt.attempt(here.stack(request), here.plugins.mechanisms, here.host, here.today, about, offer)
    if question is None:
        _show_stack(tried, as_json)
    elif question.startswith("/"):
        answers.show_path(tried, question, as_json)
    else:
        answers.show_name(tried, question, as_json)
    if tried.error is not None:
        raise tried.error
    return 0


def _show_stack(tried: Attempt, as_json: bool) -> None:
    composition = tried.composition
    layers = (*composition.stack.layers, *tried.pending)
    if as_json:
        output.show_json(
            {
                "stack": [data.layer(layer) for layer in layers],
                "mechanisms": explain.summaries(composition),
                "image": answers.image_data(tried),
                "error": data.error(tried.error),
            }
        )
        return
    in_short = shortener(layers)
    output.show("\n".join(explain.tree(layers, output.width())))
    answers.show_image(tried)
    output.show("")
    said = explain.exceptions(layers, tried.today), explain.gates(layers)
    output.show_tables(
        explain.summary(composition), *(table.mapped(in_short) for table in said), settings.metadata(layers)
    )


def _show_beyond(here: Session, composition: Composition, floor: str, question: str | None, as_json: bool) -> None:
    found = beyond(composition, here.compose(Request((floor,))))
    items = [item for item in found if question is None or f"{item.leaf}.".startswith(f"{question}.")]
    if as_json:
        output.show_json({"floor": floor, "beyond": [data.beyond(item) for item in items]})
    elif items:
        output.show_table(difference.beyond(items).mapped(shortener(composition.stack.layers)))
    else:
        output.show(f"nothing beyond {floor}")
