"""What is to be reached, and whether a result reaches it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tests.bench.samples import Fit, Summary

LAUNCH, RUN, FIRST = "hardening launch", "hardening run", "hardening run, first composition"


@attrs.frozen
class Target:
    """``value`` is what was measured, None where it was not; ``most`` is the bound. ``launcher`` is whose time it is."""

    measure: str
    value: float | None
    most: float
    unit: str = ""
    launcher: str = ""

    @property
    def reached(self) -> bool | None:
        """None where nothing was measured."""
        return None if self.value is None else self.value <= self.most

    @property
    def verdict(self) -> str:
        """For tables."""
        return {True: "reached", False: "missed", None: "not measured"}[self.reached]


def targets(result: Mapping[str, Any]) -> Iterator[Target]:
    """The targets of a result (`run.measured`), those of launches for root."""
    launches = medians(result["launches"].get("root") or {})
    yield Target("`hardening launch BUNDLE` / `crun run`", _ratio(launches, LAUNCH, "crun"), 2.0, launcher=LAUNCH)
    yield Target("`hardening run`, unchanged stack / `runc run`", _ratio(launches, RUN, "runc"), 0.9, launcher=RUN)
    yield Target("`hardening run`, unchanged stack / `podman run`", _ratio(launches, RUN, "podman"), 0.35, launcher=RUN)
    yield Target(
        "`hardening run`, first composition / `podman run`", _ratio(launches, FIRST, "podman"), 1.5, launcher=FIRST
    )
    memory = medians(result["memory"].get("root") or {})
    yield Target("PSS of all that waits for the command", memory.get(RUN), 9.0, "MB")
    for name, points in result["curves"].items():
        fit = Fit.of({int(n): Summary.of(samples).median for n, samples in points.items()})
        yield Target(f"composing: {name}, exponent of the fit", fit.exponent, 1.05)
    for profile, programs in result["instructions"].items():
        ours, theirs = (max(programs[name].values(), default=0) for name in ("hardening", "crun"))
        ratio = ours / theirs if ours and theirs else None
        yield Target(f"`{profile}`: worst allowed system call, BPF instructions / crun's filter", ratio, 0.25)


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The medians by name."""
    return {name: Summary.of(values).median for name, values in samples.items() if values}


def _ratio(values: Mapping[str, float], name: str, other: str) -> float | None:
    return values[name] / values[other] if name in values and other in values else None
