"""What is to be reached, and whether a result reaches it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tests.bench.samples import Fit, Summary

LAUNCH, RUN, FIRST = "hardening launch", "hardening run", "hardening run, first composition"
#: Of an unchanged stack, a command and a folder that were never used before.
NEW = "hardening run, new command"
#: Runs of a root that is a directory, or a signed image, under some runtimes.
DIRECTORY, IMAGE, RUNTIMES = "directory", "signed image", ("native", "crun")
#: Who judges images.
OURS, THEIRS = "hardening, one command", "skopeo, one command each"
#: What is measured of policies with few and many scopes.
EXPLAIN, READ, COMMAND = "explain", "read", "command"
#: What is measured of the commands that ask what a command needs, and beside what: `contenders.Place.asking`.
WHY, FORESEEN, FAILING = "why", "check", "failing run"
#: What is recorded, by `learn`, in words.
RECORDED = {
    "learn processes": "a hundred short processes",
    "learn make": "`make` of forty files",
    "learn git": "`git` on a small repository",
}
#: The same of a score, of a look at many containers, and of a launch with Landlock.
SCORE, INSPECT, LANDLOCK = "score", "inspect", "landlock"
OWN, BESIDE = "hardening", "beside"


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
    yield Target("`hardening launch BUNDLE` / `crun run`", _ratio(launches, LAUNCH, "crun"), 2.2, launcher=LAUNCH)
    yield Target("`hardening run`, unchanged stack / `runc run`", _ratio(launches, RUN, "runc"), 0.75, launcher=RUN)
    yield Target("`hardening run`, unchanged stack / `podman run`", _ratio(launches, RUN, "podman"), 0.22, launcher=RUN)
    yield Target("`hardening run`, new command and folder / repeated", _ratio(launches, NEW, RUN), 1.15, launcher=NEW)
    yield Target(
        "`hardening run`, new command and folder / `podman run`", _ratio(launches, NEW, "podman"), 0.4, launcher=NEW
    )
    yield Target(
        "`hardening run`, first composition / `podman run`", _ratio(launches, FIRST, "podman"), 1.5, launcher=FIRST
    )
    yield from _of_images(result)
    yield from _of_asking(result)
    for command, pairs in result.get("comparing", {}).items():
        worst = max(medians(pairs).values(), default=None)
        yield Target(f"`hardening {command}` of two shipped profiles, the worst pair / composing both", worst, 1.5)
    if linting := result.get("linting"):
        each = Summary.of(linting["seconds"]).median * 1e3 / linting["files"]
        yield Target(
            f"`hardening lint` of {linting['files']:,} profiles, each of them after the start", each, 2.5, "ms"
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


def _of_images(result: Mapping[str, Any]) -> Iterator[Target]:
    runs = medians(result.get("images", {}).get("root") or {})
    for runtime in RUNTIMES:
        image, directory = (runs.get(rooted(kind, runtime)) for kind in (IMAGE, DIRECTORY))
        more = None if image is None or directory is None else image - directory
        yield Target(f"a signed image, unchanged verdict − its root as a directory ({runtime})", more, 10.0, "ms")
    verified = result.get("verifying", {})
    for transport, taken in verified.get("seconds", {}).items():
        ratio = _ratio(taken, OURS, THEIRS)
        yield Target(f"`trust verify` of {verified['images']} images, `{transport}:` / skopeo", ratio, 1.0)
    asked = medians(result.get("explaining", {}).get(EXPLAIN, {}))
    if asked:
        few, many = sorted(asked, key=int)
        yield Target(f"`trust explain`, {int(many):,} scopes / {int(few):,}", _ratio(asked, many, few), 1.1)


def _of_asking(result: Mapping[str, Any]) -> Iterator[Target]:
    asked = {what: medians(found) for what, found in result.get("asking", {}).items()}
    bounds = {what: (f"`hardening learn`, {words} recorded / unrecorded", 2.0) for what, words in RECORDED.items()}
    bounds[SCORE] = ("`hardening score` / `hardening compose`", 1.5)
    bounds[LANDLOCK] = ("`hardening launch` with Landlock / without", 1.05)
    for what, (measure, most) in bounds.items():
        if what in asked:
            yield Target(measure, _ratio(asked[what], OWN, BESIDE), most)
    if INSPECT in asked:
        yield Target("`hardening inspect --all` of all containers, against a stack", asked[INSPECT][OWN], 2.0, "s")


def rooted(kind: str, runtime: str) -> str:
    """The name of a launcher by what is its root."""
    return f"{kind}, {runtime}"


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The medians by name."""
    return {name: Summary.of(values).median for name, values in samples.items() if values}


def _ratio(values: Mapping[str, float], name: str, other: str) -> float | None:
    return values[name] / values[other] if name in values and other in values else None
