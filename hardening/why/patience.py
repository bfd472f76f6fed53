"""For how long a run is waited for."""

from __future__ import annotations

from math import inf

import attrs

from hardening.base.values import frozen

#: How much longer than a run that has succeeded one may take that has more or less: so many times, and seconds.
SLOWER, LATER = 3, 3


@frozen
class Patience:
    """The seconds that a run may take: ``most`` of them, None for ever, and less once one has succeeded. One that nobody
    looks at takes less than one that somebody does (``seen``); no fewer than ``least`` are ever asked of it."""

    most: float | None
    seen: float = inf
    unseen: float = inf
    least: float = 0.0

    def seconds(self, *, unseen: bool = False) -> float | None:
        """What a run has."""
        return None if self.most is None else min(self.most, self.unseen if unseen else self.seen)

    def after(self, seconds: float, *, unseen: bool = False) -> Patience:
        """This, when a run has succeeded in so many."""
        slower = SLOWER * seconds + LATER
        quick = max(self.least, slower if unseen else seconds + LATER)
        return attrs.evolve(self, seen=min(self.seen, slower), unseen=min(self.unseen, quick))
