"""``hardening score``: how exposed a command is under a stack, or a configuration that was made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

import click

from hardening.assemble import bundle
from hardening.cli import output
from hardening.cli.options import stack
from hardening.cli.session import Session, session
from hardening.errors import EXIT_FINDINGS, UsageError
from hardening.mechanism.roles import SystemCalls
from hardening.report import score as report
from hardening.score import scoring
from hardening.score.scoring import HIGHEST, Score

EPILOG = """\b
Examples:
  hardening score -p web                            what is open, the greatest gain first
  hardening score -p web --all                      every setting
  hardening score -p web --threshold 3.5            exit 1 above 3.5: a gate for a pipeline
  hardening score --config ./bundle                 an OCI configuration, whoever wrote it
  hardening score --pid 4711                        a process that runs, by what the kernel says of it
  podman inspect db web | hardening score --inspect -
  hardening score -p web --weights ./weights.toml --json

0 leaves nothing open, 10 everything; docs/reference/score.md has the items and their weights.
"""


class ScoreRange(click.FloatRange):
    """A number in a range: nothing is above what is no number, and a gate would let all pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        return found if not isnan(found) else self.fail(f"{value!r} is not a number", param, ctx)


@click.command("score", cls=stack.StackCommand, epilog=EPILOG)
@stack.stack_options
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="BUNDLE_OR_CONFIG_JSON",
    help="Score an OCI configuration instead of a stack; - is standard input.",
)  # fmt: skip
@click.option("--pid", type=click.IntRange(1), metavar="PID", help="Score a process that runs instead.")
@click.option(
    "--inspect", "inspected", type=click.Path(path_type=Path), metavar="FILE",
    help="Score the containers that `podman inspect` or `docker inspect` printed; - is standard input.",
)  # fmt: skip
@click.option("--threshold", type=ScoreRange(0, HIGHEST), metavar="SCORE", help="Exit 1 for a score above this one.")
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
    pid: int | None,
    inspected: Path | None,
    threshold: float | None,
    weights_file: Path | None,
    whole: bool,
    as_json: bool,
) -> int:
    """Score how exposed a command is, from 0 to 10, with what mending each setting would gain."""
    here = session(context)
    given = [name for name, one in (("--config", config), ("--pid", pid), ("--inspect", inspected)) if one is not None]
    given += ["a stack"] if stack.is_named(context) else []
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="name one thing to score")
    if config is not None:
        document = bundle.given_config(config)
        if not document.keys() & {"ociVersion", "process", "root", "linux"}:
            hint = "name a config.json, or a bundle; --inspect takes what podman and docker inspect print"
            raise UsageError("no OCI configuration: it has nothing of one", origin=config, hint=hint)
        scores = {"": _of(here, document)}
    elif pid is not None:
        scores = {"": _of_process(here, pid)}
    elif inspected is not None:
        scores = {name: _of(here, document) for name, document in _containers(here, inspected).items()}
    else:
        composition = here.compose(stack.request(context, profiles))
        scores = {"": scoring.of_stack(here.plugins, composition, here.host)}
    if weights_file is not None:
        from hardening.score import weights

        own = weights.read(weights_file, {item.leaf for score in scores.values() for item in score.items})
        scores = {name: score.weighed(own) for name, score in scores.items()}
    if len(scores) > 1:
        found = {name: report.data(score) for name, score in scores.items()}
        output.show_either(found, report.several(scores), as_json=as_json)
    else:
        _show(next(iter(scores.values())), whole=whole, as_json=as_json)
    above = threshold is not None and any(score.total > threshold for score in scores.values())
    return EXIT_FINDINGS if above else 0


def _show(score: Score, *, whole: bool, as_json: bool) -> None:
    if as_json:
        output.show_json(report.data(score))
        return
    for table in report.tables(score, whole=whole):
        if table.rows:
            output.show_table(table)
            output.show("")
    tight = sum(not item.share for item in score.items)
    output.show(f"{score.total:.1f} of {HIGHEST:.0f}: {score.word}; {tight} of {len(score.items)} settings are tight")


def _of(here: Session, document: Mapping[str, Any]) -> Score:
    return scoring.of_document(here.plugins.mechanisms, document, here.host)


def _of_process(here: Session, pid: int) -> Score:
    from hardening.runs import inspection

    receipt = inspection.report(pid, filters=True)
    document = scoring.of_report(here.plugins.mechanisms, receipt, here.host)
    if receipt["status"].get("Seccomp") == "2" and "seccomp" not in document["linux"]:
        output.note("its filters cannot be read here, and count as none: ask as root")
    return _of(here, document)


def _containers(here: Session, file: Path) -> dict[str, dict[str, Any]]:
    """The configuration of each container that an engine's ``inspect`` printed."""
    from hardening.score import engines

    filters = here.host.find(SystemCalls)

    def of_engine(capabilities: frozenset[str], profile: str | None) -> Mapping[str, Any] | None:
        return filters.of_engine(capabilities, profile, here.host) if filters is not None else None

    return engines.read(*bundle.given_text(file), of_engine)
