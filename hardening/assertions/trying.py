"""Whether assertions hold: by the composition alone, or by a program that the kernel answers."""

from __future__ import annotations

import errno
import shlex
import signal
from collections.abc import Sequence
from enum import StrEnum

import attrs

from hardening.assertions.operation import AssertedOperation, OperationDenial
from hardening.assertions.testfile import Assertion, CommandAssertion, Expected
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.denial import DENIALS, MISSING
from hardening.mechanism.evidence import PERMITTED, REFUSED
from hardening.mechanism.mechanism import Context
from hardening.profile.source import Origin
from hardening.trace.tracer import INTERRUPT
from hardening.why import loosen, question, together
from hardening.why.attempt import Attempt
from hardening.why.inquiry import Explanation, inquire
from hardening.why.runner import CommandRunner, listening
from hardening.why.witnessed import PYTHON
from hardening.why.world import Conclusion

#: Seconds that a program may take where nobody says otherwise; who denies it is to be found in so many times as long.
PATIENCE, _SEARCH = 30.0, 4
_NOT_SHOWN = "no run without it has shown that"
_REFUSALS = (*DENIALS, errno.EROFS, errno.ENOSYS)
_BY_SIGNAL = 128


class AssertionState(StrEnum):
    """What came of an assertion."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@frozen(eq=False)
class AssertionResult:
    """One assertion, what it says in words, what came of it, and ``why`` where that is not what was asserted."""

    text: str
    state: AssertionState
    why: str
    origin: Origin


def statically(
    assertion: Assertion, operation: AssertedOperation, composition: Composition, context: Context
) -> AssertionResult:
    """What a composition makes of an assertion; nothing is run."""
    return _judged(assertion, [*operation.denials(composition, context)], "")


@frozen(eq=False)
class LiveAnswer:
    """What a program came to: who has denied it, nobody where it was let; ``unconfirmed`` says why no run without it has
    shown that, and ``behind`` are the mechanisms that would have denied it next then. ``unseen`` says why the kernel shows
    nothing of it, and ``failed`` why there is no answer at all."""

    denials: tuple[OperationDenial, ...] = ()
    unconfirmed: str = ""
    behind: frozenset[str] = frozenset()
    unseen: str = ""
    failed: str = ""


def live(assertion: Assertion, asked: LiveAnswer) -> AssertionResult:
    """What the kernel makes of an assertion, as `tried` has ``asked``. What no program can try, is missing on the host as
    well, or lies behind what cannot be loosened is skipped where the composition says what is asserted."""
    result = _judged(assertion, asked.denials, asked.unconfirmed)
    if asked.failed:
        return attrs.evolve(result, state=AssertionState.FAILED, why=asked.failed)
    if asked.unseen and result.state is AssertionState.PASSED:
        return attrs.evolve(result, state=AssertionState.SKIPPED, why=asked.unseen)
    if result.state is AssertionState.FAILED and assertion.by in asked.behind:
        why = f"{asked.denials[0].leaf} denies it before that: {asked.unconfirmed}"
        return attrs.evolve(result, state=AssertionState.SKIPPED, why=why)
    return result


def tried(operation: AssertedOperation, attempt: Attempt, runner: CommandRunner, context: Context) -> LiveAnswer:
    """Try an operation under the launcher, and find which mechanism has denied it, confirmed by running again with that
    loosened."""
    foreseen = tuple(operation.denials(attempt.composition, context))
    if not operation.attempt:
        return LiveAnswer(foreseen, unseen="no program can say what came of it")
    command = (*PYTHON, operation.witness.program)
    # Of volumes that nothing is written to no run needs a copy.
    runner = attrs.evolve(runner, command=command, in_place=runner.in_place or not operation.writes)
    if operation.is_state:
        return _of_state(foreseen, attempt, runner, context)
    limit = None if runner.seconds is None else _SEARCH * runner.seconds
    with listening(runner) as (heard, said):
        found = inquire(attempt, heard, limit=limit, shown=False)
        first = said().partition("\n")[0]
    if found.conclusion is Conclusion.NOT_NEEDED and first == PERMITTED:
        return LiveAnswer()
    if found.conclusion is Conclusion.STOPPED:
        if limit is None or found.seconds < limit:  # by Ctrl-C, or a signal that ends the program
            raise KeyboardInterrupt
        return LiveAnswer(failed=f"there is no answer after {found.seconds:.0f} seconds")
    if found.attributions:
        confirmed = all(item.confirmed for item in found.attributions)
        # What follows from a setting is the reason before anything else that might have been it.
        certain = [item for item in found.attributions if item.cause.certain and not confirmed]
        causes = [item.cause for item in certain or found.attributions]
        words = {denial.leaf: denial.why for denial in foreseen}  # one reason has one text, seen or foreseen
        named = ((one.leaf.partition(".")[0], one.leaf, words.get(one.leaf, one.what)) for one in causes)
        denials = tuple(OperationDenial(*one) for one in named)
        if confirmed:
            return LiveAnswer(denials)
        behind = {denial.mechanism for denial in foreseen} - {denial.mechanism for denial in denials}
        return LiveAnswer(denials, _unconfirmed(found), frozenset(behind))
    refused = _refused(found)
    # A path that nobody can be given shows no mechanism by a trial; that the kernel answers as one says it does is seen.
    silent = first.startswith(REFUSED) and not refused  # such as an empty file in the place of a masked one
    answered = tuple(item for item in foreseen if silent or {*item.errors} & refused.keys())
    if answered and operation.path is not None and not silent:  # the kernel looks at the mode of a file before Landlock
        return LiveAnswer(answered, unseen=f"{answered[0].leaf} denies it, and so may the file's rights: {_NOT_SHOWN}")
    if answered:
        return LiveAnswer(answered, _NOT_SHOWN)
    if not first.startswith(REFUSED) and found.ran.trace.status - _BY_SIGNAL not in (signal.SIGSYS, signal.SIGKILL):
        return LiveAnswer(failed=f"could not be tried: {first or f'it ended with {found.ran.trace.status}'}")
    if foreseen and not refused.keys().isdisjoint(MISSING):  # on the host it is missing as well
        return LiveAnswer(foreseen, unseen=foreseen[0].why)
    return LiveAnswer(tuple(_by_others(found, refused)))


def _of_state(
    foreseen: Sequence[OperationDenial], attempt: Attempt, runner: CommandRunner, context: Context
) -> LiveAnswer:
    """Of what a process has or not, which no call is denied for: confirmed where it has it with what the composition names
    loosened."""

    def answer(composition: Composition) -> str:
        with listening(runner) as (heard, said):
            heard.run_unseen(composition)
            return said().partition("\n")[0]

    first = answer(attempt.composition)
    if first == PERMITTED:
        return LiveAnswer()
    if not first.startswith(REFUSED):
        return LiveAnswer(failed=f"could not be tried: {first}")
    if not foreseen:
        return LiveAnswer((OperationDenial("", "", first.removeprefix(REFUSED)),))
    named = (pair for denial in foreseen for pair in loosen.named(attempt.composition, denial.leaf))
    ways = [way for pair in named if (way := question.of_capability(attempt, context, *pair)) is not None]
    after = together.composed(attempt, ways) if ways and not ways[0].barrier else None
    if isinstance(after, Composition) and answer(after) == PERMITTED:
        return LiveAnswer(tuple(foreseen))
    return LiveAnswer(tuple(foreseen), next((way.barrier for way in ways if way.barrier), _NOT_SHOWN))


def _unconfirmed(found: Explanation) -> str:
    barriers = (item.barrier or item.untried for item in found.attributions)
    return next(filter(None, barriers), _NOT_SHOWN)


def _refused(found: Explanation) -> dict[int, str]:
    """The errors that the program told last, with how the call failed."""
    said = [item for item in found.ran.trace.failures if item.message and item.message in item.output]
    return {item.error: item.outcome for item in said[-1:]}


def _by_others(found: Explanation, refused: dict[int, str]) -> Sequence[OperationDenial]:
    """What something else than the stack has refused; what failed in another way was let, and had nothing to do."""
    told = [outcome for error, outcome in refused.items() if error in _REFUSALS]
    if not told and found.ran.trace.status < _BY_SIGNAL:
        return []
    why = next((why for _, why in found.elsewhere), "")
    return [OperationDenial("", "", why or next(iter(told), f"it ended with {found.ran.trace.status}"))]


def _judged(assertion: Assertion, denials: Sequence[OperationDenial], unconfirmed: str) -> AssertionResult:
    by_stack = [denial for denial in denials if denial.mechanism]
    text = f"{assertion.expected} {assertion.asked}{f' by {assertion.by}' if assertion.by else ''}"
    why = ""
    if assertion.expected is Expected.ALLOWS:
        why = "; ".join(_said(denial) for denial in denials)
    elif not denials:
        why = "nothing denies it"
    elif not by_stack:
        why = f"not denied by the stack: {denials[0].why}"
    elif assertion.by and all(denial.mechanism != assertion.by for denial in by_stack):
        why = f"{assertion.by} does not deny it: {'; '.join(map(_said, by_stack))}"
    if why and unconfirmed:
        why += f" (not confirmed: {unconfirmed})"
    return AssertionResult(text, AssertionState.FAILED if why else AssertionState.PASSED, why, assertion.origin)


def _said(denial: OperationDenial) -> str:
    return f"{denial.leaf}: {denial.why}" if denial.leaf else denial.why


def run(assertion: CommandAssertion, composition: Composition, runner: CommandRunner) -> AssertionResult:
    """What a command comes to, and whether it prints what it is to. Raises what a launch raises before it runs."""
    with listening(attrs.evolve(runner, command=assertion.command)) as (heard, said):
        trace, text = heard.run_unseen(composition).trace, said()
    if trace.ended == INTERRUPT:
        raise KeyboardInterrupt
    why = ""
    if trace.ended:
        why = f"it was still at work after {runner.seconds:g} seconds (--timeout)"
    elif trace.status != assertion.exit:
        last = text.partition("\nhint: ")[0].strip().rpartition("\n")[2]  # a launch says the reason, and then a remedy
        why = f"it ended with {trace.status}, and not with {assertion.exit}{f': {last}' if last else ''}"
    elif assertion.prints not in text:
        why = f"it does not print {assertion.prints!r}"
    return AssertionResult(
        _command(assertion), AssertionState.FAILED if why else AssertionState.PASSED, why, assertion.origin
    )


def skipped(assertion: CommandAssertion) -> AssertionResult:
    """A command that was not run."""
    return AssertionResult(
        _command(assertion), AssertionState.SKIPPED, "a command is run with --live", assertion.origin
    )


def _command(assertion: CommandAssertion) -> str:
    return f"runs {shlex.join(assertion.command)}"
