"""``hardening prove``: whether one stack stays within another, and a program that shows it where it does not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from hardening.assemble import pipeline
from hardening.base.text import listed
from hardening.base.values import frozen
from hardening.cli import output, start
from hardening.cli.options import sides
from hardening.cli.options.stack import complete_profile
from hardening.cli.session import Session, session
from hardening.compare.difference import LeafDifference, differences
from hardening.compare.proof import Counterexample, counterexamples, violated
from hardening.compose.composition import Composition
from hardening.errors import EXIT_FINDINGS, UsageError
from hardening.mechanism.evidence import Witness
from hardening.mechanism.kinds import Order
from hardening.report import data, difference
from hardening.report.difference import Side
from hardening.why.witnessed import WitnessOutcome, WitnessRunner

#: Programs that are run before nothing is shown.
_MOST_TRIED = 20

EPILOG = """\b
Examples:
  hardening prove strict within default
  hardening prove ./web.toml within org                  and if not, a program that shows it
  hardening prove ./web.toml within org --run            run under both
  hardening prove HEAD:web.toml within HEAD~1:web.toml --json

Exit codes: 0 it is within, 1 it is not, 2 what cannot be read.
"""


@frozen(eq=False)
class _ShownProgram:
    """A program, the counterexample that it is for, and what came of it under both stacks; None where it was not run."""

    of: Counterexample
    witness: Witness
    outcomes: tuple[WitnessOutcome, WitnessOutcome] | None = None

    @property
    def shows(self) -> bool:
        """Whether the kernel let it do under the first what it refused under the second."""
        found = self.outcomes
        return found is not None and found[0].permitted is True and found[1].permitted is False


class _Within(click.Choice[str]):
    """The word between the two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.choices:
            hint = "hardening prove A within B"
            raise UsageError("the word `within` stands between A and B", origin=str(value), hint=hint)
        return super().convert(value, param, ctx)


@click.command("prove", epilog=EPILOG)
@click.option("--run", "run", is_flag=True, help="Run the program under both, until one shows it.")
@click.option("--all", "everything", is_flag=True, help="Show, or run, a program for each setting, and not for one.")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("inner", metavar="A", shell_complete=complete_profile)
@click.argument("word", metavar="within", type=_Within(("within",)))
@click.argument("outer", metavar="B", shell_complete=complete_profile)
@click.pass_context
def command(
    context: click.Context, run: bool, everything: bool, as_json: bool, inner: str, word: str, outer: str
) -> int:
    """Say whether A permits nothing that B does not, in every setting of every mechanism; and where it does, show a program
    that does what A permits and B refuses. With --run the kernel answers it under both.

    Each of A and B is a profile by name or path, several with commas between them (org,./web.toml), or a profile as a
    revision of git has it (REV:PATH).
    """
    here = session(context)
    with sides.named(here, inner, outer) as both:
        own, other = (side.composition for side in both)
        if own is None or other is None:
            hint = "hardening diff holds a bundle against a stack"
            raise UsageError(
                "a bundle has no settings of which to prove anything", origin=f"{inner} {outer}", hint=hint
            )
        found = violated(own, other, here.host)
        shown, silent = _programs(context, here, (own, other), found, run=run, everything=everything)
        compared = differences(other, own, here.host) if as_json or not found else ()
        others = [item for item in compared if item.order is Order.OTHER]
        _show(both, found, (shown, silent), others, as_json=as_json)
    return EXIT_FINDINGS if found else 0


def _programs(
    context: click.Context,
    here: Session,
    stacks: tuple[Composition, Composition],
    found: list[LeafDifference],
    *,
    run: bool,
    everything: bool,
) -> tuple[list[_ShownProgram], list[Counterexample]]:
    """A program for the first leaf that has one, or for each; of those that are run, the ones that were tried first, too.
    And the leaves that were looked at and have none."""
    items = counterexamples(stacks[0], pipeline.examine(stacks[0], here.host), found) if found else iter(())
    silent: list[Counterexample] = []
    if not run:
        first = (_ShownProgram(item, item.witnesses[0]) for item in _with_programs(items, silent))
        return list(first if everything else islice(first, 1)), silent
    context.with_resource(start.ended_by_signals())
    engine = here.plugins.runtime(start.DEFAULT_RUNTIME)
    launch = start.request(context, engine, start.prepare(engine), interactive=False, receipt=None, typed=True)
    for stack in stacks:
        pipeline.check(stack, here.host, None, engine)  # once, and not of each program
    runners = [WitnessRunner(stack, here.plugins, engine, here.host, launch) for stack in stacks]
    tried: list[_ShownProgram] = []
    with output.status() as tell:
        for item in _with_programs(items, silent):
            for witness in item.witnesses:
                tell(f"{item.difference.leaf}: {witness.what} …")
                tried.append(_ShownProgram(item, witness, (runners[0].run(witness), runners[1].run(witness))))
                if tried[-1].shows:
                    break
            if tried and (tried[-1].shows or len(tried) >= _MOST_TRIED) and not everything:
                break
    return tried, silent


def _with_programs(items: Iterable[Counterexample], silent: list[Counterexample]) -> Iterator[Counterexample]:
    """Those that have programs; all others go to ``silent`` as they are met."""
    for item in items:
        if item.witnesses:
            yield item
        else:
            silent.append(item)


def _show(
    both: tuple[Side, Side],
    found: list[LeafDifference],
    answers: tuple[list[_ShownProgram], list[Counterexample]],
    others: list[LeafDifference],
    *,
    as_json: bool,
) -> None:
    (inner, outer), (shown, silent) = both, answers
    if as_json:
        output.show_json(
            {
                "inner": inner.name,
                "outer": outer.name,
                "within": not found,
                "beyond": [data.difference(item, (outer, inner)) for item in found],
                "others": [data.difference(item, (outer, inner)) for item in others],
                "counterexamples": [_data(item) for item in shown],
                "without_program": [{"leaf": str(item.difference.leaf), "why": item.why} for item in silent],
            }
        )
        return
    if not found:
        title = "these differ, and no value of theirs counts as more than another: look at them"
        for line in difference.paragraphs(others, (outer, inner), {Order.OTHER: title}):
            output.show(line)
        output.show(f"{inner.name} is within {outer.name}")
        return
    titles = {
        Order.LOOSER: f"{inner.name} permits more than {outer.name}",
        Order.INCOMPARABLE: "these have no order, and count as more",
    }
    for line in difference.paragraphs(found, (outer, inner), titles):
        output.show(line)
    for item in _worth_showing(shown):
        for line in _described(item, both):
            output.show(line)
    for line in _silent(silent):
        output.show(line)
    for line in difference.wrapped(f"{inner.name} is not within {outer.name}"):
        output.show(line)


def _worth_showing(shown: list[_ShownProgram]) -> list[_ShownProgram]:
    """Of programs that were run, those that show it; where none does, all that were tried."""
    return [item for item in shown if item.shows] or shown


def _described(item: _ShownProgram, both: tuple[Side, Side]) -> Iterator[str]:
    yield from difference.wrapped(f"for {item.of.difference.leaf}, a program that {item.witness.what}:")
    yield ""
    yield textwrap.indent(item.witness.program, "    ")
    if item.outcomes is not None:
        for side, outcome in zip(both, item.outcomes, strict=True):
            yield from difference.wrapped(f"under {side.name}: {outcome.text}")
        if not item.shows:
            yield "it shows nothing: something else decides as well"
        yield ""
    else:
        yield from difference.wrapped("not run: something else may deny it to you under both (--run tells)")
        yield ""


def _silent(items: list[Counterexample]) -> Iterator[str]:
    """The leaves that no program shows, those together of which the same is why."""
    reasons: dict[str, list[str]] = {}
    for item in items:
        reasons.setdefault(item.why, []).append(str(item.difference.leaf))
    for why, leaves in reasons.items():
        yield from difference.wrapped(f"no program shows {listed(leaves)}: {why}")
    if items:
        yield ""


def _data(item: _ShownProgram) -> dict[str, object]:
    outcomes = None
    if item.outcomes is not None:
        outcomes = [{"text": outcome.text, "permitted": outcome.permitted} for outcome in item.outcomes]
    return {
        "leaf": str(item.of.difference.leaf),
        "what": item.witness.what,
        "program": item.witness.program,
        "outcomes": outcomes,
        "shows": item.shows if outcomes else None,
    }
