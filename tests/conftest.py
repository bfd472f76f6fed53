"""Shared by all tests: how hypothesis runs, and the list of host features that made tests skip."""

from __future__ import annotations

import gc
import os
import select
import signal
from collections import Counter

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from hardening.base.linux import group
from tests.support import apart, observed, rewriting, sample, users
from tests.support.cached import Place
from tests.support.features import PREFIX
from tests.support.gpg import gpg_keys
from tests.support.observed import observe

__all__ = ["gpg_keys", "observe"]

# Shared machines stall: a deadline an example would fail for the wrong reason. Every run tries the same examples, so that
# a failure says something of the change at hand, and `--all` more of them; `--hypothesis-profile=search` looks for new ones.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("all", settings.get_profile("search"), derandomize=True, database=None)
settings.register_profile("same", settings.get_profile("all"), max_examples=10)
settings.register_profile("one row", settings.get_profile("all"), max_examples=2)
settings.load_profile("same")


# A shell that starts the tests in the background ignores these for them, and whatever they start would inherit that.
for _number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is made or looked at; every worker of xdist configures itself, too."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile(
            "all" if sample.is_whole(config) else "one row" if config.getoption("--one-row") else "same"
        )
    gc.disable()  # until all is collected, of which nothing goes
    if not hasattr(config, "workerinput"):
        rewriting.prepare(config)
    apart.enter()
    apart.folder()
    if os.geteuid() != 0:  # as a login has it: skopeo takes a place of root's where there is none
        os.environ.setdefault("XDG_RUNTIME_DIR", str(users.ordinary().runtime))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: most tests wait for programs that they start."""
    return min(len(os.sched_getaffinity(0)) + 2, 8)


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test of the cache again that failed while somebody else mounted something, be it for a moment: an entry is valid
    as long as the host's mounts are the same, and an ordinary user cannot leave them to the others."""
    if os.geteuid() == 0 or Place not in vars(getattr(item, "module", pytest)).values():
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(3):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            changed = select.poll()
            changed.register(mounts, select.POLLPRI)  # proc_pid_mounts(5)
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if not any(report.failed for report in reports) or not changed.poll(0):
                break
        reports[-1].sections.append(("run again", "the host's mounts changed meanwhile"))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.fixture
def shared_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's group has other members, whoever runs the tests (tests/hardening/base/linux/test_group.py has the
    truth)."""
    monkeypatch.setattr(group, "is_private", lambda *_: False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is left out of an ordinary run for its length."""
    parser.addoption(
        "--all", action="store_true", help="every row of every generated matrix, of which there is a sample"
    )
    parser.addoption("--one-row", action="store_true", help="one row of every test, and two examples of a property")


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Of a generated matrix an ordinary run has a sample."""
    sample.take(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a complete run has."""
    out = set() if sample.takes_all(config) else {item for item in items if item.get_closest_marker("complete")}
    if out:
        config.hook.pytest_deselected(items=[item for item in items if item in out])
        items[:] = [item for item in items if item not in out]


def pytest_collection_finish() -> None:
    """What was collected stays to the end: a collector that walks through it again and again finds nothing to free."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was seen of the kernel and of others, and each reason to skip with the number of tests that it cost."""
    seen = observed.lines(report for reports in terminalreporter.stats.values() for report in reports)
    if seen:
        terminalreporter.section("what was seen of others, which no promise rests on")
        for line in seen:
            terminalreporter.line(line)
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        counts[reason.removeprefix("Skipped: ")] += 1
    if counts:
        terminalreporter.section("what was skipped, and why")
        # What the host lacks first: another host would run it.
        for reason, count in sorted(counts.items(), key=lambda entry: (not entry[0].startswith(PREFIX), entry)):
            terminalreporter.line(f"{reason} ({count} {'test' if count == 1 else 'tests'})")
