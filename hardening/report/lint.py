"""Results of lint as text with excerpts, as data, as annotations of GitHub's, and as SARIF; the register of exceptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hardening.compose.rules import LINT, RuleRegistry
from hardening.lint.register import Registered
from hardening.lint.result import LintResult, counted
from hardening.mechanism.findings import FindingRule, Severity
from hardening.report import sarif
from hardening.report.table import Table

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_ANNOTATIONS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}

#: A part of a line, and the style that it has where there are colours.
Parts = Sequence[tuple[str, str]]


def excerpts(results: Iterable[LintResult]) -> Iterator[Parts]:
    """Lines that show each result with what stands there, a caret below it, and the remedy."""
    for result in results:
        first, end = result.columns
        style = _STYLES[result.severity]
        place = f"{result.file}:{result.line}:{first}: "
        yield [
            (place, "bold"),
            (f"{result.severity}", style),
            (f"[{result.ident}] {_line(result.finding.message)}", ""),
        ]
        margin = " " * len(str(result.line))
        if result.text.strip():
            below = "".join("\t" if char == "\t" else " " for char in result.text[: first - 1])
            yield [(f"{margin} |", "blue")]
            yield [(f"{result.line} |", "blue"), (f" {result.text}", "")]
            yield [(f"{margin} | ", "blue"), (below + "^" * (end - first), style)]
        for number, line in enumerate(result.hint.splitlines()):
            yield [(f"{margin} = " if not number else f"{margin}   ", "blue"), ("hint: " * (not number) + line, "")]
        yield []


def summary(results: Sequence[LintResult], files: int) -> str:
    """How much there is, in a line."""
    found = [f"{count} {severity}{'s' * (count != 1)}" for severity, count in counted(results).items()]
    taken = sum(result.suppressed for result in results)
    if taken:
        found.append(f"{taken} taken back by comments")
    fixable = sum(bool(result.drop) and not result.suppressed for result in results)
    mends = f"; `--fix` mends {fixable}" if fixable else ""
    return f"{files} file{'s' * (files != 1)}: {', '.join(found) or 'nothing found'}{mends}"


def data(results: Iterable[LintResult]) -> list[dict[str, Any]]:
    """The results as JSON data."""
    return [
        {
            "id": result.ident,
            "rule": result.finding.rule,
            "severity": str(result.severity),
            "message": result.finding.message,
            "hint": result.hint or None,
            "setting": result.finding.leaf or None,
            "file": result.file,
            "line": result.line,
            "column": result.columns[0],
            "end_column": result.columns[1],
            "fixable": bool(result.drop),
            "suppressed": result.reason or None,
        }
        for result in results
    ]


def workflow_commands(results: Iterable[LintResult]) -> Iterator[str]:
    """Workflow commands that GitHub shows at the lines of a change."""
    for result in results:
        if not result.suppressed:
            first, end = result.columns
            where = {"file": result.file, "line": result.line, "col": first, "endColumn": end, "title": result.ident}
            named = ",".join(f"{key}={_escaped(str(value), within=True)}" for key, value in where.items())
            text = f"{result.finding.message}\n{result.hint}".strip()
            yield f"::{_ANNOTATIONS[result.severity]} {named}::{_escaped(text)}"


def _escaped(text: str, *, within: bool = False) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), *([(":", "%3A"), (",", "%2C")] if within else [])):
        text = text.replace(char, code)
    return text


def log(results: Sequence[LintResult]) -> dict[str, Any]:
    """The results as SARIF, each at its line and columns; one that a comment takes back is a suppressed one."""
    found = sarif.log([result.finding for result in results], {item.finding.rule: item.rule for item in results})
    for result, entry in zip(results, found["runs"][0]["results"], strict=True):
        region = entry["locations"][0]["physicalLocation"]["region"]
        region["startColumn"], region["endColumn"] = result.columns
        if result.suppressed:
            entry["suppressions"] = [{"kind": "inSource", "justification": result.reason}]
    return found


def register(items: Iterable[Registered]) -> Table:
    """Exceptions with who answers for them, and whether anything needs them."""
    rows = tuple(
        (
            item.exception.setting,
            item.owner,
            item.exception.reason,
            item.exception.ticket,
            str(item.exception.expires or ""),
            "" if item.days is None else "ended" if item.ended else str(item.days),
            {True: "yes", False: "no", None: "unknown"}[item.used],
            str(item.exception.origin),
        )
        for item in items
    )
    return Table(("setting", "owner", "reason", "ticket", "last day", "days", "used", "place"), rows, expands=True)


def _line(text: str) -> str:
    return " ".join(text.split())


def explained(name: str, rule: FindingRule) -> str:
    """What a rule finds, why that is wrong, and how it is mended."""
    head = f"{rule.id} ({name})" if rule.id else name
    parts = [f"{head}: {rule.summary}.", rule.why, rule.mend]
    if rule.bad:
        parts += [f"It finds something of\n\n{_indented(rule.bad)}", f"and nothing of\n\n{_indented(rule.good)}"]
    elif rule.id:
        parts.append("It takes a host, an image or a run to tell: `compose`, `run` and their like do.")
    return "\n\n".join([*filter(None, parts), *([f"Since {rule.since}."] if rule.id else [])])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())


def page(rules: RuleRegistry) -> str:
    """The page of all rules, docs/reference/rules.md."""
    lines = [
        "# Rules",
        "",
        "What `hardening lint` finds in profiles ([how](lint.md)), and what a composition, a run or a report says of a "
        "stack on its host. Each rule has an id, by which a comment takes a result back and SARIF names it, and a name, "
        "which [`[findings.rules]`](profiles.md#findings) takes as well, but for those of `lint`. "
        "`hardening lint --explain ID` shows one.",
        "",
        "| id | name | finds | severity | told by |",
        "| --- | --- | --- | --- | --- |",
    ]
    for ident, rule in rules.by_id.items():
        told = (
            "lint, a run"
            if rule.bad and rules.names[ident].partition("/")[0] != LINT
            else "lint"
            if rule.bad
            else "a run"
        )
        lines.append(
            f"| [{ident}](#{ident.lower()}) | `{rules.names[ident]}` | {rule.summary} | {rule.severity} | {told} |"
        )
    for ident, rule in rules.by_id.items():
        lines += ["", f"## {ident}", "", f"`{rules.names[ident]}`, since {rule.since}. {rule.summary}.", ""]
        lines += [rule.why, "", rule.mend]
        if rule.bad:
            lines += ["", "Found:", "", "```toml fragment", rule.bad.rstrip(), "```"]
            lines += ["", "Mended:", "", "```toml fragment", rule.good.rstrip(), "```"]
    return "\n".join(lines) + "\n"
