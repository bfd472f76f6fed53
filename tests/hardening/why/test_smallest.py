"""The search for the smallest set, in worlds that are made up."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.mechanism.denial import Size, Way
from hardening.why.smallest import MOST, ROUNDS, search
from hardening.why.world import Conclusion, Member, Suspect, TrialOutcome

#: Of how many searches a rate is taken.
SEARCHES = 300


class World:
    """A command that asks for things in their order, each of which a leaf decides; it succeeds where what is permitted is
    all that it ``needed``. One that ``stops`` does so at the first thing that it cannot do without, any other asks for all
    of them first. A leaf of ``barred`` cannot be loosened; ``works`` says which way of one does."""

    def __init__(
        self,
        asks: Sequence[str],
        needed: Callable[[frozenset[str]], bool],
        *,
        stops: bool = True,
        barred: Sequence[str] = (),
        sizes: Mapping[str, Sequence[Size]] | None = None,
        works: Callable[[str, Way], bool] = lambda leaf, way: True,
        certain: bool = True,
        evident: bool = True,
        in_place: bool = False,
    ) -> None:
        self.asks = asks
        self.needed = needed
        self.stops = stops
        self.barred = barred
        self.sizes = sizes or {}
        self.works = works
        self.certain = certain
        self.evident = evident
        self.in_place = in_place
        self.runs: list[tuple[str, ...]] = []

    def composes(self, members: Sequence[Member]) -> bool:
        return not any(member.way.leaf in self.barred for member in members)

    def run(self, members: Sequence[Member], *, patiently: bool = False) -> TrialOutcome:
        return self.one(members)

    def foresee(self, members: Sequence[Member]) -> TrialOutcome | None:
        return None

    def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
        outcome = self.one(members)
        return TrialOutcome(outcome.succeeded, stopped=outcome.stopped, is_seen=False)

    def one(self, members: Sequence[Member]) -> TrialOutcome:
        """What comes of one run."""
        assert self.composes(members)
        ways = [member.way for member in members]
        self.runs.append(tuple(f"{way.leaf}:{way.size}" for way in ways))
        permitted = frozenset(way.leaf for way in ways if self.works(way.leaf, way))
        denied = [leaf for leaf in self.asks if leaf not in permitted]
        if self.needed(permitted):
            return TrialOutcome(True, signature=(0, ()))
        if self.stops:
            end = next((at for at, leaf in enumerate(denied) if not self.needed(self._all() - {leaf})), len(denied))
            denied = denied[: end + 1]
        suspects = tuple(
            Suspect(leaf, "EPERM", leaf, tuple(Way(leaf, size, size) for size in self.sizes.get(leaf, (Size.CALL,))),
                    self.certain, self.evident)
            for leaf in reversed(denied)
        )  # fmt: skip
        return TrialOutcome(False, suspects, (1, tuple(denied)))

    def _all(self) -> frozenset[str]:
        return frozenset(self.asks)


def found(world: World, most: int = MOST) -> tuple[Conclusion, set[str]]:
    """What is found: the conclusion and the leaves."""
    result = search(world.run(()), world, most)
    return result.conclusion, {member.way.leaf for member in result.members}


def test_nothing_needs_to_be_loosened_where_the_first_run_succeeds() -> None:
    assert found(World("abc", lambda permitted: True)) == (Conclusion.NOT_NEEDED, set())


def test_one_denial_takes_two_runs_with_it_and_one_more_without() -> None:
    world = World("abc", lambda permitted: "b" in permitted)
    result = search(world.run(()), world)
    assert [member.way.leaf for member in result.members] == ["b"]
    assert (result.runs, world.runs[1:]) == (3, [("b:2",), ("b:2",), ()])


@pytest.mark.parametrize(("evident", "in_place"), [(False, False), (True, True)])
def test_what_no_process_has_spoken_of_and_what_a_run_may_have_left_is_tried_twice(
    evident: bool, in_place: bool
) -> None:
    world = World("abc", lambda permitted: "b" in permitted, evident=evident, in_place=in_place)
    result = search(world.run(()), world)
    assert [member.way.leaf for member in result.members] == ["b"]
    assert (result.runs, world.runs[1:]) == (5, [("b:2",), ("b:2",), (), ("b:2",), ()])


def test_of_several_that_no_process_has_spoken_of_each_is_left_out_again() -> None:
    world = World("abc", lambda some: set("abc") <= some, evident=False)
    result = search(world.run(()), world)
    assert result.conclusion is Conclusion.FOUND
    at = len(world.runs) - (ROUNDS + len("abc"))
    assert [len(run) for run in world.runs[at:]] == [3, 2, 3, 2, 2]
    assert len({run for run in world.runs[at:] if len(run) == 2}) == len("abc")


class Moody(World):
    """A command that was denied all that it asks for, and that ``succeeds`` has its way with: it fails at first, and then
    where that says so, or where it lacks what it ``lacks`` without."""

    def __init__(self, asks: str, succeeds: Iterator[bool], lacks: str = "", **more: Any) -> None:
        moods = itertools.chain([False], succeeds)
        super().__init__(asks, lambda some: next(moods) and set(lacks) <= some, stops=False, **more)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("asks", ["a", "abc", "abcdefgh"])
@pytest.mark.parametrize("evident", [False, True])
def test_a_command_that_fails_by_what_it_has_left_blames_nobody(asks: str, length: int, evident: bool) -> None:
    for pattern in itertools.product((False, True), repeat=length):
        succeeds = itertools.cycle((*pattern, False))
        conclusion, _ = found(Moody(asks, succeeds, evident=evident, in_place=True))
        assert conclusion is not Conclusion.FOUND, pattern


@pytest.mark.parametrize("asks", ["a", "abc", "abcdefgh"])
def test_a_command_that_fails_every_other_time_blames_nobody_although_it_speaks(asks: str) -> None:
    assert found(Moody(asks, itertools.cycle((True, False)))) == (Conclusion.FLAKY, set())


@pytest.mark.parametrize(
    ("evident", "passing"), [(True, (True, True, False)), (False, (True, True, False, True, False))]
)
@pytest.mark.parametrize("length", range(1, 7))
def test_of_rhythms_that_a_command_fails_in_one_order_of_runs_alone_is_blamed(
    length: int, evident: bool, passing: Sequence[bool]
) -> None:
    """The bound of what confirms: of a command that speaks the first run and three more, which fail, succeed, succeed and
    fail, as in every third run; where none speaks, five more, in which no rhythm of fewer than five runs passes."""
    for pattern in itertools.product((False, True), repeat=length - 1):
        rhythm = (*pattern, False)  # a multiple of its length behind the first run, which has failed, it fails again
        conclusion, _ = found(Moody("a", itertools.cycle(rhythm), evident=evident))
        begins = tuple(itertools.islice(itertools.cycle(rhythm), len(passing)))
        assert (conclusion is Conclusion.FOUND) is (begins == passing), rhythm


@pytest.mark.parametrize(
    ("asks", "lacks", "evident", "most"),
    [
        ("a", "", True, 0.18),
        ("a", "", False, 0.06),
        ("abc", "", True, 0.18),
        ("abc", "", False, 0.08),
        ("abc", "a", True, 0.07),
        ("abcdefgh", "ab", False, 0.07),
    ],
)
@pytest.mark.parametrize("fails", [1 / 2, 1 / 3])
def test_a_command_that_fails_by_chance_is_seldom_blamed_on_what_it_does_not_lack(
    asks: str, lacks: str, evident: bool, most: float, fails: float
) -> None:
    """Of the searches whose first run has failed; ``most`` is the rate, of one that lacks nothing one in 8 where a process
    has spoken of the first thing that is tried."""
    wrong = 0
    for seed in range(SEARCHES):
        chance = random.Random(seed)
        world = Moody(asks, (chance.random() >= fails for _ in itertools.count()), lacks, evident=evident)
        conclusion, leaves = found(world)
        wrong += conclusion is Conclusion.FOUND and leaves != set(lacks)
    assert wrong <= SEARCHES * most


@pytest.mark.parametrize("stops", [True, False])
def test_two_mechanisms_one_behind_the_other(stops: bool) -> None:
    assert found(World("abcd", lambda some: {"a", "c"} <= some, stops=stops)) == (Conclusion.FOUND, {"a", "c"})


def test_either_of_two_is_enough() -> None:
    conclusion, leaves = found(World("ab", lambda some: bool({"a", "b"} & some), stops=False))
    assert conclusion is Conclusion.FOUND
    assert len(leaves) == 1


def test_the_smallest_way_that_works_is_taken() -> None:
    sizes = {"a": (Size.ANSWER, Size.CALL, Size.WIDER)}
    for least in (Size.ANSWER, Size.CALL):
        world = World("a", lambda some: "a" in some, sizes=sizes, works=partial(_is_as_wide, least))
        assert [member.way.size for member in search(world.run(()), world).members] == [least]


def test_what_only_a_larger_way_led_to_is_not_found_beside_the_smaller_one() -> None:
    class Ring(Foreseen):
        """A program that does without the ring, where it is told that there is none, and else needs all of it."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            answered = any(member.way.size is Size.ANSWER for member in members)
            self.needed = lambda some: "a" in some and (answered or set("bcd") <= some)
            return super().one(members)

        def foresee(self, members: Sequence[Member]) -> TrialOutcome | None:
            ways = {"a": (Way("a", "answer", Size.ANSWER), Way("a"))}
            return TrialOutcome(False, tuple(Suspect(one, "EPERM", one, ways.get(one, (Way(one),))) for one in "abcd"))

    world = Ring("abcd", lambda some: False)
    result = search(attrs.evolve(world.run(()), late=True), world)
    assert result.conclusion is Conclusion.FOUND
    assert [(member.way.leaf, member.way.size) for member in result.members] == [("a", Size.ANSWER)]


def _is_as_wide(least: Size, leaf: str, way: Way) -> bool:
    return way.size >= least


def test_what_only_leads_elsewhere_is_kept_where_nothing_permits_the_call() -> None:
    class Leading(World):
        """The call that is answered otherwise is made no more, and another one is then denied."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            small = any(member.way.size < Size.CALL for member in members)
            self.asks = "c" if small else "b" if members else "a"
            return super().one(members)

    sizes = {"a": (Size.PLACE, Size.CALL)}
    through = Leading("a", lambda some: {"a", "b"} <= some, sizes=sizes, certain=False)
    assert found(through) == (Conclusion.FOUND, {"a", "b"})
    around = Leading("a", lambda some: {"a", "c"} <= some, sizes={"a": (Size.PLACE,)}, certain=False)
    assert found(around) == (Conclusion.FOUND, {"a", "c"})


def test_what_a_limit_forbids_is_never_run() -> None:
    world = World("ab", lambda some: "b" in some, barred="b")
    assert found(world) == (Conclusion.NOT_FOUND, set())
    assert not any("b" in way for ways in world.runs for way in ways)


def test_a_command_that_fails_for_another_reason_is_not_blamed_on_what_it_was_denied() -> None:
    assert found(World("abc", lambda some: False)) == (Conclusion.NOT_FOUND, set())


def test_a_command_that_fails_differently_each_time_is_flaky() -> None:
    answers = iter(range(100))

    class Flaky(World):
        def one(self, members: Sequence[Member]) -> TrialOutcome:
            return TrialOutcome(False, (), next(answers))

    assert found(Flaky("", lambda some: False)) == (Conclusion.FLAKY, set())


def test_a_success_by_chance_blames_nobody() -> None:
    class Lucky(World):
        def one(self, members: Sequence[Member]) -> TrialOutcome:
            return TrialOutcome(True) if self.runs else super().one(members)

    assert found(Lucky("a", lambda some: False)) == (Conclusion.FLAKY, set())


def test_it_ends_where_it_is_stopped() -> None:
    class Endless(World):
        def one(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().one(members)
            return outcome if not members else TrialOutcome(False, stopped=True)

    assert found(Endless("a", lambda some: False)) == (Conclusion.STOPPED, set())


def test_a_set_that_was_enough_is_kept_where_it_is_stopped_before_it_is_the_smallest() -> None:
    class Ending(World):
        def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
            return TrialOutcome(False, stopped=True)

    world = Ending("abc", lambda some: {"a", "b"} <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.STOPPED, set("ab"))


def test_what_a_run_did_without_is_left_out_where_it_is_stopped_before_it_is_the_smallest() -> None:
    class Ending(World):
        unseen = 0

        def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
            self.unseen += 1
            return TrialOutcome(False, stopped=True) if self.unseen > 1 else super().run_unseen(members)

    world = Ending("abcd", lambda some: "a" in some and len(some) > 1)
    first = TrialOutcome(False, suspects=world.run(()).suspects, late=True)
    result = search(first, world)
    left = {member.way.leaf for member in result.members}
    assert (result.conclusion, left) == (Conclusion.STOPPED, set("acd"))


def test_a_set_that_was_enough_is_kept_where_somebody_interrupts_between_two_runs() -> None:
    class Interrupted(World):
        def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
            raise KeyboardInterrupt

    world = Interrupted("abc", lambda some: {"a", "b"} <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.STOPPED, set("ab"))


def test_one_that_needs_more_runs_than_there_are_is_not_found() -> None:
    assert found(World("abcdefgh", lambda some: set("abcdefgh") <= some), most=2) == (Conclusion.NOT_FOUND, set())


class Slow(World):
    """A command that seems to wait, and is done in a while."""

    def run(self, members: Sequence[Member], *, patiently: bool = False) -> TrialOutcome:
        outcome = super().run(members)
        if outcome.succeeded and not patiently:
            return TrialOutcome(False, waits=True, signature=("idle", tuple(members)))
        return outcome


def test_one_that_only_takes_its_time_needs_nothing() -> None:
    assert found(Slow("a", lambda some: True)) == (Conclusion.NOT_NEEDED, set())


def test_one_that_takes_its_time_with_a_loosening_needs_that() -> None:
    assert found(Slow("ab", lambda some: "a" in some)) == (Conclusion.FOUND, {"a"})


class Foreseen(World):
    """A command of which one run shows all that it asks for."""

    def foresee(self, members: Sequence[Member]) -> TrialOutcome | None:
        suspects = tuple(Suspect(leaf, "EPERM", leaf, (Way(leaf),), certain=True) for leaf in self.asks)
        return TrialOutcome(False, suspects)


def test_what_one_run_shows_is_permitted_at_once() -> None:
    world = Foreseen("abcdefghij", lambda some: set("abcdefgh") <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.FOUND, set("abcdefgh"))
    assert result.runs <= 2 * len("abcdefghij") + 2 * ROUNDS


class Behind(World):
    """A command that asks for one thing after the other, of which one run shows all up to the first that it cannot watch:
    capital letters."""

    def foresee(self, members: Sequence[Member]) -> TrialOutcome | None:
        permitted = frozenset(member.way.leaf for member in members)
        end = next((at + 1 for at, leaf in enumerate(self.asks) if leaf.isupper() and leaf not in permitted), None)
        suspects = tuple(Suspect(leaf, "EPERM", leaf, (Way(leaf),), certain=True) for leaf in self.asks[:end])
        self.runs.append(("foreseen",))
        return TrialOutcome(end is None, suspects)


def test_what_comes_behind_that_which_cannot_be_watched_is_shown_by_another_run() -> None:
    world = Behind("abcNdef", lambda some: set("abcNdef") <= some)
    result = search(attrs.evolve(world.run(()), late=True), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.FOUND, set("abcNdef"))
    sizes = [len(run) for run in world.runs]
    assert (world.runs[1:3], sizes[3]) == ([("foreseen",), ("foreseen",)], 7), "no run with less than all of it between"


def test_a_part_of_what_was_not_enough_is_not_tried() -> None:
    world = World("abcdefghij", lambda some: set("abcdefghij") <= some)
    result = search(world.run(()), world)
    assert result.conclusion is Conclusion.FOUND
    ended = [frozenset(run) for run in world.runs if len(run) < 10]
    assert not any(one < other for at, one in enumerate(ended) for other in ended[:at])


def test_what_a_process_speaks_of_without_a_loosening_is_not_left_out_once_more() -> None:
    silent, told = (Foreseen("abcde", lambda some: set("abcde") <= some, evident=one) for one in (False, True))
    runs = [search(attrs.evolve(world.run(()), late=True), world).runs for world in (silent, told)]
    assert runs[0] - runs[1] == len("abcde") + ROUNDS - 2


def test_one_that_is_at_work_until_its_time_is_over_is_not_tried_with_one_loosening_after_the_other() -> None:
    world = Foreseen("abcdefghij", lambda some: set("abc") <= some)
    result = search(attrs.evolve(world.run(()), late=True), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.FOUND, set("abc"))
    assert len(world.runs[1]) == len("abcdefghij")


@pytest.mark.parametrize(("evident", "runs"), [(True, 24), (False, 30)])
def test_of_much_that_was_permitted_at_once_each_is_left_out_where_it_is_seen_what_is_said_then(
    evident: bool, runs: int
) -> None:
    class Probing(Foreseen):
        """A command that is first suspected of needing what it does without."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().one(members)
            return attrs.evolve(outcome, suspects=outcome.suspects[::-1])

    world = Probing("ABCDEFGabcdefgh", lambda some: set("abcdefgh") <= some, evident=evident)
    result = search(world.run(()), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.FOUND, set("abcdefgh"))
    assert result.runs == runs


def test_one_denial_among_many_that_do_not_matter_is_found_within_the_runs() -> None:
    asks = [f"probe{number}" for number in range(40)]
    asks[3] = "needed"
    assert found(World(asks, lambda some: "needed" in some, stops=False)) == (Conclusion.FOUND, {"needed"})


@given(
    asks=st.integers(1, 8),
    needed=st.sets(st.integers(0, 7), min_size=1, max_size=3),
    stops=st.booleans(),
    certain=st.booleans(),
    evident=st.booleans(),
)
def test_what_is_found_is_enough_and_nothing_of_it_can_be_left_out(
    asks: int, needed: set[int], stops: bool, certain: bool, evident: bool
) -> None:
    leaves = [f"leaf{number}" for number in range(asks)]
    wanted = {f"leaf{number % asks}" for number in needed}
    world = World(leaves, lambda some: wanted <= some, stops=stops, certain=certain, evident=evident)
    assert found(world, most=100) == (Conclusion.FOUND, wanted)


class Otherwise(World):
    """A command that makes a directory, and that the first way past its denial mounts: it then exists. ``helps`` says
    whether the second way does."""

    def __init__(self, *, helps: bool) -> None:
        super().__init__("", lambda some: False)
        self.helps = helps
        self.suspect = Suspect("mkdir", "EROFS", "root", (Way("memory"), Way("volume", size=Size.WIDER)), certain=True)
        self.other = Suspect("open", "ENOENT", "proc", (Way("proc", size=Size.WIDER),))

    def one(self, members: Sequence[Member]) -> TrialOutcome:
        ways = {member.way.leaf for member in members}
        if "volume" in ways and self.helps:
            return TrialOutcome(True)
        answer = "EACCES" if "volume" in ways else "EEXIST" if "memory" in ways else "EROFS"
        suspects = (self.suspect, self.other) if answer == "EROFS" else (self.other,)
        return TrialOutcome(False, suspects, answer, answers={"mkdir": answer})


def test_a_call_that_fails_otherwise_for_no_mechanisms_reason_is_no_further() -> None:
    world = Otherwise(helps=True)
    found = search(world.run(()), world)
    assert [member.way.leaf for member in found.members] == ["volume"]


def test_what_came_of_each_loosening_is_kept() -> None:
    world = Otherwise(helps=False)
    found = search(world.run(()), world)
    assert (found.conclusion, found.furthest) == (Conclusion.NOT_FOUND, None)
    answers = {(member.way.leaf, outcome.answers["mkdir"]) for member, outcome in found.trials(world.suspect)}
    assert answers == {("memory", "EEXIST"), ("volume", "EACCES")}


def test_how_far_it_got_is_kept_where_nothing_is_found() -> None:
    world = World(["a", "b"], lambda permitted: permitted >= {"a", "b"}, barred=["b"])
    found = search(world.run(()), world)
    assert found.conclusion is Conclusion.NOT_FOUND
    assert found.furthest is not None
    assert [suspect.leaf for suspect in found.furthest.suspects] == ["b"]


def test_a_program_that_is_denied_one_call_after_the_other_is_found_what_it_needs_at_once() -> None:
    asks = "abcdefghijklmnop"
    world = World(asks, lambda some: frozenset("abdefghjkmnop") <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (
        Conclusion.FOUND,
        set("abdefghjkmnop"),
    )
    assert result.runs <= MOST


class Late(World):
    """A command that is still at work when its time is over where ``late`` has the number of the run, counted from 0."""

    def __init__(self, asks: str, needed: Callable[[frozenset[str]], bool], late: Callable[[int], bool]) -> None:
        super().__init__(asks, needed, evident=False)
        self.late = late

    def one(self, members: Sequence[Member]) -> TrialOutcome:
        outcome = super().one(members)
        if not self.late(len(self.runs) - 1):
            return outcome
        return attrs.evolve(outcome, succeeded=False, signature=(137, "time"), late=True)

    def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
        outcome = self.one(members)
        return TrialOutcome(outcome.succeeded, late=outcome.late, signature=outcome.signature, is_seen=False)


@pytest.mark.parametrize("late", [lambda number: True, lambda number: number > 0, lambda number: number == 1])
def test_what_was_ended_for_its_time_has_not_failed_by_itself(late: Callable[[int], bool]) -> None:
    world = Late("ab", lambda permitted: False, late)
    result = search(world.run(()), world)
    assert (result.conclusion, result.is_open) == (Conclusion.NOT_FOUND, True)


def test_what_ends_by_itself_each_time_leaves_nothing_open() -> None:
    world = Late("ab", lambda permitted: False, lambda number: number == 0)
    result = search(world.run(()), world)
    assert (result.conclusion, result.is_open) == (Conclusion.NOT_FOUND, False)


def test_a_set_that_was_enough_is_kept_where_a_run_that_confirms_it_is_too_slow() -> None:
    """It is none that fails differently each time."""
    world = Late("abc", lambda permitted: "b" in permitted, lambda number: number == 2)
    result = search(world.run(()), world)
    assert (result.conclusion, [member.way.leaf for member in result.members]) == (Conclusion.STOPPED, ["b"])


def test_what_was_missed_by_a_run_that_was_only_slow_is_left_out_after_all() -> None:
    class Loaded(World):
        """A machine that has so much else to do that the first run without ``b`` is ended for its time."""

        slow = True

        def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().run_unseen(members)
            if self.slow and {member.way.leaf for member in members} == {"a"}:
                self.slow = False
                return TrialOutcome(False, late=True)
            return outcome

    world = Loaded("ab", lambda some: "a" in some, stops=False)
    result = search(attrs.evolve(world.run(()), late=True), world)
    assert not world.slow
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.FOUND, {"a"})


def test_what_a_command_was_denied_one_after_the_other_is_left_out_by_no_run_of_its_own() -> None:
    world = World("abcde", lambda some: set("abcde") <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, len(result.members)) == (Conclusion.FOUND, len("abcde"))
    assert [len(run) for run in world.runs] == [0, 1, 2, 3, 4, 5, 5, 4], (
        "it has just succeeded; once more, and once without"
    )


def test_what_shows_nothing_new_is_not_kept() -> None:
    class Probing(World):
        """A command that is denied ``a`` and says so each time, and does without it."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().one(members)
            return attrs.evolve(outcome, suspects=tuple(sorted(outcome.suspects, key=lambda one: one.leaf)))

    world = Probing("abcde", lambda some: set("bcde") <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, {member.way.leaf for member in result.members}) == (Conclusion.FOUND, set("bcde"))
    assert sum("a:2" in run for run in world.runs) == 1


def test_several_that_show_nothing_new_by_themselves_are_tried_at_once() -> None:
    world = World("abcd", lambda some: set("ac") <= some, stops=False)
    result = search(world.run(()), world)
    assert {member.way.leaf for member in result.members} == set("ac")


_FILTERED = Suspect("chroot", "EPERM", "filter", (Way("filter"),), certain=True)
_CAPABILITY = Suspect("chroot", "EPERM", "capability", (Way("capability", size=Size.CAPABILITY),))
_HIDDEN = Suspect("open", "ENOENT", "hidden", (Way("place", 0o755),), certain=True)
_CLOSED = Suspect("open", "EACCES", "place", (Way("place", 0o777),))
_OTHER = Suspect("mount", "EPERM", "capability", (Way("capability", size=Size.CAPABILITY),))


@pytest.mark.parametrize(
    ("suspects", "permitted", "asks"),
    [
        ((_FILTERED, _CAPABILITY), (_CAPABILITY,), False),  # the filter denies it whatever the capabilities are
        ((_FILTERED, _CAPABILITY), (_FILTERED,), True),
        ((_FILTERED, _CAPABILITY), (_FILTERED, _CAPABILITY), True),
        ((_CAPABILITY,), (_CAPABILITY,), True),
        ((_FILTERED, _OTHER), (_CAPABILITY,), True),  # it is for another call, too
        ((_OTHER,), (_FILTERED,), False),
        ((_HIDDEN,), (_CLOSED,), True),  # another place at once, without the first one
    ],
)
def test_a_run_has_asked_for_what_nothing_else_denies_for_certain(
    suspects: tuple[Suspect, ...], permitted: tuple[Suspect, ...], asks: bool
) -> None:
    outcome = TrialOutcome(False, suspects)
    assert outcome.asks([Member(one, one.ways[0]) for one in permitted]) is asks


def test_what_denies_the_same_call_next_is_permitted_beside_what_denied_it() -> None:
    class Filtered(World):
        """A command that is denied one call by the filter, and then for a capability."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().one(members)
            permitted = {member.way.leaf for member in members}
            suspects = tuple(one for one in (_FILTERED, _CAPABILITY) if one.leaf not in permitted)
            return attrs.evolve(outcome, suspects=tuple(attrs.evolve(one, evident=True) for one in suspects))

    world = Filtered(["filter", "capability"], lambda some: {"filter", "capability"} <= some)
    result = search(world.run(()), world)
    assert (result.conclusion, result.runs, len(result.members)) == (Conclusion.FOUND, 4, 2)


def test_what_made_no_difference_at_first_is_tried_again_further_on() -> None:
    class Later(World):
        """A command that asks for ``a`` in passing, and later for good."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().one(members)
            asked = "ac" if any(member.way.leaf == "b" for member in members) else "ab"
            suspects = tuple(Suspect(one, "EPERM", one, (Way(one),), certain=True) for one in asked)
            permitted = {member.way.leaf for member in members}
            return attrs.evolve(outcome, suspects=tuple(one for one in suspects if one.leaf not in permitted))

    assert found(Later("abc", lambda some: {"a", "b"} <= some)) == (Conclusion.FOUND, {"a", "b"})


def test_what_comes_behind_two_that_only_matter_together_is_permitted_next() -> None:
    class Both(World):
        """A command that asks for ``c`` once it has both others."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            permitted = {member.way.leaf for member in members}
            self.asks = "abc" if {"a", "b"} <= permitted else "ab"
            return super().one(members)

    assert found(Both("ab", lambda some: set("abc") <= some, stops=False)) == (Conclusion.FOUND, set("abc"))


def test_no_larger_way_past_a_call_is_tried_where_a_smaller_one_has_shown_nothing_new() -> None:
    world = World("ba", lambda some: "b" in some, stops=False, sizes={"a": (Size.CALL, Size.WIDER)})
    assert found(world) == (Conclusion.FOUND, {"b"})
    assert ("a:2",) in world.runs
    assert not any("a:4" in run for run in world.runs)


def test_a_call_that_failed_and_that_nobody_claims_was_asked_for() -> None:
    outcome = TrialOutcome(False, (), answers={"chroot": "EPERM"})
    assert outcome.asks([Member(_CAPABILITY, _CAPABILITY.ways[0])])


@pytest.mark.parametrize(("harmless", "runs"), [(True, 3), (False, 5)])
def test_what_was_said_is_about_no_call_that_fails_where_the_command_succeeds(harmless: bool, runs: int) -> None:
    class Ambiguous(World):
        """A command that says no more than an errno, which another call was answered, too."""

        def one(self, members: Sequence[Member]) -> TrialOutcome:
            outcome = super().one(members)
            suspects = tuple(attrs.evolve(one, rivals=frozenset({"probe"})) for one in outcome.suspects)
            failed: dict[Hashable, str] = {"probe": "EPERM"} if harmless or not outcome.succeeded else {}
            return attrs.evolve(outcome, suspects=suspects, answers=failed)

    world = Ambiguous("a", lambda some: "a" in some)
    assert search(world.run(()), world).runs == runs
