"""Comments that take results back: ``# hardening: ignore[HRD101] reason``, on the line of the result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hardening.base.values import frozen
from hardening.compose.rules import RuleRegistry
from hardening.lint.result import COMMENT, LintResult, suppressed
from hardening.mechanism.findings import MALFORMED, REFUSED, Finding, Severity
from hardening.profile import toml_lines

_COMMENT = re.compile(r"#\s*hardening:\s*(?P<word>\w*)(?:\[(?P<rules>[^\]]*)\])?(?P<reason>.*)")
#: What no comment takes back: a profile that cannot be used is of no use, and a comment that is wrong does nothing.
_FIRM = (MALFORMED, REFUSED, "lint/unexplained-suppression", "lint/unused-suppression")


@frozen
class Comment:
    """One that asks for something: the ids of rules, why, and what is wrong with it."""

    line: int
    rules: tuple[str, ...]
    reason: str
    problem: str
    hint: str


def comments(text: str, known: RuleRegistry) -> Sequence[Comment]:
    """Those of a profile that are for lint."""
    if "hardening:" not in text:
        return ()
    return [
        _read(line, found, known)
        for comment, line, _ in toml_lines.comments(text)
        if (found := _COMMENT.match(comment)) is not None
    ]


def _read(line: int, found: re.Match[str], known: RuleRegistry) -> Comment:
    rules = tuple(rule.strip() for rule in (found["rules"] or "").split(",") if rule.strip())
    reason, problem, hint = found["reason"].strip(" -—:"), "", ""
    stranger = next((rule for rule in rules if rule not in known.names), None)
    if found["word"] != "ignore" or not rules:
        problem = "this comment is none that lint knows"
    elif stranger is not None:
        problem, hint = f"there is no rule {stranger}", known.nearest(stranger)
    elif not reason:
        problem = f"no reason is given for ignoring {', '.join(rules)}"
    return Comment(line, rules, reason, problem, hint)


def applied(
    results: Sequence[LintResult],
    found: Sequence[Comment],
    rules: RuleRegistry,
    file: str,
    lines: Sequence[str],
) -> Iterator[LintResult]:
    """The results, those that a comment takes back with its reason; and what is wrong with comments. Of a profile that does
    not compose most rules have not been asked, so that nobody knows which comments are idle."""
    whole_profile = not any(result.finding.rule in (MALFORMED, REFUSED) for result in results)
    valid = [comment for comment in found if not comment.problem]
    used: set[tuple[int, str]] = set()
    for result in results:
        comment = next((item for item in valid if item.line == result.line and result.ident in item.rules), None)
        if comment is None or result.finding.rule in _FIRM:
            yield result
        else:
            used.add((comment.line, result.ident))
            yield suppressed(result, comment.reason)

    def about(rule: str, comment: Comment, message: str, hint: str, drop: toml_lines.Path = ()) -> LintResult:
        finding = Finding(rule, Severity.WARNING, message, origin=f"{file}:{comment.line}", hint=hint)
        return LintResult(finding, rules.described(rule), file, comment.line, lines[comment.line - 1], drop)

    for comment in found:
        if comment.problem:
            meant = comment.rules or sorted(
                {item.ident for item in results if item.line == comment.line and item.finding.rule not in _FIRM}
            )
            write = f"write `# hardening: ignore[{', '.join(meant)}] why it has to be so`" if meant else "remove it"
            yield about("lint/unexplained-suppression", comment, comment.problem, comment.hint or write)
            continue
        firm = [rule for rule in comment.rules if rules.names[rule] in _FIRM]
        if firm:
            message = f"{', '.join(firm)} cannot be taken back"
            yield about("lint/unexplained-suppression", comment, message, "mend what it finds, and remove it here")
        idle = [rule for rule in comment.rules if (comment.line, rule) not in used and rule not in firm]
        if idle and whole_profile:
            message = f"nothing on this line is found by {', '.join(idle)}"
            whole = len(idle) == len(comment.rules)
            yield about("lint/unused-suppression", comment, message, "remove it", COMMENT if whole else ())
