"""One result of a rule, at its place in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import attrs

from hardening.base.values import frozen
from hardening.mechanism.findings import Finding, FindingRule, Severity
from hardening.profile.toml_lines import Path as TomlPath

#: What stands in the place of a path where it is a comment that goes.
COMMENT: TomlPath = ("#",)


@frozen
class LintResult:
    """What a rule found in the ``file`` as it was named, at a ``line`` counted from 1, whose text is ``text``. ``drop`` is
    what `--fix` takes out of the document; ``reason`` is that of the comment by which it is suppressed; ``span`` are its
    columns, where it is about one element of an array."""

    finding: Finding
    rule: FindingRule
    file: str
    line: int
    text: str = ""
    drop: TomlPath = ()
    reason: str = ""
    span: tuple[int, int] | None = None

    @property
    def ident(self) -> str:
        """The id of the rule, or its name where it has none."""
        return self.rule.id or self.finding.rule

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return self.finding.severity

    @property
    def hint(self) -> str:
        """How it is mended: what is said of this one, else of all that its rule finds."""
        return self.finding.hint or self.rule.mend

    @property
    def suppressed(self) -> bool:
        """Whether a comment in the file takes it back."""
        return bool(self.reason)

    @property
    def columns(self) -> tuple[int, int]:
        """The first column of what it is about, counted from 1, and the one behind: the member of the setting that the line
        names, else its key, else all of it."""
        if self.span is not None:
            return self.span
        names = [part for part in (*_names(self.finding.leaf), *_quoted(self.finding.message)) if part]
        for name in names:
            found = re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", self.text)
            if found is not None:
                return found.start() + 1, found.end() + 1
        code = self.text.strip()
        first = self.text.find(code) + 1
        return first, first + max(len(code), 1)


def _names(leaf: str) -> Sequence[str]:
    """The names that a line may have a setting by, the most particular first: those of its member, and of what it is in."""
    _, _, below = leaf.partition(".")
    parts = below.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))] + parts[::-1]


def _quoted(message: str) -> Iterable[str]:
    return re.findall(r'"([^"]+)"', message)


def order(results: Iterable[LintResult]) -> list[LintResult]:
    """Results by file and line, each once."""
    unique = {(item.file, item.line, item.ident, item.finding.message): item for item in results}
    return sorted(unique.values(), key=lambda item: (item.file, item.line, item.ident, item.finding.message))


def worst(results: Iterable[LintResult]) -> Severity | None:
    """The highest severity of those that are not suppressed."""
    found = [item.severity for item in results if not item.suppressed]
    return max(found, key=lambda item: item.rank, default=None)


def counted(results: Iterable[LintResult]) -> Mapping[Severity, int]:
    """How many there are of each severity, without those that are suppressed."""
    found = [item.severity for item in results if not item.suppressed]
    return {severity: found.count(severity) for severity in reversed(Severity) if severity in found}


def suppressed(result: LintResult, reason: str) -> LintResult:
    """The result, taken back for a reason."""
    return attrs.evolve(result, reason=reason)
