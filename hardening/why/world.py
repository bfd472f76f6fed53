"""What a search for the smallest set of loosenings is about: suspects, where they are tried, and what comes of that."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, TypeAlias

from hardening.base.values import frozen
from hardening.mechanism.denial import Size, Way


@frozen(eq=False)
class Suspect:
    """One reason why one call may have failed. ``call`` and ``answer`` tell that failure from others in every run, ``leaf``
    what decides it; ``ways`` permit it, the smallest first. ``certain``: what was answered follows from the setting.
    ``evident``: the process that it failed for ended badly, and complained of it, or of one of its ``rivals``: calls that
    failed alike."""

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
