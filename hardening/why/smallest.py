"""The smallest set of loosenings with which a command succeeds, found by trying.

It knows neither mechanisms nor processes: what is tried, and what comes of it, is behind a `World`, so that it can be held
against ones that are made up. The ways past a denial are tried one at a time, the most suspected denial first and its
smallest way first. What gets the command further is kept, and once it succeeds each member that it can do without is dropped
(delta debugging: Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).

A command that fails by chance, or by what its last run has left, may succeed with anything, and may speak of what it was
denied all the same. What is found is therefore tried again, with it and without, in an order that neither follows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Protocol, TypeAlias, TypeVar

import attrs

from hardening.base.values import frozen
from hardening.mechanism.denial import Size, Way

T = TypeVar("T")
#: Most runs of a search, beside the first one and those that confirm: one that needs more tells nobody anything.
MOST = 40
#: How many times a set is confirmed, by a run with it and one without. They follow a run with it that has succeeded, so that
#: what fails every other time is found out; two of them find out what fails every third or fourth time, too. What fails half
#: of the time passes one time in 4 each.
ROUNDS = 2
#: Runs with one more loosening each that have shown nothing new, before all that is left is tried at once.
SINGLY = 6


@frozen(eq=False)
class Suspect:
    """One reason why one call may have failed. ``call`` and ``answer`` tell that failure from others in every run, ``leaf``
    what decides it; ``ways`` permit it, the smallest first. ``certain``: what was answered follows from the setting.
    ``evident``: the process that it failed for ended badly, and spoke of it, or of one of its ``rivals``: calls that failed
    alike."""

    call: Hashable
    answer: str
    leaf: str
    ways: tuple[Way, ...]
    certain: bool = False
    evident: bool = False
    rivals: frozenset[Hashable] = frozenset()


@frozen(eq=False)
class TrialOutcome:
    """What came of one run. ``suspects`` are the reasons for what failed, the most suspected first; two runs that fail alike
    have the same ``signature``. ``stopped``: it was ended from outside, and no further run is wanted. ``waits``: it was
    ended since it seemed to wait, before its time was over; ``late``: it was at work when that was over. ``answers`` is what
    each call was answered that failed, and ``is_seen``: somebody has looked at the run, so that all of these are there."""

    succeeded: bool
    suspects: tuple[Suspect, ...] = ()
    signature: Hashable = None
    stopped: bool = False
    waits: bool = False
    late: bool = False
    answers: Mapping[Hashable, str] = MappingProxyType({})
    is_seen: bool = True

    def asks(self, members: Sequence[Member]) -> bool:
        """Whether the run has asked for what these permit, so that it may come to something else with them: who permits what
        was never asked for changes nothing, nor does who permits what another leaf denies for certain."""
        permitted = {member.suspect.leaf for member in members}
        denying = {item.call for item in self.suspects if item.certain and item.leaf not in permitted}
        calls = {*self.answers, *(item.call for item in self.suspects)} - denying
        leaves = {item.leaf for item in self.suspects if item.call in calls}
        # Of these another value may do it at once, without the one that came before it.
        offered = {way.leaf for item in self.suspects if item.certain or item.call in calls for way in item.ways}
        return any(
            member.suspect.call in calls
            or member.way.leaf in offered
            or (member.way.size > Size.CALL and member.suspect.leaf in leaves)
            for member in members
        )

    @property
    def is_cut_short(self) -> bool:
        """Whether it was ended for its time, so that nobody knows how it would have ended by itself."""
        return not self.succeeded and (self.late or self.waits)


@frozen(eq=False)
class Member:
    """One loosening, and the denial that it is for."""

    suspect: Suspect
    way: Way


class World(Protocol):
    """Where loosenings are tried."""

    @property
    def in_place(self) -> bool:
        """Whether what one run leaves is there in the next one."""
        ...

    def composes(self, members: Sequence[Member]) -> bool:
        """Whether these are permitted at once: no limit forbids one."""
        ...

    def run(self, members: Sequence[Member], *, patiently: bool = False) -> TrialOutcome:
        """What comes of a run with these, which compose; ``patiently`` where it is given all of its time."""
        ...

    def foresee(self, members: Sequence[Member]) -> TrialOutcome | None:
        """What comes of a run with these and with all else permitted that can be watched, as far as the limits go: its
        suspects are the reasons for what would have failed, too. None where nothing can be permitted so, and where it would
        be the run that it was the last time."""
        ...

    def run_unseen(self, members: Sequence[Member]) -> TrialOutcome:
        """Whether it succeeds with these, which compose: a run that nobody looks at is faster, and needs no suspects."""
        ...


class Conclusion(StrEnum):
    """What a search has come to."""

    NOT_NEEDED = "nothing needs to be loosened"
    FOUND = "found"
    NOT_FOUND = "no loosening does it"
    FLAKY = "it fails differently each time"
    STOPPED = "stopped"


#: The loosenings of a run, and what came of it; None where they do not compose.
Tried: TypeAlias = tuple[Sequence[Member], TrialOutcome | None]


@frozen(eq=False)
class Result:
    """The smallest set that was found, how many runs it took beside the first, all that was ``tried``, and the run that got
    ``furthest``, None where none got further than the first. Where the search was `Conclusion.STOPPED` the set is one that
    was enough, and nobody knows whether less is; otherwise it is empty unless it is `Conclusion.FOUND`. ``is_open``: a run
    that decided this was ended for its time, which is no failure of the command's own. ``is_ended``: by Ctrl-C, or since no
    time was left."""

    conclusion: Conclusion
    members: tuple[Member, ...] = ()
    runs: int = 0
    tried: Sequence[Tried] = ()
    furthest: TrialOutcome | None = None
    is_open: bool = False
    is_ended: bool = False

    def trials(self, suspect: Suspect) -> Sequence[tuple[Member, TrialOutcome]]:
        """The loosenings for one suspect that were tried, each after what was needed before it, with what came of that."""
        return [
            (members[-1], outcome)
            for members, outcome in self.tried
            if outcome is not None
            and members
            and (members[-1].suspect.call, members[-1].suspect.leaf) == (suspect.call, suspect.leaf)
        ]


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
    process has spoken of. Raises `_Stopped`."""
    doubted = [member for member in found if not runs.is_evident(member)]
    # Each that was tried was needed, after what a process has spoken of, and nothing of the run before is left: that is
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
        outcome = self.of(members, self.world.run_unseen)
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
        """Whether a process has spoken of the denial in a run that failed."""
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
    was not asked for. Of one that was at work until its time was over nobody knows what it asks for next."""
    if outcome is None or outcome.succeeded:
        return False
    ways = _ways(known)
    more = [member for member in members if (member.way.leaf, member.way.value) not in ways]
    return not more or (outcome.is_seen and not outcome.late and not outcome.asks(more))


def _ways(members: Sequence[Member]) -> list[tuple[str, object]]:
    return [(member.way.leaf, member.way.value) for member in members]


def _denial(suspect: Suspect) -> tuple[Hashable, str]:
    return suspect.call, suspect.leaf


def _grow(first: TrialOutcome, runs: _Runs) -> list[Member]:
    """Loosenings with which it succeeds, in the order in which they were needed; none where nothing helps."""
    if first.late:  # as each run with one loosening more would be
        enough = _leap((), runs.foreseen(()) or first, runs)
        return _step(first, runs, enough) or enough if len(enough) >= SINGLY else enough
    return _step(first, runs)


def _step(first: TrialOutcome, runs: _Runs, enough: Sequence[Member] = ()) -> list[Member]:
    """Loosenings with which it succeeds, one after the other; only of those that are ``enough``, where it is known that some
    are, and none where that leads nowhere soon."""
    kept: list[Member] = []
    before, misses = first, 0
    stale: list[Member] = []  # what has made no difference before, and may do so now: it goes last
    while True:
        further: tuple[Member, TrialOutcome] | None = None
        futile: list[Member] = []  # what was denied no more, and made no difference: it may matter with others
        for member in sorted(_members(before, enough), key=lambda one: any(_is_past(one, other) for other in stale)):
            if misses >= SINGLY:
                return _leap(kept, before, runs) if not enough else []
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
        if further is None:
            at_once = [*kept, *{_denial(member.suspect): member for member in futile}.values()]
            after = runs.of(at_once) if futile else None
            if after is None:
                return []
            if after.succeeded:
                return at_once
            known = {_denial(suspect) for suspect in before.suspects}
            if all(_denial(suspect) in known for suspect in after.suspects):
                return []
            kept, before = at_once, after
            continue
        kept.append(further[0])
        before = further[1]
        stale += futile
        runs.furthest = runs.furthest if enough else before


def _members(outcome: TrialOutcome, enough: Sequence[Member]) -> Iterator[Member]:
    """What may be permitted after a run, the most suspected first: of what is known to be ``enough``, where something is."""
    if not enough:
        return (Member(suspect, way) for suspect in outcome.suspects for way in suspect.ways)
    known = {_denial(member.suspect): member for member in enough}
    return (known[_denial(suspect)] for suspect in outcome.suspects if _denial(suspect) in known)


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


def minimal(found: Sequence[T], succeeds: Callable[[Sequence[T]], bool]) -> list[T]:
    """A subset with which it succeeds, and with none of it left out; the whole set succeeds, and the empty one does not.
    What came last is the likeliest to be of no use, and goes first: one, and twice as many each time that nobody missed
    them, half as many where somebody did."""
    members = list(found)
    end, size = len(members), 1
    while end:
        begin = max(end - size, 0)
        rest = [*members[:begin], *members[end:]]
        if rest and succeeds(rest):
            members, end, size = rest, begin, 2 * size
        elif end - begin > 1:
            size = (end - begin) // 2
        else:
            end, size = begin, 1
    return members


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
