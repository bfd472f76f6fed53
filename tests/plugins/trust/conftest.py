"""The counts of the matrix against skopeo."""

from __future__ import annotations

import pytest

from tests.plugins.trust.counts import COUNTS, lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the counts."""
    found = config.stash.get(COUNTS, None)
    if found is not None:
        terminalreporter.section("verdicts held against skopeo's")
        for line in lines(*found):
            terminalreporter.line(line)
