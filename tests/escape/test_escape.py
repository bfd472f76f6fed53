"""Every attempt to escape succeeds with its one defence off, and fails with it on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property

import attrs
import pytest

from tests.escape import launches
from tests.escape.attempt import STANCES, Attempt, Outcome, Profiled
from tests.escape.table import ATTEMPTS
from tests.escape.world import World, world
from tests.support.features import available, require
from tests.support.users import ordinary

pytestmark = pytest.mark.system

Key = tuple[tuple[str, ...], str]


@attrs.define(slots=False)
class Suite:
    """The attempts of one stance, and what came of them; each container is started when its first result is asked for."""

    world: World
    found: dict[Key, dict[str, Outcome]] = attrs.field(factory=dict)

    @cached_property
    def batches(self) -> dict[Key, list[str]]:
        """Layers, and the name of an attempt that wants them for itself -> the attacks that are tried under them."""
        batches: dict[Key, list[str]] = {}
        for attempt in ATTEMPTS:
            if isinstance(attempt.tries, Profiled) and all(available(feature) for feature in attempt.needs):
                for on in (False, True):
                    attacks = batches.setdefault(self.key(attempt.tries, on=on), [])
                    if attempt.tries.name not in attacks:
                        attacks.append(attempt.tries.name)
        return batches

    def key(self, tries: Profiled, *, on: bool) -> Key:
        return tries.layers(self.world.stance, on=on), tries.name if tries.alone else ""

    def outcome(self, attempt: Attempt, *, on: bool) -> Outcome:
        """What came of an attempt with its defence on, or off."""
        if not isinstance(attempt.tries, Profiled):
            return attempt.tries.run(self.world, on)
        key = self.key(attempt.tries, on=on)
        if key not in self.found:
            profiles = (*launches.strict(), *key[0])
            self.found[key] = launches.attack(self.world, profiles, self.batches[key])
        return self.found[key][attempt.tries.name]


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
    if stance in attempt.refused:
        assert not off.escaped, f"the table says that the kernel refuses this: {off.said}"
    else:
        assert off.escaped, f"refused even without {attempt.defence}: {off.said}"
