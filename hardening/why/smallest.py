"""The smallest set of loosenings with which a command succeeds, found by trying.

It knows neither mechanisms nor processes: what is tried, and what comes of it, is behind a `World`, so that it can be held
against ones that are made up. The ways past a denial are tried one at a time, the most suspected denial first and its
smallest way first. What gets the command further is kept, and once it succeeds each member that it can do without is dropped
(delta debugging: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).

A command that fails by chance, or by what its last run has left, may succeed with anything, and may speak of what it was
denied all the same. What is found is therefore tried again, with it and without, in an order that neither follows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial

import attrs

from hardening.mechanism.denial import Size, Way
from hardening.why.minimal import minimal
from hardening.why.world import Conclusion, Member, Result, Suspect, TrialOutcome, Tried, World

#: Most runs of a search, beside the first one and those that confirm: one that needs more tells nobody anything.
MOST = 40
#: How many times a set is confirmed, by a run with it and one without. They follow a run with it that has succeeded, so that
#: what fails every other time is found out; two of them find out what fails every third or fourth time, too. What fails half
#: of the time passes one time in 4 each.
ROUNDS = 2
#: Runs with one more loosening each that have shown nothing new, before all that is left is tried at once.
SINGLY = 6


class _Stopped(Exception):
    """No further run is wanted."""


class _Exhausted(Exception):
    """No further run is left."""


def search(first: TrialOutcome, world: World, most: int = MOST) -> Result:
    """Find the smallest set of loosenings with which a command succeeds, from what its first run, without any, came to."""
    if first.succeeded:
        return Result(Conclusion.NOT_NEEDED)
    if first.stopped:
        return Result(Conclusion.STOPPED)
    runs = _Runs(first, world, most)
    found = _found(first, runs)
    return attrs.evolve(found, tried=runs.tried, furthest=runs.furthest, is_open=runs.is_open)


def _found(first: TrialOutcome, runs: _Runs) -> Result:
    try:
        found = _shrink(minimal(_grow(first, runs) or _waited_for(runs), runs.succeeds), runs)
        found = minimal(found, runs.succeeds)  # who takes another answer may go no further, and need nothing behind it
        if not found:
            again = runs.again(seen=True)
            if again.succeeded and first.waits:
                return Result(Conclusion.NOT_NEEDED, runs=runs.count)
            known = not (first.is_cut_short or again.is_cut_short)
            flaky = again.succeeded or (again.signature != first.signature and known)
            return Result(Conclusion.FLAKY if flaky else Conclusion.NOT_FOUND, runs=runs.count)
        while not _is_confirmed(found, runs):
            if runs.was_only_slow(runs.enough):  # of which more was missed than is needed
                found = minimal(runs.enough, runs.succeeds)
                continue
            if runs.last is not None and runs.last.is_cut_short:  # which may only have been slower than those before
                return Result(Conclusion.STOPPED, tuple(found), runs.count)
            return Result(Conclusion.FLAKY, runs=runs.count)
        return Result(Conclusion.FOUND, tuple(found), runs.count)
    except (_Stopped, KeyboardInterrupt):  # Ctrl-C between two runs; in one it is that one's end
        return Result(Conclusion.STOPPED, tuple(runs.enough), runs.count, is_ended=True)
    except _Exhausted:
        return Result(Conclusion.STOPPED if runs.enough else Conclusion.NOT_FOUND, tuple(runs.enough), runs.count)


def _waited_for(runs: _Runs) -> list[Member]:
    """The loosenings of the run that got furthest, where that seemed to wait, and succeeds in its own time."""
    for members, outcome in runs.tried:
        if outcome is not None and outcome is runs.furthest and outcome.waits:
            return list(members) if runs.again(members, seen=True).succeeded else []
    return []


def _is_confirmed(found: Sequence[Member], runs: _Runs) -> bool:
    """Whether it succeeds with what was found and fails without whenever it is tried, and with none of it left out that no
    process has complained of. Raises `_Stopped`."""
    doubted = [member for member in found if not runs.is_evident(member)]
    # Each that was tried was needed, after what a process has complained of, and nothing of the run before is left: that is
    # seldom luck, and most denials are of this kind.
    rounds = 1 if runs.is_straight(found) and not doubted and not runs.world.in_place else ROUNDS
    if not runs.has_just_succeeded(found) and not runs.again(found).succeeded:
        return False
    left_out = doubted or found
    for number in range(max(rounds, len(doubted))):
        if number < rounds and not runs.again(found).succeeded:
            return False
        member = left_out[number % len(left_out)]
        rest = [other for other in found if other is not member]
        if runs.again(rest if runs.world.composes(rest) else ()).succeeded:
            return False
    return True


class _Runs:
    """The runs of one search: each set is tried once."""

    def __init__(self, first: TrialOutcome, world: World, most: int) -> None:
        self._first = first
        self.world = world
        self._most = most
        self.tried: list[Tried] = []
        self.furthest: TrialOutcome | None = None
        self.last: TrialOutcome | None = None
        self.enough: Sequence[Member] = ()  # of the last run that succeeded
        self.count = 0
        self._failed = [*first.suspects]  # of all runs that failed
        self._harmless: set[Hashable] = set()  # calls that failed in a run that succeeded

    def of(
        self, members: Sequence[Member], run: Callable[[Sequence[Member]], TrialOutcome] | None = None
    ) -> TrialOutcome | None:
        """What comes of a run with these loosenings, None where they do not compose. Raises `_Stopped` and
        `_Exhausted`."""
        for known, outcome in self.tried:
            if _ways(known) == _ways(members):
                return outcome
        found = None
        if self.world.composes(members):
            if self.count >= self._most:
                raise _Exhausted
            found = self._counted(members, run or self.world.run)
        self.tried.append((tuple(members), found))
        return found

    def succeeds(self, members: Sequence[Member]) -> bool:
        """Whether the command succeeds with these. With a part of what was not enough it does not, nor with more that it
        did not ask for when it failed. Raises `_Stopped`."""
        if any(_fails_too(members, known, outcome) for known, outcome in (((), self._first), *self.tried)):
            return False
        # Where nobody has complained of what is left out, this run is looked at: what is said in it need not be confirmed.
        left_out = [member for member in self.enough if member not in members]
        is_told = len(left_out) != 1 or self.is_evident(left_out[0])
        outcome = self.of(members, self.world.run_unseen if is_told else self.world.run)
        return outcome is not None and outcome.succeeded

    def was_only_slow(self, members: Sequence[Member]) -> bool:
        """Whether these, with which it has just succeeded, were taken for too few since a run with them, or with more, was
        ended for its time. That is forgotten."""
        slow = [
            (known, outcome)
            for known, outcome in self.tried
            if outcome is not None and outcome.is_cut_short and _fails_too(members, known, outcome)
        ]
        self.tried = [one for one in self.tried if one not in slow]
        return bool(slow) and self.has_just_succeeded(members)

    @property
    def is_open(self) -> bool:
        """Whether the last run, or one with a loosening, was ended while it was at work: it might have succeeded later."""
        late = any(outcome is not None and outcome.is_cut_short and outcome.late for _, outcome in self.tried)
        return late or (self.last is not None and self.last.is_cut_short)

    def is_evident(self, member: Member) -> bool:
        """Whether a process has complained of the denial in a run that failed."""
        denial = _denial(member.suspect)
        return any(one.evident and one.rivals <= self._harmless for one in self._failed if _denial(one) == denial)

    def is_straight(self, found: Sequence[Member]) -> bool:
        """Whether all that was permitted on the way is in what was found, as far as it permits a call."""
        leaves = {member.way.leaf for member in found}
        return all(member.way.leaf in leaves or not _permits(member.way) for tried, _ in self.tried for member in tried)

    def has_just_succeeded(self, members: Sequence[Member]) -> bool:
        """Whether the last run was one with these, and has succeeded."""
        return self.last is not None and self.last.succeeded and _ways(self.enough) == _ways(members)

    def foreseen(self, members: Sequence[Member]) -> TrialOutcome | None:
        """What a run shows with these and with all else permitted; None where that shows nothing. Raises `_Stopped`."""
        if self.count >= self._most:
            raise _Exhausted
        outcome = self.world.foresee(members)
        if outcome is None:
            return None
        self.count += 1
        if outcome.stopped:
            raise _Stopped
        return outcome if outcome.suspects else None

    def again(self, members: Sequence[Member] = (), *, seen: bool = False) -> TrialOutcome:
        """What comes of another run with these, whatever came of one before, and in all of its time where it is ``seen``.
        Raises `_Stopped`."""
        return self._counted(members, partial(self.world.run, patiently=True) if seen else self.world.run_unseen)

    def _counted(self, members: Sequence[Member], run: Callable[[Sequence[Member]], TrialOutcome]) -> TrialOutcome:
        outcome = self.last = run(members)
        if outcome.stopped:
            raise _Stopped
        self.count += 1
        if outcome.succeeded:
            self.enough = members
            self._harmless.update(outcome.answers)
        else:
            self._failed += outcome.suspects
        return outcome


def _fails_too(members: Sequence[Member], known: Sequence[Member], outcome: TrialOutcome | None) -> bool:
    """Whether a run with these fails since one with what is ``known`` has: they are a part of that, or what they permit more
    was not asked for. Of one that was at work until its time was over nobody knows what it asks for next, nor of one that
    had another way past the same denial."""
    if outcome is None or outcome.succeeded:
        return False
    ways = _ways(known)
    more = [member for member in members if (member.way.leaf, member.way.value) not in ways]
    if not more:
        return True
    is_beside = {_denial(member.suspect) for member in known}.isdisjoint(_denial(member.suspect) for member in more)
    return is_beside and outcome.is_seen and not outcome.late and not outcome.asks(more)


def _ways(members: Sequence[Member]) -> list[tuple[str, object]]:
    return [(member.way.leaf, member.way.value) for member in members]


def _denial(suspect: Suspect) -> tuple[Hashable, str]:
    return suspect.call, suspect.leaf


def _grow(first: TrialOutcome, runs: _Runs) -> list[Member]:
    """Loosenings with which it succeeds, in the order in which they were needed; none where nothing helps."""
    if not first.late:
        return _step(first, runs)
    return _leap((), runs.foreseen(()) or first, runs)  # each run with one loosening more would be as late


def _step(first: TrialOutcome, runs: _Runs) -> list[Member]:
    """Loosenings with which it succeeds, one after the other; where that leads nowhere soon, all at once."""
    kept: list[Member] = []
    before, misses = first, 0
    stale: list[Member] = []  # what has made no difference before, and may do so now: it goes last
    while True:
        further: tuple[Member, TrialOutcome] | None = None
        futile: list[Member] = []  # what was denied no more, and made no difference: it may matter with others
        for member in sorted(_ways_past(before), key=lambda one: any(_is_past(one, other) for other in stale)):
            if misses >= SINGLY:
                return _leap(kept, before, runs)
            if any(map(partial(_is_past, member), futile)):
                continue
            after = runs.of([*kept, member])
            if after is None:
                continue
            if after.succeeded:
                return [*kept, member]
            is_further = _got_further(member.suspect, before, after)
            if not (is_further and _shows_more(member.suspect, before, after)):
                futile += [member] if is_further else []
                misses += 1
                continue
            # Another errno, or another user, may only lead elsewhere: what permits the call itself goes before.
            if _permits(member.way):
                further = member, after
                break
            further = further or (member, after)
        if further is not None:
            kept.append(further[0])
            before = runs.furthest = further[1]
            stale += futile
            continue
        at_once = [*kept, *{_denial(member.suspect): member for member in futile}.values()]
        after = runs.of(at_once) if futile else None
        if after is None or after.succeeded:
            return at_once if after is not None else []
        if {*map(_denial, after.suspects)} <= {*map(_denial, before.suspects)}:
            return []
        kept, before = at_once, after


def _ways_past(outcome: TrialOutcome) -> Iterable[Member]:
    """What may be permitted after a run, the most suspected first."""
    return (Member(suspect, way) for suspect in outcome.suspects for way in suspect.ways)


def _got_further(suspect: Suspect, before: TrialOutcome, after: TrialOutcome) -> bool:
    """Whether a run failed for another reason than the one before it. Of a reason that is only supposed that it is none any
    more is no sign: the call must have gone well, or have been answered otherwise."""
    if suspect.certain:
        same = any((item.call, item.leaf) == (suspect.call, suspect.leaf) for item in after.suspects)
    else:
        same = any((item.call, item.answer) == (suspect.call, suspect.answer) for item in after.suspects)
    # What nobody claims the new answer of has only failed otherwise: a directory that is made, where it is mounted now.
    failed_otherwise = suspect.call in after.answers and not any(item.call == suspect.call for item in after.suspects)
    if not same and not failed_otherwise:
        return True
    known = {item.call for item in before.suspects}
    return any(item.call not in known and (item.evident or not at) for at, item in enumerate(after.suspects))


def _is_past(member: Member, futile: Member) -> bool:
    """Whether a denial was got past, to no effect, which another way past the same call would not change, either."""
    if _permits(futile.way):
        return member.suspect.call == futile.suspect.call
    return _denial(member.suspect) == _denial(futile.suspect) and _ways([member]) == _ways([futile])


def _shows_more(suspect: Suspect, before: TrialOutcome, after: TrialOutcome) -> bool:
    """Whether a run that is denied something no more came to something else: it was denied more or less beside that, or the
    same call by another leaf, or it waits where the one before it has ended."""
    if after.waits and not before.waits:
        return True
    left = {_denial(item) for item in before.suspects} - {_denial(suspect)}
    return left != {_denial(item) for item in after.suspects} or any(call == suspect.call for call, _ in left)


def _leap(kept: Sequence[Member], before: TrialOutcome, runs: _Runs) -> list[Member]:
    """One way of each suspect that is left, all at once, and of those that this leads to."""
    chosen = [*kept]
    while more := _further(chosen, before, runs.world):
        chosen += more
        # With what that run stopped at permitted, one that permits all else too shows what comes behind it.
        while not before.succeeded and (shown := runs.foreseen(chosen)) is not None:
            before = shown
            if not (more := _further(chosen, before, runs.world)):
                break
            chosen += more
        after = runs.of(chosen)
        if after is None:
            return []
        if after.succeeded:
            return chosen
        before = runs.furthest = after
    return []


def _further(chosen: Sequence[Member], before: TrialOutcome, world: World) -> list[Member]:
    """A way of each suspect that nothing of what was chosen is for, as far as they compose together."""
    permitted = {suspect.call for suspect in before.suspects if any(map(_permits, suspect.ways))}
    known = {_denial(member.suspect) for member in chosen}
    ways: dict[Hashable, list[Member]] = {}
    for suspect in before.suspects:
        if suspect.call in permitted and not any(map(_permits, suspect.ways)):
            continue  # such as another user, beside the capability for the same call
        if suspect.ways and _denial(suspect) not in known:
            ordered = sorted(suspect.ways, key=lambda way: not _permits(way))
            ways.setdefault(_denial(suspect), [Member(suspect, way) for way in ordered])
    likeliest = [members[0] for members in ways.values()]
    if world.composes([*chosen, *likeliest]):  # most do, and to ask it of each takes longer than a run
        return likeliest
    found: list[Member] = []
    for members in ways.values():
        found += [one for one in members if world.composes([*chosen, *found, one])][:1]
    return found


def _permits(way: Way) -> bool:
    """Whether a way permits the call itself: another errno or another user may only lead elsewhere."""
    return way.size >= Size.CALL


def _shrink(found: Sequence[Member], runs: _Runs) -> list[Member]:
    """The set with each loosening replaced by the smallest one of its denial that does."""
    members = list(found)
    for at, member in enumerate(members):
        for way in member.suspect.ways:
            if way.size >= member.way.size:
                break
            instead = [*members[:at], Member(member.suspect, way), *members[at + 1 :]]
            if runs.succeeds(instead):
                members = instead
                break
    return members
