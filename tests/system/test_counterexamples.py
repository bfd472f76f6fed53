"""What `hardening prove` offers runs: the kernel lets a program do under the looser stack what it refuses under the other.

The stacks are those of the receipts: one that is loosened in many settings, held against each that lacks one of the
loosenings, so that one setting alone makes the difference. `--all` runs every one of them, and says how many there were.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble import pipeline
from hardening.base import places, state
from hardening.compare.proof import UNKNOWN, Counterexample, counterexamples, violated
from hardening.compose.composition import Composition
from hardening.launch.request import LaunchRequest
from hardening.why.witnessed import WitnessOutcome, WitnessRunner
from tests.hardening.mechanism.test_evidence import MOST_LINES
from tests.support import loosenings, runs
from tests.support.features import require
from tests.support.loosenings import Group, Loosening
from tests.support.sample import is_whole
from tests.system.test_receipts import GROUPS

pytestmark = pytest.mark.system

#: Values that have no order, secrets, which these tests do not keep, and what a third party shows nothing of.
UNTRIED = ("process.set_environment.", "secrets.", "scratch.")
#: Here the stricter stack is none that this kernel can enforce, or the filter of both denies it.
BARRED = ("rootfs.proc.hidepid", "rootfs.proc.subset", "landlock.bind", "landlock.connect")


@pytest.fixture(scope="session")
def count() -> Iterator[Counter[str]]:
    """How many programs showed it, by mechanism."""
    found: Counter[str] = Counter()
    yield found
    without = found.pop("without", 0)
    print(f"\n{sum(found.values())} counterexamples, {without} that no program shows: {dict(found)}")


def runner(composition: Composition, group: Group) -> WitnessRunner:
    plugins = group.plugins
    launch = LaunchRequest(id=places.new_id(), state=str(state.directory()), typed=True)
    return WitnessRunner(composition, plugins, plugins.runtime("native"), runs.host_of(None, plugins), launch)


def outcomes(item: Counterexample, *both: WitnessRunner) -> tuple[WitnessOutcome, WitnessOutcome]:
    """What the first program comes to that shows it, or the last one."""
    found = None
    for witness in item.witnesses:
        assert len(witness.program.splitlines()) <= MOST_LINES
        found = (both[0].run(witness), both[1].run(witness))
        if (found[0].permitted, found[1].permitted) == (True, False):
            break
    assert found is not None, f"{item.difference.leaf} has no program"
    return found


def _told(group: Group) -> list[Loosening]:
    return [item for item in group.loosenings if not item.leaf.startswith((*UNTRIED, *BARRED))]


def _mechanisms(row: Mapping[str, Any]) -> list[str]:
    return [item.mechanism for item in _told(GROUPS[row["name"]])[:1]]


@pytest.mark.sampled(kinds=_mechanisms)
@pytest.mark.parametrize("name", [name for name, group in GROUPS.items() if _told(group)])
def test_the_kernel_permits_under_one_stack_what_it_refuses_under_the_other(
    name: str, count: Counter[str], monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    require("userns" if "user" in GROUPS[name].callers and os.geteuid() else "root")
    group = GROUPS[name]
    for key, value in loosenings.TRIED.items():
        monkeypatch.setenv(key, value)
    told = _told(group)
    with runs.workplace() as folder:
        loose = composed(group, folder)
        context = pipeline.examine(loose, runs.host_of(None, group.plugins))
        for item in told if is_whole(pytestconfig) else told[:1]:
            strict = composed(group, folder, item)
            leaf = next(
                one for one in violated(loose, strict, runs.host_of(None, group.plugins)) if str(one.leaf) == item.leaf
            )
            (found,) = counterexamples(loose, context, [leaf])
            if not found.witnesses:
                assert found.why not in ("", UNKNOWN), item.leaf
                count["without"] += 1
                continue
            under_loose, under_strict = outcomes(found, runner(loose, group), runner(strict, group))
            assert under_loose.permitted is True, f"{item.leaf}: {under_loose}"
            assert under_strict.permitted is False, f"{item.leaf}: {under_strict}"
            count[item.mechanism] += 1


def composed(group: Group, folder: Path, without: Loosening | None = None) -> Composition:
    return runs.composed(group.layers(without), group.plugins, runs.host_of(None, group.plugins), folder)
