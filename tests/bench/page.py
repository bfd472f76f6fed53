"""The page of a result: tables and plots, generated from the JSON that the bench keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from tests.bench.samples import Fit, Summary
from tests.bench.targets import (
    BESIDE,
    COMMAND,
    DIRECTORY,
    EXPLAIN,
    FAILING,
    FIRST,
    FORESEEN,
    IMAGE,
    INSPECT,
    LANDLOCK,
    LAUNCH,
    OURS,
    OWN,
    READ,
    RECORDED,
    RUN,
    RUNTIMES,
    SCORE,
    THEIRS,
    WHY,
    medians,
    rooted,
    targets,
)

HEAD = """# Numbers

What a launch costs, beside other launchers: the same command, `/bin/true` of busybox, in the same root, under the profile
`strict`; and what it costs to trust an image. This page and its plots are written by the bench (`make bench`) from
[bench.json](bench.json), which holds every sample; a test holds the page against it.

To repeat: `make bench` as root, on a machine with nothing else to do. It installs what is missing, takes a few minutes,
prints these tables and leaves its result in `build/bench`; `make bench B=--publish` also writes it here.
"""
COMPOSING, LAUNCHER = "hardening run --dry-run", "launcher"
OTHERS = ("bubblewrap", "crun", "runc", "podman")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    return "\n".join(part for section in sections(result) for part in (section, "")).rstrip() + "\n"


def sections(result: Mapping[str, Any]) -> Iterator[str]:
    """The parts of the page, in order."""
    yield HEAD
    yield "## Targets"
    yield target_table(result)
    yield from missed(result)
    yield "## Launches"
    yield "Milliseconds from start to end of the launcher; the launchers take turns, round by round."
    for who, samples in result["launches"].items():
        if samples:
            yield f"As {who}:"
            yield launch_table(samples)
    yield "![Launches](launches.svg)"
    yield from of_images(result)
    yield from of_asking(result)
    yield "## Memory"
    yield (
        "Megabytes (PSS) of everything that waits for the command, without the command itself. What is shared with other "
        "processes of the machine, such as the C library, counts in part."
    )
    yield memory_table(result["memory"])
    yield "![Memory](memory.svg)"
    yield "## Composing"
    yield (
        "Milliseconds for a stack of layers, each of which extends the one before; for a stack of as many profiles; and "
        "for one profile among as many that have a name; and for a profile with as many scopes in its policy for images. "
        "Without the start of the program."
    )
    for name, points in result["curves"].items():
        yield curve_table(name, points)
    yield "![Composing](composing.svg)"
    yield "## The filter"
    yield (
        "BPF instructions for a system call that is allowed, with the arguments that take the most: our program, and the "
        "one that crun loads for the same configuration."
    )
    yield instruction_table(result["instructions"])
    yield "![Instructions](instructions.svg)"
    yield (
        "Nanoseconds a call, without a filter and under each. Since Linux 5.11 the kernel remembers which calls are allowed "
        "whatever their arguments, and runs no filter for them: of these only `ioctl` is looked at."
    )
    yield percall_table(result["percall"])
    yield "## Where the time of a launch goes"
    for name, steps in result["steps"].items():
        yield f"`{name}`, by the system calls that mark its steps (strace, which costs some time of its own):"
        yield table(("until", "ms"), [(label, f"{taken:.1f}") for label, taken in steps])
    for name, packages in result["imports"].items():
        yield f"`{name}`, milliseconds spent importing, by package:"
        yield import_table(packages)
    yield "## The machine"
    yield table(("", ""), [(key, value) for key, value in result["machine"].items()])
    notes = result["notes"]
    if notes:
        yield "\n".join(f"- {note}" for note in notes)


def target_table(result: Mapping[str, Any]) -> str:
    """What was to be reached."""
    return table(
        ("measure", "measured", "to reach", ""),
        [
            (one.measure, number(one.value, one.unit), f"at most {number(one.most, one.unit)}", one.verdict)
            for one in targets(result)
        ],
    )


def missed(result: Mapping[str, Any]) -> Iterator[str]:
    """Where the time goes of each launcher that misses a target."""
    for name in dict.fromkeys(one.launcher for one in targets(result) if one.reached is False and one.launcher):
        steps = result["steps"].get(name, [])
        if not steps:
            continue
        label, longest = max(steps, key=lambda step: step[1])
        whole = sum(taken for _, taken in steps)
        text = f"`{name}` misses a target. Of its {whole:.0f} ms in the trace below, {longest:.0f} pass until {label}"
        if name == FIRST:
            text += f", of which importing modules takes {sum(result['imports'][COMPOSING].values()):.0f}"
        yield f"{text}."


def number(value: float | None, unit: str = "") -> str:
    """A number with three digits that count."""
    text = "—" if value is None else f"{value:.3g}"
    return f"{text} {unit}".strip()


def launch_table(samples: Mapping[str, Sequence[float]]) -> str:
    """Medians, quartiles and ratios."""
    values = medians({name: list(found) for name, found in samples.items()})
    rows = []
    for name, found in samples.items():
        summary = Summary.of(found)
        ratios = [
            f"{summary.median / values[other]:.2f}" if other in values and other != name else "" for other in OTHERS
        ]
        rows.append((name, f"{summary.median:.1f}", f"{summary.low:.1f}–{summary.high:.1f}", str(len(found)), *ratios))
    return table(("launcher", "median", "quartiles", "runs", *(f"/ {other}" for other in OTHERS)), rows)


def of_images(result: Mapping[str, Any]) -> Iterator[str]:
    """What trust costs, as far as it was measured."""
    if result.get("images"):
        yield "## Images"
        yield (
            "Milliseconds of a run of an image that was pulled, under a policy that wants a signature of it, and of a run "
            "of the same root as a directory (`--rootfs`) under the same profiles. Both have run before, and nothing of "
            "the policy, the keys and the signatures has changed; they take turns, round by round."
        )
        yield image_table(result["images"])
    verified = result.get("verifying")
    if verified:
        yield (
            f"Seconds for the verdicts on {verified['images']} images, all signed, under the same policy.json: "
            "`hardening trust verify` of all, and `skopeo copy` of each, whose images have no layers."
        )
        yield verdict_table(verified["seconds"])
    explained = result.get("explaining")
    if explained:
        yield "A policy of few scopes, and one of many:"
        yield policy_table(explained)


def of_asking(result: Mapping[str, Any]) -> Iterator[str]:
    """What it takes to find out what a command needs, where that was measured."""
    if asking := result.get("asking"):
        yield "## Asking what a command needs"
        yield "Milliseconds, the start of the program among them, and of what does the least of the same; they take turns."
        yield asking_table(asking)


def asking_table(asking: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Medians of both, by what is asked."""
    labels = {
        WHY: ("`hardening why` of a command that is denied one system call", "strace(1) of it"),
        **{what: (f"{words}, recorded by `hardening learn`", "unrecorded") for what, words in RECORDED.items()},
        FORESEEN: ("`hardening check --against` a root with one static program", "objdump(1) of that program"),
        SCORE: ("`hardening score`", "`hardening compose`"),
        LANDLOCK: ("`hardening launch` with Landlock", "without"),
        INSPECT: ("`hardening inspect --all` of all containers, against a stack", "without one"),
        FAILING: ("`hardening run` of a command that fails, with the line after it", "of one that succeeds"),
    }
    rows = []
    for what, samples in asking.items():
        own, beside = (median(samples[name]) * 1e3 for name in (OWN, BESIDE))
        label, least = labels[what]
        rows.append((label, f"{own:.0f}", least, f"{beside:.0f}", f"{own / beside:.2f}"))
    return table(("asked", "ms", "beside", "ms", "ratio"), rows)


def image_table(images: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Medians of both roots, by who launches and by runtime."""
    rows = []
    for who, samples in images.items():
        values = medians({name: list(found) for name, found in samples.items()})
        for runtime in RUNTIMES:
            directory, image = (values.get(rooted(kind, runtime)) for kind in (DIRECTORY, IMAGE))
            if directory is not None and image is not None:
                shown = (f"{directory:.1f}", f"{image:.1f}", f"{image - directory:+.1f}", f"{image / directory:.2f}")
                rows.append((f"{runtime}, {who}", *shown))
    return table(("runtime", DIRECTORY, IMAGE, "more", "ratio"), rows)


def verdict_table(seconds: Mapping[str, Mapping[str, float]]) -> str:
    """What both took, by transport."""
    rows = [
        (f"`{transport}:`", f"{taken[OURS]:.2f}", f"{taken[THEIRS]:.2f}", f"{taken[OURS] / taken[THEIRS]:.2f}")
        for transport, taken in seconds.items()
    ]
    return table(("images", OURS, THEIRS, "ratio"), rows)


def policy_table(explained: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Medians, by what is done and by the number of scopes."""
    counts = sorted(next(iter(explained.values())), key=int)
    labels = {
        EXPLAIN: ("which scope decides about an image, once the policy is read", 1e6, "µs"),
        READ: ("reading policy.json", 1e3, "ms"),
        COMMAND: ("`hardening trust explain -p PROFILE IMAGE`, all of it", 1e3, "ms"),
    }
    rows = []
    for what, (label, scale, unit) in labels.items():
        few, many = (median(explained[what][count]) * scale for count in counts)
        rows.append((label, number(few, unit), number(many, unit), f"{many / few:.2f}"))
    return table(("", *(f"{int(count):,} scopes" for count in counts), "ratio"), rows)


def memory_table(memory: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Medians, by who launches."""
    kinds = [who for who, found in memory.items() if found]
    names = list(dict.fromkeys(name for who in kinds for name in memory[who]))
    rows = [
        (name, *(f"{median(memory[who][name]):.1f}" if name in memory[who] else "—" for who in kinds)) for name in names
    ]
    return table(("launcher", *kinds), rows)


def curve_table(name: str, points: Mapping[str, Sequence[float]]) -> str:
    """One curve and its fit."""
    values = {int(n): median(samples) for n, samples in points.items()}
    fit = Fit.of(values)
    return table(
        (name, *(f"{n:,}" for n in values), "exponent"),
        [("ms", *(f"{value * 1e3:,.1f}" for value in values.values()), f"{fit.exponent:.2f}")],
    )


def instruction_table(instructions: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """Best, median and worst allowed call, by profile and program."""
    rows = []
    for profile, programs in instructions.items():
        for name, steps in programs.items():
            if steps:
                found = sorted(steps.values())
                worst = max(steps, key=lambda call: steps[call])
                middle = f"{median(found):.0f}"
                rows.append(
                    (f"`{profile}`, {name}", str(len(found)), str(found[0]), middle, f"{found[-1]} (`{worst}`)")
                )
    return table(("filter", "allowed calls", "best", "median", "worst"), rows)


def percall_table(percall: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Medians, by filter and call."""
    calls = list(dict.fromkeys(call for found in percall.values() for call in found))
    rows = [(name, *(f"{median(found[call]):.0f}" for call in calls)) for name, found in percall.items()]
    return table(("filter", *(f"`{call}`" for call in calls)), rows)


def import_table(packages: Mapping[str, float], most: int = 12) -> str:
    """The packages that take longest, and the rest."""
    shown = list(packages.items())[:most]
    rest = sum(packages.values()) - sum(taken for _, taken in shown)
    rows = [(f"`{name}`", f"{taken:.1f}") for name, taken in shown]
    return table(("package", "ms"), [*rows, ("all others", f"{rest:.1f}"), ("all", f"{sum(packages.values()):.1f}")])


def summary(result: Mapping[str, Any]) -> str:
    """The tables for a terminal."""
    wanted = (LAUNCH, RUN, FIRST)
    parts = [
        launch_table(samples) for samples in result["launches"].values() if any(name in samples for name in wanted)
    ]
    parts += [*of_images(result), *of_asking(result), memory_table(result["memory"])]
    parts += [curve_table(name, points) for name, points in result["curves"].items()]
    parts += [instruction_table(result["instructions"]), percall_table(result["percall"])]
    parts += [table((name, "ms"), [(label, f"{taken:.1f}") for label, taken in steps])
              for name, steps in result["steps"].items()]  # fmt: skip
    parts += [table((name, "ms"), [(key, f"{taken:.1f}") for key, taken in list(found.items())[:8]])
              for name, found in result["imports"].items()]  # fmt: skip
    return "\n\n".join(part for part in parts)
