"""Why a command fails under a stack: its runs, what they show, and what comes of it.

Nothing is blamed that a run has not confirmed: with a loosening the command succeeds, and without it it fails again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import attrs

from hardening.base.values import frozen
from hardening.compose.fold import Resolved
from hardening.mechanism.denial import MISSING, Cause, Way
from hardening.mechanism.findings import Finding
from hardening.trace.tracer import IDLE, INTERRUPT, TIME
from hardening.why import causes, copies, elsewhere, loosen, smallest
from hardening.why.attempt import Attempt
from hardening.why.causes import FailedCall
from hardening.why.loosening import Loosening, merged
from hardening.why.runner import CommandRunner, Ran
from hardening.why.stack_world import StackWorld
from hardening.why.world import Conclusion, Member, Result, Suspect, TrialOutcome

#: Most of what something else than the stack has refused that is told.
MOST_ELSEWHERE = 3
#: The longest value of a loosening that is told in a sentence.
MOST_SHOWN = 60
#: Why nothing is offered, where nobody says more.
NO_WAY = "no setting permits it"
#: Why a loosening is offered and was not tried.
REACHES_HOST = "with it the command reaches what is the host's: only with --in-place is it tried"


@frozen(eq=False)
class Attribution:
    """A denial and the leaf that has done it. ``confirmed`` by runs with its ``loosening``, in the ``way`` that it is, and
    without; ``barrier`` says why nothing permits it, where that is so; ``untried`` why its loosening, which may be enough,
    was not tried; ``tried`` what came of each loosening, where none was enough."""

    denial: FailedCall
    cause: Cause
    entry: Resolved | None
    confirmed: bool = False
    way: Way | None = None
    loosening: Loosening | None = None
    barrier: str = ""
    tried: tuple[str, ...] = ()
    untried: str = ""


@frozen(eq=False)
class Explanation:
    """What an inquiry has come to. ``attributions`` are the denials that mattered, as far as they can be told, or that are
    only suspected; ``loosening`` the smallest set of all that are confirmed, or, where the search ended before, one that was
    enough. ``elsewhere`` is what something else than the stack has refused, with what that is; ``probes`` what was denied
    and did not matter. ``running`` is the last run with the loosening where that did not end by itself: the command waits
    for others, or was still at work. ``is_open``: there is no answer since a run was ended for its time. ``hint``: what the
    command line lacks; ``warnings``: what plugins say of the ``loosening``. ``unlike``: in what the copies of volumes were
    unlike these, so that nobody knows of the volumes themselves."""

    ran: Ran
    conclusion: Conclusion
    attributions: tuple[Attribution, ...]
    loosening: Loosening | None
    elsewhere: tuple[tuple[FailedCall, str], ...]
    probes: tuple[FailedCall, ...]
    runs: int
    seconds: float
    running: Ran | None = None
    is_open: bool = False
    hint: str = ""
    unlike: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()

    def beside(self, typed: Sequence[Loosening]) -> Explanation:
        """This, where the command line had loosened something itself: a run needs that, too, as far as nothing takes its
        place."""
        own = [self.loosening] if self.loosening is not None else []
        others = [item for item in typed if not own or item.excepted.isdisjoint(own[0].excepted)]
        if not others or not (own or self.conclusion is Conclusion.NOT_NEEDED):
            return self
        return attrs.evolve(self, loosening=merged([*others, *own]))

    @property
    def is_good(self) -> bool:
        """Whether the command succeeded, or what it needs was found."""
        found = self.conclusion is Conclusion.FOUND or self.is_only_enough
        found = found or (self.conclusion is Conclusion.NOT_NEEDED and not self.unlike)
        return found and not self.is_out_of_time

    @property
    def is_only_enough(self) -> bool:
        """Whether the command has succeeded with the loosening, and nobody knows whether it needs all of it."""
        return self.conclusion is Conclusion.STOPPED and self.loosening is not None

    @property
    def is_out_of_time(self) -> bool:
        """Whether all that is known of the loosening is that the command was still at work with it when its time was over:
        it may be slow, and fail later."""
        return self.running is not None and self.running.trace.ended == TIME


def inquire(
    attempt: Attempt,
    runner: CommandRunner,
    *,
    once: bool = False,
    limit: float | None = None,
    tell: Callable[[int], None] | None = None,
    on_first: Callable[[Ran], None] | None = None,
    shown: bool = True,
) -> Explanation:
    """Run a command, and find out why it fails and the least that it needs. With ``once`` it is run once, and nothing is
    confirmed. After ``limit`` seconds, and by Ctrl-C, it ends with what was seen so far. ``on_first`` is given the first run
    before anything is made of it, and ``tell`` is told which run of the search begins; ``shown``: the caller sees what the
    first run prints. Raises what a launch raises before
    its command runs."""
    begin = time.monotonic()
    ran = runner.run(attempt.composition, shown=shown)
    if on_first is not None:
        on_first(ran)
    # What traces others itself fails while it is looked at, whatever the stack permits.
    traces = any(call.name == "ptrace" for call in ran.trace.failures)
    if traces and not ran.succeeded and not once:
        ran = attrs.evolve(ran, succeeded=runner.run_unseen(attempt.composition).succeeded)
    denials = causes.denials(ran)
    first = causes.outcome(ran, denials, succeeded=ran.succeeded)
    ended = ran.trace.ended
    judged = runner.until or traces  # by more than how its run ends
    is_late = ended == TIME and not judged
    end = None if limit is None else begin + limit
    stack = StackWorld(attempt, runner, traces=traces, is_late=is_late, ends=not ended, end=end, tell=tell)
    if ran.succeeded:
        result = Result(Conclusion.NOT_NEEDED)
    elif once or ended == INTERRUPT or (ended == IDLE and not judged) or (is_late and not first.suspects):
        result = Result(Conclusion.STOPPED)
    else:
        result = smallest.search(first, stack)
        if is_late and result.conclusion is not Conclusion.FOUND:  # it may need its time, and nothing else
            result = attrs.evolve(result, conclusion=Conclusion.STOPPED)
    return _answer(_Seen(attempt, ran, denials, first, stack), result, time.monotonic() - begin)


@frozen(eq=False)
class _Seen:
    attempt: Attempt
    ran: Ran
    denials: Sequence[FailedCall]
    first: TrialOutcome
    stack: StackWorld


def _answer(seen: _Seen, result: Result, seconds: float) -> Explanation:
    loosening = None
    running = seen.stack.running if result.members else None
    if result.members:
        confirmed = result.conclusion is Conclusion.FOUND and (running is None or running.trace.ended == IDLE)
        attributions = tuple(_blamed(seen, result.members, confirmed=confirmed))
        found = [item.loosening for item in attributions if item.loosening is not None]
        loosening = found[0] if len(found) == 1 else merged(found)
    elif result.conclusion in (Conclusion.NOT_NEEDED, Conclusion.FLAKY):
        attributions = ()
    else:
        attributions = tuple(_suspected(seen, result) or _suspected(_furthest(seen, result), result))
        is_barred = any(item.barrier or item.untried for item in attributions)
        if result.conclusion is Conclusion.NOT_FOUND and result.is_open and not is_barred:
            return _answer(seen, attrs.evolve(result, conclusion=Conclusion.STOPPED), seconds)
    mattered = {item.denial.key for item in attributions}
    leaves = {item.cause.leaf for item in attributions}
    others = [item for item in seen.denials if item.key not in mattered]
    rest = () if result.conclusion is Conclusion.NOT_NEEDED else tuple(_elsewhere(seen, others))
    if not rest and not attributions:
        furthest = _furthest(seen, result)
        rest = tuple(_elsewhere(furthest, furthest.denials))
    shown = {item.key for item, _ in rest}
    return Explanation(
        ran=seen.ran,
        conclusion=result.conclusion,
        attributions=attributions,
        loosening=loosening,
        elsewhere=rest,
        probes=tuple(
            item
            for item in others
            if item.causes
            and item.call.name
            and item.key not in shown
            and leaves.isdisjoint(cause.leaf for cause in item.causes)
        ),
        runs=result.runs + 1,
        seconds=seconds,
        running=running,
        is_open=result.is_open and result.conclusion is Conclusion.STOPPED,
        hint=_hint(seen, result.conclusion),
        unlike=_unlike(seen),
    )


def _blamed(seen: _Seen, members: Sequence[Member], *, confirmed: bool) -> Iterator[Attribution]:
    """The denials of the first run, or of the later one that came to them, that a set of loosenings is for."""
    known = (*seen.denials, *seen.stack.failed)
    for member in members:
        found = causes.blamed(known, member.suspect)
        if found is not None:
            loosening = seen.stack.loosening(member)
            proved = confirmed and (
                seen.stack.in_place
                or not (_unlike(seen) or elsewhere.outlasts_copies(found[0].call, seen.ran.document))
            )
            yield Attribution(*found, _entry(seen, found[1]), confirmed=proved, way=member.way, loosening=loosening)


def _furthest(seen: _Seen, result: Result) -> _Seen:
    """As it is seen in the run that got furthest."""
    for outcome, ran, found in seen.stack.runs:
        if outcome is result.furthest:
            return attrs.evolve(seen, ran=ran, denials=found, first=outcome)
    return seen


def _suspected(seen: _Seen, result: Result) -> Sequence[Attribution]:
    """What may have mattered and was not confirmed: where all could be tried, what was complained of last, by name before by
    its errno, as far as something forbids to permit it or to try that, or no loosening of it was enough."""
    if result.conclusion is not Conclusion.NOT_FOUND:
        return [*_not_enough(seen, result, None)]
    evident = [item for item in seen.denials if item.is_evident]
    # Who has read an empty file in the place of a hidden one need not know of anything that it could speak of, and no call
    # fails where a program looks at what it may before it asks for it.
    silent = [
        item
        for item in seen.denials
        if item.failed and item.causes and item.is_silent and (item.is_end or "read" in item.call.access)
    ]
    for items in filter(None, (evident, silent)):
        last = max(items, key=lambda item: (bool(item.call.signal), item.complaint, item.is_named, item.call.order))
        found = [*_not_enough(seen, result, last)]
        if found:
            return found
    return ()


def _not_enough(seen: _Seen, result: Result, last: FailedCall | None) -> Iterator[Attribution]:
    """Who denied the ``last`` that was complained of, as far as something forbids to permit or to try it, or no loosening of
    it was enough; without one whoever is suspected. Of a mere word at an end it must be seen that a loosening changes it."""
    for suspect in seen.first.suspects:
        found = causes.blamed(seen.denials, suspect)
        if found is None or (last is not None and found[0] is not last):
            continue
        way, loosening = _offered(seen, suspect)
        untried = REACHES_HOST if way is not None and seen.stack.would_reach_host(Member(suspect, way)) else ""
        barrier = "; ".join(filter(None, (seen.stack.barriers.get(suspect.leaf, ""), found[1].advice)))
        barrier = "" if loosening is not None else barrier or NO_WAY
        if seen.stack.is_out_of_reach(suspect) and (found[1].regardless or _by_others(found[0], seen.ran)):
            continue
        is_shown = last is not None and (suspect.certain or last.is_evident or last.is_end)
        tried = _tried(seen, found[0], suspect, result) if is_shown else ()
        if last is None or tried or ((barrier or untried) and not last.is_end):
            denial = Attribution(*found, _entry(seen, found[1]), barrier=barrier, tried=tried, untried=untried)
            yield denial if tried else attrs.evolve(denial, way=way, loosening=loosening)


def _tried(seen: _Seen, denial: FailedCall, suspect: Suspect, result: Result) -> tuple[str, ...]:
    """What came of each loosening for a suspect: how its call was answered then, or, where that went well, what else the
    command failed for. Nothing where neither is seen: then it may have been of no interest."""
    known = {item.key for item in seen.denials if item.is_evident}
    lines: list[str] = []
    for member, outcome in result.trials(suspect):
        answer = outcome.answers.get(suspect.call, "")
        if answer == suspect.answer and not (suspect.certain or denial.is_end):
            continue
        run = next((run for run in seen.stack.runs if run[0] is outcome), None)
        if run is None:  # it was refused before its command ran
            continue
        _, ran, found = run
        if denial.is_end:
            if any(item.key == denial.key and not item.says_the_same(denial) for item in found):
                lines.append(f"with {member.way.leaf} it says something else, and fails all the same")
            continue
        other = [item for item in found if item.call.name and item.is_evident and item.key not in known]
        same = [item for item in found if (item.key, item.call.outcome) == (suspect.call, answer)]
        failed = max(same if answer else other, key=lambda item: item.call.order, default=None)
        if failed is None:
            return ()
        loosening = seen.stack.loosening(member)
        shown = f" = {loosening.shown}" if loosening is not None and 0 < len(loosening.shown) <= MOST_SHOWN else ""
        becomes = f"it is {answer}" if answer else f"it goes well, and then {failed.operation} is {failed.call.outcome}"
        lines.append(f"with {member.way.leaf}{shown} {becomes}{_because(seen, ran, failed)}")
    if denial.is_end and not (lines or suspect.certain):
        return ()
    return tuple(dict.fromkeys((*lines, *_at_last(seen, result))))


def _at_last(seen: _Seen, result: Result) -> Iterator[str]:
    """What ended the run that got furthest, with several loosenings."""
    furthest = _furthest(seen, result)
    members = next((members for members, outcome in result.tried if outcome is result.furthest), ())
    known = {item.key for item in seen.denials}
    failed = [item for item in furthest.denials if item.call.name and item.is_evident and item.key not in known]
    if len(members) > 1 and failed:
        last = max(failed, key=lambda item: item.call.order)
        because = _because(seen, furthest.ran, last)
        yield f"with {len(members)} settings loosened {last.operation} is {last.call.outcome}{because}"


def _because(seen: _Seen, ran: Ran, failed: FailedCall) -> str:
    """Why a call failed in a later run, in parentheses, and what forbids to permit it; empty where neither is known."""
    why = failed.causes[0].what if failed.causes else _by_others(failed, ran)
    barriers = filter(None, (seen.stack.barriers.get(cause.leaf, "") for cause in failed.causes))
    found = "; ".join(filter(None, (why, next(barriers, ""))))
    return f" ({found})" if found else ""


def _by_others(item: FailedCall, ran: Ran) -> str:
    """What but the stack explains a failure; empty where nothing is seen that does."""
    is_certain = any(cause.certain for cause in item.causes)
    return elsewhere.reason(item.call, ran.document, ran.context, is_certain=is_certain)


def _offered(seen: _Seen, suspect: Suspect) -> tuple[Way | None, Loosening | None]:
    """What would permit a denial, as far as a composition tells; nothing where it cannot be permitted."""
    for way in suspect.ways:
        loosening = seen.stack.loosening(Member(suspect, way))
        if loosening is not None:
            return way, loosening
    return None, None


def _hint(seen: _Seen, conclusion: Conclusion) -> str:
    document, succeeded = seen.ran.document, conclusion is Conclusion.NOT_NEEDED
    ways = (elsewhere.folder(item.call, document) for item in seen.denials if item.failed and not succeeded)
    found = next(filter(None, ways), "")
    if found or seen.stack.in_place:
        return found
    # Whoever asks has seen it fail, most likely: with what else than the stack?
    return copies.difference(
        document, _unlike(seen), succeeded=succeeded or conclusion is Conclusion.FOUND, always=succeeded
    )


def _unlike(seen: _Seen) -> tuple[str, ...]:
    """In what the copies of any run that was looked at were unlike their volumes."""
    return tuple(dict.fromkeys(text for ran in (seen.ran, *(run[1] for run in seen.stack.runs)) for text in ran.unlike))


def _entry(seen: _Seen, cause: Cause) -> Resolved | None:
    return next((entry for _, entry in loosen.named(seen.attempt.composition, cause.leaf)), None)


def _elsewhere(seen: _Seen, others: Sequence[FailedCall]) -> Iterator[tuple[FailedCall, str]]:
    """What something else than the stack has refused, of what a process failed for. Programs look for many a file that is
    not there: of these it is what they speak of."""
    left = MOST_ELSEWHERE
    for item in sorted(others, key=lambda item: (-item.complaint, not item.is_named, -item.call.order)):
        silent = item.call.error in MISSING and item.complaint < 2
        if not (item.failed and left) or silent:
            continue
        why = _by_others(item, seen.ran)
        why = why or next((cause.what for cause in item.causes if cause.regardless), "")
        why = why or (elsewhere.of_itself(item.call) if item.complaint and not item.causes else "")
        if why:
            left -= 1
            yield item, why
