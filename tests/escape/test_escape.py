"""Every attempt to escape succeeds with its one defence off, and fails with it on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property

import attrs
import pytest

from tests.escape import launches
from tests.escape.attempt import STANCES, Attempt, Outcome, Profiled, Setup
from tests.escape.table import ATTEMPTS
from tests.escape.world import World, world
from tests.support.features import available, require
from tests.support.users import ordinary

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


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.name)
def test_its_one_defence_makes_the_difference(suite: Suite, attempt: Attempt) -> None:
    for feature in attempt.needs:
        require(feature)
    stance = suite.world.stance
    off = suite.outcome(attempt, on=False)
    on = suite.outcome(attempt, on=True)
    print(f"{attempt.name} {stance}: off {off} on {on}")
    assert not on.escaped, on.said
    for outcome, refusable in ((off, attempt.depends), (on, attempt.depends or attempt.fails_closed)):
        assert refusable or not outcome.said.startswith(launches.NOT_LAUNCHED), outcome.said
    if stance not in attempt.refused:
        assert off.escaped, f"refused even without {attempt.defence}: {off.said}"
    elif not attempt.depends:
        assert not off.escaped, f"the table says that the kernel refuses this: {off.said}"
        assert off.said != "ENOSYS", "this is the filter's word, not the kernel's"
