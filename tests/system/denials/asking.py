"""What `hardening why` says of a row, held against what is known of it."""

from __future__ import annotations

import json
import time
from typing import Any

import attrs

from tests.system.denials.rows import Row
from tests.system.denials.rows_run import Place

#: Outcomes that say that no stack is the reason.
INNOCENT = ("nothing needed", "not by this stack", "unknown")


@attrs.frozen
class Answer:
    """What was said of one row, in how many further runs and seconds."""

    row: Row
    said: dict[str, Any]
    seconds: float

    @property
    def leaves(self) -> list[str]:
        """The leaves that are to be loosened."""
        return [str(item["leaf"]) for item in self.said["smallest"]]

    @property
    def blamed(self) -> list[str]:
        """The leaves that were named as the reason of what mattered."""
        return [str(item["leaf"]) for item in self.said["denials"] if item["needed"] or item["confirmed"]]

    @property
    def barred(self) -> list[str]:
        """The leaves that were named as the reason, and that no loosening is enough for, or was tried."""
        kept = ("barrier", "tried", "untried")
        return [str(item["leaf"]) for item in self.said["denials"] if any(item[why] for why in kept)]

    @property
    def is_right(self) -> bool:
        """Whether the mechanism is the one that is known, or none where it is none."""
        if not self.row.leaves:
            return not self.leaves and not self.blamed
        return any(leaf.startswith(self.row.leaves) for leaf in (*self.leaves, *self.blamed, *self.barred))

    @property
    def size(self) -> str:
        """The loosening beside the known fix."""
        if not self.row.leaves:
            return "none" if not self.leaves else "larger"
        looser = [
            item for item in self.said["smallest"] if str(item["size"]).lower() not in ("answer", "place", "0", "1")
        ]
        difference = len(looser) - self.row.size
        return "equal" if difference == 0 else "smaller" if difference < 0 else "larger"


def ask(here: Place, *words: str) -> Answer:
    """Ask why a row's command fails."""
    begin = time.monotonic()
    done = here.run(here.line("why", "--json", *words))
    try:
        said = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        raise AssertionError(f"{done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}") from None
    return Answer(here.row, said, time.monotonic() - begin)
