"""The table of a run of the suite: ``pytest tests/escape --escapes``, as ``make escape`` does."""

from __future__ import annotations

import pytest

from tests.escape.results import RESULTS, Results
from tests.escape.table import ATTEMPTS


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option; pytest knows it where this folder is named on the command line."""
    parser.addoption("--escapes", action="store_true", help="print the table of all attempts to escape")


def pytest_configure(config: pytest.Config) -> None:
    """A place for the results."""
    config.stash[RESULTS] = Results()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    if config.getoption("--escapes", default=False):
        terminalreporter.section("attempts to escape")
        for line in config.stash[RESULTS].lines(ATTEMPTS):
            terminalreporter.line(line)
