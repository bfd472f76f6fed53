"""``python -m tests.system.learnt.table [--user] [WORD...]``: what `hardening learn` makes of each command, as a table; with
words, of the packages of that name and the commands in which one is."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from tests.support.users import ordinary
from tests.system.learnt.commands import CASES, Case
from tests.system.learnt.learning import Learnt, learnt

_COLUMNS = ("package", "command", "replay", "calls", "loosened", "writable", "s")


def main(words: Sequence[str]) -> int:
    """Print the table, and what all of it comes to. Returns 1 where a replay did not succeed."""
    user = ordinary() if "--user" in words else None
    wanted = [word for word in words if word != "--user"]
    found: list[Learnt] = []
    print("| " + " | ".join(_COLUMNS) + " |\n|" + " --- |" * len(_COLUMNS))
    cases = [case for case in CASES if user is None or not case.root]
    for case in (case for case in cases if not wanted or any(_is_meant(case, word) for word in wanted)):
        one = learnt(case, user)
        found.append(one)
        print("| " + " | ".join(_cells(one)) + " |", flush=True)
    passed = [one for one in found if one.replays]
    calls = [len(one.calls) for one in passed] or [0]
    spent = statistics.median(one.seconds for one in found) if found else 0
    print(f"\n{len(passed)} of {len(found)} replays succeed; {statistics.mean(calls):.1f} system calls allowed on average, "
          f"{min(calls)} to {max(calls)}; {spent:.1f} s of a processor a command (median)")  # fmt: skip
    return 0 if len(passed) == len(found) else 1


def _is_meant(case: Case, word: str) -> bool:
    return word == case.package or word in case.line


def _cells(one: Learnt) -> tuple[str, ...]:
    told = "yes" if one.replays else "NO: " + one.said.strip()[-300:].replace("\n", "; ")
    line = one.case.line.replace("|", "\\|")
    return (one.case.package, f"`{line}`", told, str(len(one.calls)), ", ".join(one.loosened) or "none",
            ", ".join(one.writable) or "none", f"{one.seconds:.1f}")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
