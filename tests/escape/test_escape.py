"""Every attempt to escape succeeds with its one defence off, and fails with it on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import attrs
import pytest

from tests.escape import launches
from tests.escape.attempt import STANCES, Attempt, Outcome, Profiled, Setup
from tests.escape.results import RESULTS
from tests.escape.table import ATTEMPTS, PERMITTED, tables
from tests.escape.world import World, world
from tests.support.features import available, require
from tests.support.runs import installed
from tests.support.users import REPOSITORY, ordinary

pytestmark = pytest.mark.system


@attrs.define(slots=False)
class Suite:
    """The attempts of one stance, and what came of them; each container is started when its first result is asked for."""

    world: World
    found: dict[Setup, dict[str, Outcome]] = attrs.field(factory=dict)

    @cached_property
    def batches(self) -> dict[Setup, list[str]]:
        """Each container, and the attacks that are tried in it."""
        batches: dict[Setup, list[str]] = {}
        for attempt in ATTEMPTS:
            if isinstance(attempt.tries, Profiled) and all(available(feature) for feature in attempt.needs):
                for on in (False, True):
                    attacks = batches.setdefault(attempt.tries.setup(self.world.stance, on=on), [])
                    if attempt.tries.name not in attacks:
                        attacks.append(attempt.tries.name)
        return batches

    def outcome(self, attempt: Attempt, *, on: bool) -> Outcome:
        """What came of an attempt with its defence on, or off."""
        if not isinstance(attempt.tries, Profiled):
            return attempt.tries.run(self.world, on)
        setup = attempt.tries.setup(self.world.stance, on=on)
        if setup not in self.found:
            self.found[setup] = launches.attack(self.world, setup, self.batches[setup], base=launches.strict())
        return self.found[setup][attempt.tries.name]


def stances() -> tuple[str, ...]:
    """Who can launch here: an ordinary user cannot be root."""
    return STANCES if os.geteuid() == 0 else STANCES[1:]


@pytest.fixture(scope="module", params=stances())
def suite(request: pytest.FixtureRequest) -> Iterator[Suite]:
    stance: str = request.param
    if stance == "rootless":
        require("userns")
    user = ordinary() if stance == "rootless" else None
    with ExitStack() as stack:
        yield Suite(stack.enter_context(world(stance, user, launches.numbers())))


def _kinds(row: Mapping[str, Any]) -> list[object]:
    """Who launches, and each defence: a system call that is refused, a capability and a limit stand for the others."""
    attempt: Attempt = row["attempt"]
    return [row["suite"], re.sub(r"^`((seccomp|capabilities|process\.rlimits)\.)\w+`$", r"\1", attempt.defence)]


@pytest.mark.sampled(kinds=_kinds)
@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_its_one_defence_makes_the_difference(suite: Suite, attempt: Attempt, pytestconfig: pytest.Config) -> None:
    for feature in attempt.needs:
        require(feature)
    stance = suite.world.stance
    off = suite.outcome(attempt, on=False)
    on = suite.outcome(attempt, on=True)
    pytestconfig.stash[RESULTS].found[attempt.name, stance] = (off, on)
    assert not on.escaped, on.said
    for outcome, refusable in ((off, attempt.depends), (on, attempt.depends or attempt.fails_closed)):
        assert refusable or not outcome.said.startswith(launches.NOT_LAUNCHED), outcome.said
    if stance not in attempt.refused:
        assert off.escaped, f"refused even without {attempt.defence}: {off.said}"
    elif not attempt.depends:
        assert not off.escaped, f"the table says that the kernel refuses this: {off.said}"
        assert off.said != "ENOSYS", "this is the filter's word, not the kernel's"


SHIPPED = [("strict", "native"), ("strict", "crun"), ("strict", "runc"), *((name, "native") for name in PERMITTED)]


@pytest.mark.parametrize(("profile", "runtime"), list(dict.fromkeys(SHIPPED)))
def test_no_attempt_succeeds_under_a_shipped_profile(suite: Suite, profile: str, runtime: str) -> None:
    """Every defence of the profile is on, and its limits are in force; all attacks are tried in one container."""
    attempts = [attempt for attempt in ATTEMPTS if isinstance(attempt.tries, Profiled) and not attempt.relative]
    attacks = list(dict.fromkeys(attempt.tries.name for attempt in attempts if isinstance(attempt.tries, Profiled)))
    found = launches.attack(suite.world, Setup(()), attacks, base=[profile], runtime=runtime)
    escaped = {attempt.name for attempt in attempts
               if isinstance(attempt.tries, Profiled) and found[attempt.tries.name].escaped}  # fmt: skip
    assert escaped == {*PERMITTED[profile], *(attempt.name for attempt in attempts if attempt.beyond)}


def _defences(attempts: Iterable[Attempt]) -> set[str]:
    """What has attempts: mechanisms by their names, and each step of the launcher that is left out of it."""
    return {(match[1] if (match := re.match(r"`(\w+)", one.defence)) else one.defence) for one in attempts}


def test_an_ordinary_run_would_notice_each_mechanism_and_each_step_of_the_launcher_that_is_switched_off(
    request: pytest.FixtureRequest,
) -> None:
    rows = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    values = [item.callspec.params.get("attempt") for item in rows]
    tried = [value for value in values if isinstance(value, Attempt)]
    if not tried or request.config.getoption("keyword"):
        tried = list(ATTEMPTS)  # somebody has chosen what runs
    assert _defences(tried) == _defences(ATTEMPTS)
    confining = {mechanism.name for mechanism in installed().mechanisms if "*" not in mechanism.before_launch}
    # The one gives a command something, the others have tests of their own, for hosts where they are active.
    assert confining - _defences(ATTEMPTS) == {"apparmor", "secrets", "selinux"}


def test_names_are_given_once() -> None:
    names = [attempt.name for attempt in ATTEMPTS]
    assert sorted(names) == sorted(set(names))


def test_the_page_has_the_tables_of_the_suite() -> None:
    page = (REPOSITORY / "docs/reference/escapes.md").read_text()
    assert "\n".join(tables()) in page, "python -m tests.escape.table prints them"
