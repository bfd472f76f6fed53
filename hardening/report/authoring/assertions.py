"""What came of assertions: text, JSON, JUnit's XML and TAP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hardening.assertions.coverage import StatementCoverage
from hardening.assertions.trying import AssertionResult, AssertionState
from hardening.base.values import frozen
from hardening.report.table import Table, in_one

_STYLES = {AssertionState.PASSED: "green", AssertionState.FAILED: "bold red", AssertionState.SKIPPED: "yellow"}
_MOST_NAMED = 8


@frozen(eq=False)
class CaseResult:
    """The results of one test of a file."""

    file: str
    name: str
    results: tuple[AssertionResult, ...]

    @property
    def state(self) -> AssertionState:
        """Failed where anything has, passed where all have."""
        states = {item.state for item in self.results}
        return next(
            (state for state in (AssertionState.FAILED, AssertionState.SKIPPED) if state in states),
            AssertionState.PASSED,
        )


def lines(cases: Sequence[CaseResult], short: Callable[[str], str] = str) -> Iterator[Sequence[tuple[str, str]]]:
    """Each test with what of it has not passed, as lines of parts with their styles; ``short`` shortens places."""
    for case in cases:
        yield [(f"{case.state:<7}", _STYLES[case.state]), (f" {short(case.file)}: {case.name}", "")]
        for item in case.results:
            if item.state is not AssertionState.PASSED:
                place = short(str(item.origin))
                yield [(f"        {place}: ", "bold"), (f"{item.text}: {short(item.why)}", "")]


def summary(cases: Sequence[CaseResult]) -> str:
    """How many there were of each, in a line."""
    results = [item for case in cases for item in case.results]
    counts = {state: sum(item.state is state for item in results) for state in AssertionState}
    found = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{len(cases)} test{'s' * (len(cases) != 1)}, {len(results)} assertion{'s' * (len(results) != 1)}: {found}"


def data(cases: Sequence[CaseResult]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {
            "file": case.file,
            "name": case.name,
            "state": str(case.state),
            "assertions": [
                {"assertion": item.text, "state": str(item.state), "why": item.why, "origin": str(item.origin)}
                for item in case.results
            ],
        }
        for case in cases
    ]


def tap(cases: Sequence[CaseResult]) -> Iterator[str]:
    """The Test Anything Protocol, version 14: a test point an assertion."""
    points = [(case, item) for case in cases for item in case.results]
    yield "TAP version 14"
    yield f"1..{len(points)}"
    for number, (case, item) in enumerate(points, 1):
        word = "not ok" if item.state is AssertionState.FAILED else "ok"
        skip = f" # SKIP {_plain(item.why)}" if item.state is AssertionState.SKIPPED else ""
        yield f"{word} {number} - {_plain(case.name)}: {_plain(item.text)}{skip}"
        if item.state is AssertionState.FAILED:
            yield f"# {_plain(str(item.origin))}: {_plain(item.why)}"


def _plain(text: str) -> str:
    """A description of TAP's: in one line, and with no `#` that begins a directive (TAP 14, Escaping)."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("#", "\\#")


def junit(cases: Sequence[CaseResult]) -> str:
    """The XML of JUnit that servers of continuous integration read: a suite a file, a case an assertion."""
    from xml.etree import ElementTree

    top = ElementTree.Element("testsuites")
    suites: dict[str, ElementTree.Element] = {}
    for case in cases:
        suite = suites.get(case.file)
        if suite is None:
            suite = suites[case.file] = ElementTree.SubElement(top, "testsuite", name=_text(case.file))
        for item in case.results:
            file, _, line = str(item.origin).rpartition(":")
            one = ElementTree.SubElement(
                suite, "testcase", classname=_text(case.name), name=_text(item.text), file=_text(file), line=_text(line)
            )
            if item.state is AssertionState.FAILED:
                ElementTree.SubElement(one, "failure", message=_text(item.why))
            elif item.state is AssertionState.SKIPPED:
                ElementTree.SubElement(one, "skipped", message=_text(item.why))
    for one, cases_of in ((top, ".//testcase"), *((suite, "testcase") for suite in suites.values())):
        for name, tag in (("tests", ""), ("failures", "/failure"), ("skipped", "/skipped"), ("errors", "/error")):
            one.set(name, str(len(one.findall(f"{cases_of}{tag}"))))
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True)


def _text(text: str) -> str:
    """What XML may hold: of the control characters it has but three."""
    return "".join(char if char >= " " or char in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" for char in text)


def coverage(found: Sequence[StatementCoverage], title: str) -> Table:
    """The statements, those that no assertion looks at first."""
    ordered = sorted(found, key=lambda item: bool(item.touched))
    rows = (
        (item.origin, _some([str(leaf) for leaf in item.leaves]), f"{len(item.touched)} of {len(item.leaves)}")
        for item in ordered
    )
    return Table(("line", "setting", "looked at"), tuple(rows), title, expands=True)


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return in_one([*names[:_MOST_NAMED]]) + "".join(f", {text}" for text in more)
