"""``hardening explain``: the value, every layer's say, what decided, and the smallest loosening."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem

from hardening.assemble.pipeline import examine
from hardening.cli import output
from hardening.cli.options import imaged, stack
from hardening.cli.options.says import unquoted
from hardening.cli.session import Request, Session, session
from hardening.compose.composition import Composition
from hardening.compose.fold import EMPTY, Resolved
from hardening.errors import HardeningError
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening.report import beyond, data, explain, image_defaults, settings
from hardening.report.explain import Question
from hardening.report.image_defaults import ShownDefault
from hardening.report.table import Table
from hardening.why import attempt, loosen
from hardening.why.attempt import Attempt, Pending
from hardening.why.loosen import Loosening

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

\b
A stack that is refused is explained as far as it goes; the exit code is then 2.
"""


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        mechanisms = session(ctx).plugins.mechanisms
    except HardeningError:
        return []
    names = [item.name for item in mechanisms]
    names += [str(item.leaf(setting)) for item in mechanisms for setting in item.schema.settings if setting]
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


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
@click.argument("question", required=False, metavar="[TABLE[.KEY[(ARGUMENT,...)]]|/PATH]", shell_complete=_complete)
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
        _show_path(tried, examine(tried.composition, here.host), question, as_json)
    else:
        composition = tried.composition
        asked = explain.ask(composition, examine(composition, here.host), question) if "(" in question else None
        answer = explain.find(composition, asked.name if asked else question, here.host)
        if answer.inside and not as_json:
            output.show(f"{answer.inside} lies in {answer.leaves[0].leaf.member}, which decides:\n")
        if answer.single:
            _show_leaf(tried, answer.leaves[0], asked, as_json)
        else:
            _show_leaves(tried, answer.leaves, question, asked, as_json)
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
                "image": _image(tried),
                "error": data.error(tried.error),
            }
        )
        return
    output.show(explain.tree(layers))
    _show_image(tried)
    output.show("")
    output.show_tables(explain.summary(composition), explain.exceptions(layers, tried.today), explain.gates(layers))


def _offered(tried: Attempt, leaves: Iterable[Leaf] | None = None) -> list[ShownDefault]:
    """What an image says, of all or of some leaves; nothing without one."""
    found = image_defaults.offered(tried.offer, tried.composition, tried.host) if tried.offer is not None else ()
    names = None if leaves is None else [str(leaf) for leaf in leaves]
    return [item for item in found if names is None or item.leaf in names]


def _image(tried: Attempt, leaves: Iterable[Leaf] | None = None) -> dict[str, object] | None:
    return image_defaults.data(_offered(tried, leaves), tried.offer) if tried.offer is not None else None


def _show_image(tried: Attempt, leaves: Iterable[Leaf] | None = None) -> None:
    if tried.offer is None:
        return
    found = image_defaults.table(_offered(tried, leaves), tried.offer)
    if found.rows:
        output.show("")
        output.show_table(found)
    elif leaves is None:
        output.show(f"\n{found.title} asks for nothing")


def _show_beyond(here: Session, composition: Composition, floor: str, question: str | None, as_json: bool) -> None:
    found = beyond.beyond(composition, here.compose(Request((floor,))))
    items = [item for item in found if question is None or f"{item.leaf}.".startswith(f"{question}.")]
    if as_json:
        output.show_json({"floor": floor, "beyond": [data.beyond(item) for item in items]})
    elif items:
        output.show_table(beyond.table(items))
    else:
        output.show(f"nothing beyond {floor}")


def _show_path(tried: Attempt, context: Context, path: str, as_json: bool) -> None:
    """What becomes of a path inside, the lines that decide, and what would permit the rest."""
    composition = tried.composition
    found = [
        (answer, entry, loosen.of_path(tried, mechanism, path, answer))
        for mechanism in composition.mechanisms
        for answer in mechanism.of_path(composition.settings[mechanism.name], context, path)
        for entry in composition.meant(answer.leaf)[:1]
    ]
    if as_json:
        answers = [
            {
                "asked": item.asked,
                "answer": item.answer,
                **data.resolved(entry),
                "loosening": attrs.asdict(way) if way else None,
            }
            for item, entry, way in found
        ]
        output.show_json({"path": path, "answers": answers, "error": data.error(tried.error)})
        return
    rows = tuple(
        (item.asked, item.answer, str(entry.leaf), entry.origin, f"{entry.limit_shown} {entry.limit_origin}".strip())
        for item, entry, _ in found
    )
    output.show_table(Table(("asked", "answer", "setting", "decided by", "limited by"), rows, path))
    for item, _, way in found:
        if way is not None:
            _show_loosening(way, None, f" to have it {item.asked}")


def _show_leaves(
    tried: Attempt, entries: tuple[Resolved, ...], title: str, asked: Question | None, as_json: bool
) -> None:
    if as_json:
        leaves = [data.resolved(entry) for entry in entries]
        image = _image(tried, [entry.leaf for entry in entries])
        output.show_json({"leaves": leaves, "answer": _answer(asked), "image": image, "error": data.error(tried.error)})
        return
    _show_answer(asked)
    output.show_table(settings.leaves(entries, title))
    _show_image(tried, [entry.leaf for entry in entries])


def _show_leaf(tried: Attempt, entry: Resolved, asked: Question | None, as_json: bool) -> None:
    mechanism = next(item for item in tried.composition.mechanisms if item.name == entry.leaf.mechanism)
    waiting = list(attempt.pending(tried, mechanism, entry))
    refused = next((item for item in waiting if item.outcome == attempt.REFUSED), None)
    if refused is not None:
        way = loosen.permit(tried, mechanism, entry, refused)
    else:
        way = loosen.smallest(tried, mechanism, entry)
    if as_json:
        output.show_json(
            {
                **data.resolved(entry),
                "answer": _answer(asked),
                "pending": [attrs.asdict(item, filter=attrs.filters.exclude("statement")) for item in waiting],
                "image": _image(tried, [entry.leaf]),
                "loosening": attrs.asdict(way) if way else None,
                "error": data.error(tried.error),
            }
        )
        return
    _show_answer(asked)
    output.show(f"{entry.leaf} = {entry.shown}")
    output.show(f"  {mechanism.meaning(entry.leaf)}")
    output.show(f"  decided by {entry.origin}")
    if entry.limit_origin:
        output.show(f"  limited to {entry.limit_shown} by {entry.limit_origin}")
    image = tried.offer.origin if tried.offer is not None else ""
    table = explain.history(entry, waiting, _offered(tried, [entry.leaf]), image)
    if table.rows:
        output.show("")
        output.show_table(table)
    else:
        output.show("  no layer sets it")
    if way is not None:
        _show_loosening(way, refused)
    elif not entry.kind.unordered and entry.kind.is_loosest(entry.value):
        output.show(f"\nno loosening: nothing is looser than {entry.shown}")


def _answer(asked: Question | None) -> dict[str, Any] | None:
    return {"arguments": list(asked.arguments), "result": asked.result} if asked else None


def _show_answer(asked: Question | None) -> None:
    if asked is not None:
        output.show(f"{asked.name}({', '.join(asked.arguments)}): {asked.result}\n")


def _show_loosening(way: Loosening, refused: Pending | None, wanted: str = "") -> None:
    output.show("")
    if way.barrier:
        output.show(f"no loosening{wanted}: {way.barrier}")
        return
    which = f"a loosening{wanted}, for example" if way.example else f"smallest loosening{wanted},"
    where = f"in the layer of {refused.origin}" if refused else "in a later layer"
    ways = []
    if way.toml:
        ways.append(f"{where}:\n\n" + "\n".join(f"    {line}".rstrip() for line in way.toml.splitlines()))
    if way.options:
        ways.append(f"on the command line:\n\n    {shlex.join(way.options)}")
    output.show(f"{which} to {way.shown or EMPTY}, " + "\n\nor ".join(ways))
