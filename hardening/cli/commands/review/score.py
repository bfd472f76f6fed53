"""``hardening score``: how exposed a command is under a stack, or a configuration that was made elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from hardening.assemble import bundle
from hardening.cli import output
from hardening.cli.options import stack
from hardening.cli.session import Session, session
from hardening.errors import EXIT_FINDINGS, UsageError
from hardening.report import score as report
from hardening.score import scoring, weights
from hardening.score.scoring import HIGHEST, Score

EPILOG = """\b
Examples:
  hardening score -p web                            what is open, the greatest gain first
  hardening score -p web --all                      every setting
  hardening score -p web --threshold 3.5            exit 1 above 3.5: a gate for a pipeline
  hardening score --config ./bundle                 an OCI configuration, whoever wrote it
  hardening score -p web --weights ./weights.toml --json

\b
0 leaves nothing open, 10 everything; docs/reference/score.md has the items and their weights.
"""


@click.command("score", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="BUNDLE_OR_CONFIG_JSON",
    help="Score an OCI configuration instead of a stack; - is standard input.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, HIGHEST), metavar="SCORE", help="Exit 1 for a score above this one."
)
@click.option(
    "--weights", "weights_file", type=click.Path(path_type=Path), metavar="FILE",
    help="TOML with weights of your own: a table a mechanism, a key a setting.",
)  # fmt: skip
@click.option("--all", "whole", is_flag=True, help="Show what is tight as well.")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    config: Path | None,
    threshold: float | None,
    weights_file: Path | None,
    whole: bool,
    as_json: bool,
) -> int:
    """Score how exposed a command is, from 0 to 10, with what mending each setting would gain."""
    here = session(context)
    score = _scored(context, here, profiles, config, weights_file)
    if as_json:
        output.show_json(report.data(score))
    else:
        shown = [table for table in report.tables(score, whole=whole) if table.rows]
        for table in shown:
            output.show_table(table)
            output.show("")
        tight = sum(not item.share for item in score.items)
        output.show(
            f"{score.total:.1f} of {HIGHEST:.0f}: {score.word}; {tight} of {len(score.items)} settings are tight"
        )
    return EXIT_FINDINGS if threshold is not None and score.total > threshold else 0


def _scored(
    context: click.Context, here: Session, profiles: tuple[str, ...], config: Path | None, weights_file: Path | None
) -> Score:
    if config is None:
        composition = here.compose(stack.request(context, profiles))
        score = scoring.of_stack(here.plugins, composition, here.host)
    else:
        if stack.is_named(context):
            raise UsageError(
                "--config and a stack exclude each other", hint="leave out -p and what sets values, or --config"
            )
        score = scoring.of_document(here.plugins.mechanisms, bundle.given_config(config), here.host)
    if weights_file is None:
        return score
    return score.weighed(weights.read(weights_file, {item.leaf for item in score.items}))
