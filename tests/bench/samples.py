"""The arithmetic of measuring: medians, fits, and runs that take turns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import attrs


@attrs.frozen
class Summary:
    """Median and quartiles of ``count`` samples, in the unit of the samples."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary:
        """The summary of at least one sample."""
        if len(samples) == 1:
            return cls(samples[0], samples[0], samples[0], 1)
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, low, high, len(samples))


@attrs.frozen
class Fit:
    """``seconds = factor * n ** exponent``, by least squares of the logarithms."""

    exponent: float
    factor: float

    @classmethod
    def of(cls, points: Mapping[int, float]) -> Fit:
        """The fit of at least two points with different n; all numbers above 0."""
        xs, ys = [math.log(n) for n in points], [math.log(value) for value in points.values()]
        slope, intercept = statistics.linear_regression(xs, ys)
        return cls(slope, math.exp(intercept))

    def at(self, n: float) -> float:
        """The fitted value."""
        return float(self.factor * n**self.exponent)


def in_turns(measures: Mapping[str, Callable[[], float]], rounds: int, *, warm: int = 0) -> dict[str, list[float]]:
    """Measure everything once a round, each round beginning with another one: what changes on the machine meanwhile hits
    all alike. The first ``warm`` rounds do not count."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    names = list(measures)
    for number in range(warm + rounds):
        start = number % len(names) if names else 0
        for name in names[start:] + names[:start]:
            value = measures[name]()
            if number >= warm:
                found[name].append(value)
    return found
