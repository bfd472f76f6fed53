"""``hardening test``: hold profiles to what is asserted of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import click

from hardening.assemble import pipeline
from hardening.assertions import coverage, operation, testfile, trying
from hardening.assertions.operation import AssertedOperation
from hardening.assertions.testfile import Assertion, TestCase, TestFile
from hardening.assertions.trying import AssertionResult, AssertionState
from hardening.base import state
from hardening.base.text import nearest
from hardening.cli import command_runs, output, start
from hardening.cli.options import is_typed
from hardening.cli.options.stack import profile_option
from hardening.cli.session import Request, Session, session
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import EXIT_FINDINGS, Gathering, HardeningError, ProfileError, UsageError, gathered
from hardening.mechanism.mechanism import Context
from hardening.profile.layers import is_path
from hardening.report.authoring import assertions as report
from hardening.report.authoring.assertions import CaseResult
from hardening.report.places import shortener
from hardening.report.table import Table
from hardening.why.attempt import Attempt
from hardening.why.runner import CommandRunner

#: What a mutation's results are told under, as a test's.
LOOSENED = "what is loosened is noticed"
TEXT, JSON, JUNIT, TAP = FORMATS = ("text", "json", "junit", "tap")
EPILOG = """\b
Examples:
  hardening test profiles/                               what the compositions say
  hardening test --live web.test.toml                    what the kernel says
  hardening test --mutate ./web.toml
  hardening test -p web                                  what is asserted of a profile by its name
  hardening test --format junit profiles/ > test.xml

Exit codes: 0; 1 where an assertion fails, or with --mutate a loosening is not noticed; 2 for what cannot be read.
"""


@click.command("test", epilog=EPILOG)
@profile_option("profiles", "The assertions beside a profile, by its name or path; repeatable.")
@click.option("--live", is_flag=True, help="Try each operation under the launcher, and run commands.")
@command_runs.in_place_option
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=trying.PATIENCE, show_default=True, metavar="SECONDS",
    help="How long each run may take; 0: for ever.",
)  # fmt: skip
@click.option("--coverage", "covered", is_flag=True, help="Also show which settings no assertion looks at.")
@click.option("--mutate", is_flag=True, help="Also loosen each setting in turn, and show what no assertion notices.")
@click.option("--format", "form", type=click.Choice(FORMATS), default=TEXT, show_default=True, help="How to show it.")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.pass_context
def command(
    context: click.Context,
    profiles: tuple[str, ...],
    live: bool,
    in_place: bool,
    timeout: float,
    covered: bool,
    mutate: bool,
    form: str,
    paths: tuple[str, ...],
) -> int:
    """Hold profiles to the assertions beside them: files whose names end in .test.toml, or all of a directory, or of a
    profile the one beside it.

    Without --live everything is answered from the composition, and nothing is run. With it the kernel answers, and a
    denial only counts as one where the stack is seen to be its reason, by the mechanism that is named.
    """
    here = session(context)
    stray = [name for name in ("in_place", "timeout") if not live and is_typed(context, name)]
    if stray:
        option = f"--{stray[0].replace('_', '-')}"
        raise UsageError(f"{option} is for runs, and nothing is run", hint="add --live, or leave it out")
    if covered and form != TEXT:
        raise UsageError("--coverage is a table for people", hint="leave out --format, or --coverage")
    found: list[CaseResult] = []
    tables: list[Table] = []
    named = [name if is_path(name) else str(here.search.find(name).path) for name in profiles]
    # All files are read before anything of one is tried.
    suites = gathered(lambda path: Suite(here, testfile.read(path)), testfile.require_some([*named, *paths]))
    for suite in suites:
        runner = suite.runner(context, timeout, in_place=in_place) if live else None
        with output.status() as tell:
            for case in suite.file.cases:
                tell(f"{suite.file.path}: {case.name} …")
                found.append(CaseResult(suite.file.path, case.name, tuple(suite.results(case, runner))))
            if mutate:
                tell(f"{suite.file.path}: loosening each setting …")
                found.append(CaseResult(suite.file.path, LOOSENED, tuple(suite.mutants())))
        tables += [suite.coverage()] if covered else []
    short = shortener(layer for suite in suites for layer in suite.composition.stack.layers)
    _show(found, form, short)
    for table in tables:
        output.show("")
        output.show_table(table.mapped(short))
    return EXIT_FINDINGS if any(case.state is AssertionState.FAILED for case in found) else 0


class Suite:
    """One file of assertions, with its stack."""

    def __init__(self, here: Session, file: TestFile) -> None:
        self.here, self.file = here, file
        each, missing = Gathering(), self._missing()
        each.problems += missing.values()
        self.request = Request(tuple(name for name in file.profiles if name not in missing))
        self.composition = self._composed()
        self.context = pipeline.examine(self.composition, here.host)
        self.attempt = Attempt(self.composition, here.host, here.today)
        self._asked = each.attempt(lambda: self._read(self.composition, self.context)) or {}
        each.raise_all()

    def _missing(self) -> dict[str, HardeningError]:
        """The profiles that there are not, each with the error at the line that names it."""
        missing = [name for name in self.file.profiles if is_path(name) and not os.path.lexists(state.expanded(name))]
        hint = 'write profiles = ["NAME", "./PATH.toml"], as they are seen from the folder of this file'
        return {name: ProfileError(f"there is no {name}", origin=self.file.origin, hint=hint) for name in missing}

    def _composed(self) -> Composition:
        """The stack of those that there are. Raises `ProfileError`, at the line that names them."""
        try:
            return self.here.compose(self.request)
        except ProfileError as error:
            error.origin = error.origin or self.file.origin
            raise

    def _read(self, composition: Composition, context: Context) -> Mapping[Assertion, AssertedOperation]:
        """What each assertion is about under a composition. Raises `ProfileError`, or `Problems` with several."""
        names = [mechanism.name for mechanism in composition.mechanisms]
        each, found = Gathering(), dict[Assertion, AssertedOperation]()
        for item in (item for case in self.file.cases for item in case.assertions):
            with each:
                found[item] = operation.read(item.asked, composition, context, item.origin)
            with each:
                if item.by and item.by not in names:
                    hint = nearest(item.by, names) or f"the mechanisms are {', '.join(names)}"
                    raise ProfileError(f"there is no mechanism {item.by}", origin=item.origin, hint=hint)
        for left_out in self.file.untested:
            with each:
                if not composition.meant(left_out.setting):
                    known = nearest(left_out.setting, [*names, *map(str, composition.leaves)])
                    hint = known or "`hardening explain` shows what the stack has"
                    raise ProfileError(f"no setting: {left_out.setting}", origin=left_out.origin, hint=hint)
        each.raise_all()
        return found

    def results(self, case: TestCase, runner: CommandRunner | None) -> list[AssertionResult]:
        """What came of a test; live where there is a ``runner``."""
        found = []
        for item in case.assertions:
            asked = self._asked[item]
            if runner is None:
                found.append(trying.statically(item, asked, self.composition, self.context))
            else:
                answer = trying.tried(asked, self.attempt, runner, self.context)
                found.append(trying.live(item, answer))
        found += [
            trying.skipped(run) if runner is None else trying.run(run, self.composition, runner)
            for run in case.commands
        ]
        return found

    def runner(
        self, context: click.Context, seconds: float = trying.PATIENCE, *, in_place: bool = False
    ) -> CommandRunner:
        """Runs under the stack of at most so many ``seconds``, 0 for ever, which have copies of its volumes, or these."""
        engine = self.here.plugins.runtime(start.DEFAULT_RUNTIME)
        found, _ = command_runs.prepared(
            context, self.here, self.request, self.composition, engine, ("true",),
            profiles=self.file.profiles, seconds=seconds or None, until="", in_place=in_place,
        )  # fmt: skip
        return found

    def _outcomes(self, composition: Composition) -> Iterator[bool]:
        """What each assertion comes to under another composition, as far as somebody asks."""
        context = pipeline.examine(composition, self.here.host)
        for item, asked in self._read(composition, context).items():
            yield trying.statically(item, asked, composition, context).state is AssertionState.PASSED

    def coverage(self) -> Table:
        """Which statements no assertion looks at."""
        touched = {name for asked in self._asked.values() for name in asked.touched(self.composition, self.context)}
        found = coverage.coverage(self.composition, self._decided(), touched)
        return report.coverage(found, f"coverage of {self.file.path}")

    def mutants(self) -> Iterator[AssertionResult]:
        """What comes of each setting of the file's profiles, loosened."""
        for item in coverage.mutants(self.attempt, self._decided(), self._outcomes):
            yield item.result

    def _decided(self) -> Iterator[Resolved]:
        """What the file's own profiles decide, but for what it leaves out."""
        left_out = {entry.leaf for item in self.file.untested for entry in self.composition.meant(item.setting)}
        for entry in coverage.decided(self.composition, coverage.own_layers(self.composition)):
            if entry.leaf not in left_out:
                yield entry


def _show(found: list[CaseResult], form: str, short: Callable[[str], str]) -> None:
    if form == JSON:
        output.show_json(report.data(found))
    elif form == JUNIT:
        output.show(report.junit(found))
    elif form == TAP:
        for line in report.tap(found):
            output.show(line)
    else:
        output.show_parts(report.lines(found, short))
        output.note(report.summary(found))
