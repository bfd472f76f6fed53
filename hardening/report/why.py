"""Why a command fails, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from hardening.base import files
from hardening.base.text import printable
from hardening.report.data import loosening
from hardening.report.table import Table
from hardening.report.tree import TreeNode
from hardening.trace.tracer import IDLE, INTERRUPT, TIME
from hardening.why.causes import FailedCall
from hardening.why.inquiry import Attribution, Explanation
from hardening.why.world import Conclusion

#: How many of what was denied and did not matter are shown.
MOST_PROBES = 20
_WITH_COPIES = "with copies that are unlike their volumes"
CONFIRMED, NOT_CONFIRMED = "confirmed", "not confirmed"
#: Of what was permitted in a run that succeeded, and of which no run has shown that it is needed.
ENOUGH = "enough, perhaps not needed"
#: The head of a layer of which no run has shown that all of it is needed, or that it is enough.
_ENOUGH = (
    "Enough, and perhaps not all of it needed: the search ended before it was seen whether less is enough.",
    "Review it, and let `hardening why` with a longer --limit, or `hardening learn`, leave out the rest.",
)
_LATE = (
    "With it the command was still at work when its time was over, and may fail later: review it, and let",
    "`hardening why` with a longer --timeout, or with --until CHECK, see what comes of it.",
)


class AnswerKind(StrEnum):
    """The answer in a word, as JSON has it."""

    NOTHING_NEEDED = "nothing needed"
    FOUND = "found"
    NOT_BY_THIS_STACK = "not by this stack"
    LIMITED = "limited"
    NOT_TRIED = "not tried"
    DENIED = "denied"
    FLAKY = "flaky"
    ENOUGH = "enough"
    STILL_AT_WORK = "still at work"
    UNKNOWN = "unknown"


def outcome(found: Explanation) -> AnswerKind:
    """The answer in a word."""
    if found.is_out_of_time:
        return AnswerKind.STILL_AT_WORK
    match found.conclusion:
        case Conclusion.NOT_NEEDED:
            return AnswerKind.UNKNOWN if found.unlike else AnswerKind.NOTHING_NEEDED
        case Conclusion.FOUND:
            return AnswerKind.FOUND
        case Conclusion.FLAKY:
            return AnswerKind.FLAKY
        case Conclusion.NOT_FOUND:
            if not found.attributions:
                return AnswerKind.NOT_BY_THIS_STACK
            item = _foremost(found)
            return AnswerKind.NOT_TRIED if item.untried else AnswerKind.DENIED if item.tried else AnswerKind.LIMITED
        case Conclusion.STOPPED:
            return AnswerKind.ENOUGH if found.loosening is not None else AnswerKind.UNKNOWN


def sentence(found: Explanation) -> str:
    """The answer in a sentence."""
    status = f"exit code {found.ran.trace.status}"
    match outcome(found):
        case AnswerKind.NOTHING_NEEDED if found.loosening is not None:
            return "nothing else needs to be loosened than was typed, which takes an exception: the command succeeds"
        case AnswerKind.NOTHING_NEEDED:
            return "nothing needs to be loosened: the command succeeds"
        case AnswerKind.FOUND:
            return f"{_permitted(found)} {_goes(found)}"
        case AnswerKind.STILL_AT_WORK:
            unknown = "whether it then does what it is for, a longer --timeout or --until CHECK shows"
            return f"{_permitted(found)} {_goes(found)}: {unknown}"
        case AnswerKind.FLAKY:
            return "the command fails differently each time under the same stack: nothing is blamed for that"
        case AnswerKind.DENIED:
            item = _foremost(found)
            tried = "; ".join(item.tried)
            return f"{_refused(item)}, and no loosening that was tried makes the command succeed: {tried}"
        case AnswerKind.LIMITED:
            item = _foremost(found)
            barred = [one for one in found.attributions if one.denial is item.denial and one.barrier]
            named = [f"{one.cause.leaf}: {one.barrier}" if len(barred) > 1 else one.barrier for one in barred]
            return f"this may be why, and cannot be tried: {_refused(item)}; {'; '.join(named)}"
        case AnswerKind.NOT_TRIED:
            item = _foremost(found)
            return f"this may be why, and was not tried: {_refused(item)}; {item.untried}"
        case AnswerKind.NOT_BY_THIS_STACK if found.elsewhere:
            denial, why = found.elsewhere[0]
            return f"not denied by this stack: {denial.operation} ({denial.call.outcome}): {why}"
        case AnswerKind.NOT_BY_THIS_STACK if found.ran.trace.command == 0:
            return f"the command never ran ({status})"
        case AnswerKind.NOT_BY_THIS_STACK if found.ran.trace.ended:  # by the search: that code is none of the program's
            return "not denied by this stack: no loosening makes it succeed"
        case AnswerKind.NOT_BY_THIS_STACK if found.unlike:
            return f"not denied by this stack: no loosening makes it succeed {_WITH_COPIES}"
        case AnswerKind.NOT_BY_THIS_STACK:
            return f"not denied by this stack: no loosening makes it succeed ({status} is the program's own)"
        case AnswerKind.ENOUGH:
            less = "the search ended before it was seen whether less is enough"
            return f"with the loosening below the command {_goes(found)}; {less}"
    if found.conclusion is Conclusion.NOT_NEEDED:
        return f"no answer: the command succeeds {_WITH_COPIES}: with --in-place it is seen whether it does with these"
    ended = {
        TIME: "the command was still at work when its time was over",
        IDLE: "the command is at work, and waits for others: with --until CHECK a search sees whether it does its work",
        INTERRUPT: "it was interrupted",
    }
    some = "; what it was denied so far is not confirmed" if found.attributions else ""
    why = ended.get(found.ran.trace.ended, "")
    is_late = found.ran.trace.ended == TIME
    if found.runs > 1 and is_late:  # and so were all others, or there would be an answer
        why = f"{why}, and so it was with what was tried"
    elif found.runs > 1:  # and then it is no matter how the first one ended
        why = "with what was tried the command was still at work when its time was over" if found.is_open else ""
    why = f"{why}: a longer --timeout shows more" if why and (is_late or found.is_open) else why
    return f"no answer: {why or 'the search ended before there was one'}{some}"


def warned(found: Explanation) -> list[str]:
    """What plugins say of the loosening, a line each."""
    return [f"{item.severity.word}: {item.leaf}: {printable(item.message)}" for item in found.warnings]


def layer(found: Explanation, base: str) -> str:
    """The loosening as a profile over ``base``, an array of names; at its head what no run has shown, and what plugins say
    of it. Without a loosening there is none."""
    if found.loosening is None:
        raise ValueError("nothing is loosened")
    said: Sequence[str] = ()
    if found.is_out_of_time:
        said = _LATE
    elif found.is_only_enough:
        said = _ENOUGH
    head = [f"# {line}\n" for line in (*said, *warned(found))]
    return f"{''.join(head)}extends = {base}\n\n{found.loosening.toml}"


def _permitted(found: Explanation) -> str:
    """What is refused, up to what comes of it where that is permitted."""
    if len(found.attributions) == 1:
        return f"{_refused(found.attributions[0])}; with the loosening below the command"
    return f"{len(found.attributions)} things are refused that it needs; with all of them permitted the command"


def _goes(found: Explanation) -> str:
    """What is known of the command with a loosening."""
    if found.running is None:
        return f"succeeds {_WITH_COPIES}" if found.unlike else "succeeds"
    if found.is_out_of_time:
        return f"was still at work after {found.running.seconds:.0f} seconds, which it was not without"
    return "runs on, and waits for others"


def _foremost(found: Explanation) -> Attribution:
    """The denial that the answer is about, where nothing was found: the one that is left to be tried, or the likeliest."""
    return next((item for item in found.attributions if item.untried), found.attributions[0])


def _refused(item: Attribution) -> str:
    if item.denial.call.is_end:
        return f"{_process(item.denial)} fails ({item.denial.operation}) for {_decides(item)}: {item.cause.what}"
    return f"{item.denial.operation} is refused ({item.denial.call.outcome or 'without an error'}) by {_decides(item)}"


def _decides(item: Attribution) -> str:
    return f"{item.cause.leaf}, decided by {item.entry.origin}" if item.entry is not None else item.cause.leaf


def _permits(item: Attribution) -> str:
    """The leaves that the loosening is of, which may be others than the one that denies; empty without a loosening."""
    if item.way is None or item.loosening is None:
        return ""
    return ", ".join(way.leaf for way in (item.way, *item.way.also))


def _process(denial: FailedCall) -> str:
    caller = denial.call.caller
    return caller.executable or caller.command


def denials(found: Explanation) -> Table:
    """What was denied and mattered, or may have."""
    rows = tuple(
        (
            item.denial.operation,
            _process(item.denial),
            item.denial.call.outcome,
            item.cause.leaf,
            _in_short(item.entry.origin) if item.entry is not None else "",
            _permits(item),
            _trial(found, item),
        )
        for item in found.attributions
    )
    return Table(("denied", "process", "answer", "setting", "decided by", "permitted by", "trial"), rows)


def _in_short(origin: str) -> str:
    """A line of a profile with its file's name alone, for which a row has room; `explain` and JSON have the whole path."""
    path, _, line = origin.rpartition(":")
    return f"{files.base(path)}:{line}" if path.startswith("/") and line.isdecimal() else origin


def _trial(found: Explanation, item: Attribution) -> str:
    if found.is_only_enough and not found.is_out_of_time:
        return ENOUGH
    return CONFIRMED if item.confirmed else NOT_CONFIRMED


def elsewhere(found: Explanation) -> Table:
    """What something else has refused."""
    rows = tuple((item.operation, _process(item), item.call.outcome, why) for item, why in found.elsewhere)
    return Table(("asked for", "process", "answer", "by"), rows, "not denied by this stack")


def probes(found: Explanation) -> Table:
    """What was denied and did not matter."""
    rows = tuple(
        (item.operation, _process(item), item.call.outcome, item.causes[0].leaf, str(item.count))
        for item in found.probes
    )
    more = len(rows) - MOST_PROBES
    if more > 0:
        rows = (*rows[:MOST_PROBES], (f"and {more} more (--json has all)", "", "", "", ""))
    return Table(("denied", "process", "answer", "setting", "times"), rows, "denied, and done without")


def tree(found: Explanation) -> TreeNode:
    """The answer as a tree: what was denied, and below it what decides it and what permits it."""
    below = [
        TreeNode(
            f"{item.denial.operation}  {item.denial.call.outcome}",
            "fail" if item.confirmed else "warn",
            tuple(map(TreeNode, _below(found, item))),
        )
        for item in found.attributions
    ]
    for title, rows in (
        ("not denied by this stack", [f"{item.operation}  {item.call.outcome}: {why}" for item, why in found.elsewhere]),
        ("denied, and done without", [
            f"{item.operation}  {item.call.outcome} ({item.causes[0].leaf}){_times(item.count)}"
            for item in found.probes[:MOST_PROBES]
        ]),
    ):  # fmt: skip
        if rows:
            below.append(TreeNode(title, "", tuple(map(TreeNode, rows))))
    return TreeNode(sentence(found), "ok" if found.is_good else "fail", tuple(below))


def _below(found: Explanation, item: Attribution) -> Sequence[str]:
    lines = [f"asked by {_process(item.denial)}{_times(item.denial.count)}", item.cause.what, f"by {_decides(item)}"]
    lines.append(f"permitted by {_permits(item)}" if _permits(item) else "")
    lines.append(f"{CONFIRMED} by trial" if item.confirmed else _trial(found, item))
    return [line for line in (*lines, item.barrier, item.untried, *item.tried) if line]


def _times(count: int) -> str:
    return f", {count} times" if count > 1 else ""


def data(found: Explanation) -> dict[str, Any]:
    """The answer as JSON."""
    rows = [_attribution(item, needed=item.confirmed) for item in found.attributions]
    return {
        "answer": printable(sentence(found)),
        "outcome": outcome(found),
        "exit_code": found.ran.trace.status,
        "hint": found.hint or None,
        "runs": found.runs,
        "seconds": round(found.seconds, 1),
        "denials": rows,
        "smallest": [row["loosening"] for row in rows if row["needed"]],
        "loosening": loosening(found.loosening),
        "warnings": warned(found),
        "elsewhere": [{**_denial(item), "cause": printable(why)} for item, why in found.elsewhere],
        "probes": [
            {**_denial(item), "mechanism": _mechanism(item.causes[0].leaf), "leaf": item.causes[0].leaf}
            for item in found.probes
        ],
    }


def _denial(item: FailedCall) -> dict[str, Any]:
    return {
        "text": item.operation,
        "process": _process(item),
        "errno": item.call.outcome or None,
        "call": item.call.name,
        "count": item.count,
    }


def _attribution(item: Attribution, *, needed: bool) -> dict[str, Any]:
    way = {"leaf": item.way.leaf, "size": item.way.size.name.lower()} if item.way is not None else {}
    return {
        **_denial(item.denial),
        "mechanism": _mechanism(item.cause.leaf),
        "leaf": item.cause.leaf,
        "origin": item.entry.origin if item.entry is not None else None,
        "what": printable(item.cause.what),
        "confirmed": item.confirmed,
        "needed": needed,
        "loosening": {**(loosening(item.loosening) or {}), **way} if item.loosening is not None else None,
        "barrier": printable(item.barrier) or None,
        "untried": printable(item.untried) or None,
        "tried": list(map(printable, item.tried)),
    }


def _mechanism(leaf: str) -> str:
    return leaf.partition(".")[0]
