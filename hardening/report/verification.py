"""A receipt held against its composition, line by line."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.assemble.enforcement import refusal
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.mechanism.mechanism import State, Unsupported, Verification
from hardening.report.table import Table


@frozen
class ReceiptLine:
    """One comparison. ``result`` is not enforced where a best-effort mechanism asked for what this host is known to lack."""

    leaf: str
    expected: str
    kernel: str
    result: State


def judge(
    composition: Composition, verifications: Iterable[Verification], unsupported: Iterable[Unsupported]
) -> list[ReceiptLine]:
    """The result of each comparison. What this host lacks and nobody tolerates does not hold: such a stack is not launched
    here."""
    found = list(unsupported)
    excused = [item for item in found if refusal(composition, item) is None]
    leaves = {item.leaf for item in excused}
    whole = {item.leaf.partition(".")[0] for item in excused if item.whole}
    lines = [
        ReceiptLine(
            item.leaf, item.expected, item.kernel, State.NOT_ENFORCED if not item.holds and lacks else item.state
        )
        for item in verifications
        for lacks in [item.leaf in leaves or item.leaf.partition(".")[0] in whole]
    ]
    return lines + [
        ReceiptLine(item.leaf, "enforced", item.reason, State.DIFFERS) for item in found if item not in excused
    ]


def holds(lines: Iterable[ReceiptLine]) -> bool:
    """Whether the kernel was seen to enforce everything, but for what this host is known to lack and was tolerated."""
    return all(line.result in (State.HOLDS, State.NOT_ENFORCED) for line in lines)


def differing(lines: Iterable[ReceiptLine]) -> list[str]:
    """The leaves of which the kernel says something else, each once: of a process that has run on, that is drift."""
    return [*dict.fromkeys(line.leaf for line in lines if line.result is State.DIFFERS)]


def unseen(lines: Iterable[ReceiptLine]) -> list[str]:
    """The leaves that could not be looked at, each once."""
    return [*dict.fromkeys(line.leaf for line in lines if line.result is State.NOT_SEEN)]


def tables(lines: Iterable[ReceiptLine]) -> list[Table]:
    """The comparisons, a table a result; what somebody has to look at is the first."""
    alike: dict[State, list[tuple[str, ...]]] = {
        state: [] for state in (State.DIFFERS, State.NOT_SEEN, State.NOT_ENFORCED, State.HOLDS)
    }
    for line in lines:
        alike[line.result].append((line.leaf, _shown(line.expected), _shown(line.kernel)))
    return [
        Table(("leaf", "composed", "kernel says"), tuple(rows), str(state)) for state, rows in alike.items() if rows
    ]


def _shown(text: str) -> str:
    return "-" if text in ("", "None") else text
