"""What came of a scenario."""

from __future__ import annotations

import attrs

from tests.stress import census, launches
from tests.stress.launches import Subject

ABANDONED = 2.0  # seconds that are given to what is about to end by itself


@attrs.define
class Tally:
    """How often something was done to a launch, how often the command ran, how often the next launch had to take something
    over, and everything that must not be."""

    scenario: str
    count: int = 0
    ran: int = 0
    swept: int = 0
    problems: list[str] = attrs.field(factory=list)

    def judge(
        self,
        subject: Subject,
        before: census.Census,
        output: str,
        what: str,
        *,
        guarded: bool = True,
        sweep: bool = True,
    ) -> census.Census:
        """Count one launch that has ended: what there is after it, which is what was there before, if all is well.

        Without ``sweep``, nothing is left to the next launch. Not ``guarded``: whatever would have cleaned up was killed as
        well, and a container of crun or runc runs on.
        """
        self.count += 1
        verdict = launches.confined(output)
        self.ran += verdict is not None
        if verdict is False:
            self.problems.append(f"{what}: ran unconfined:\n{output}")
        abandoned = subject.runtime != "native" and not guarded
        after = census.settled(before, subject.folders, ABANDONED if abandoned else census.PATIENCE)
        left = set(after.minus(before))
        if sweep and left and (left <= {"file", "cgroup"} or abandoned):
            self.swept += 1
            subject.sweep()
            after = census.settled(before, subject.folders)
        problems = census.difference(before, after)
        self.problems += [f"{what}: {line}" for line in problems]
        return after if problems else before

    def __str__(self) -> str:
        counts = f"{self.count} launches, {self.ran} ran, {self.swept} swept by the next"
        return f"{self.scenario}: {counts}, {len(self.problems)} problems"
