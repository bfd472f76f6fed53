"""The plots of a result, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.samples import Fit, Summary

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "hardening",  # the same result gives the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_OURS, _OTHERS = "#c0392b", "#7f8c8d"


def draw(result: Mapping[str, Any], folder: Path) -> None:
    """Write `launches.svg`, `memory.svg`, `composing.svg` and `instructions.svg` into a folder."""
    plots: dict[str, Callable[[Mapping[str, Any], Axes], None]] = {
        "launches": _launches,
        "memory": _memory,
        "composing": _composing,
        "instructions": _instructions,
    }
    with mpl.rc_context(_STYLE):
        for name, plot in plots.items():
            figure = Figure(figsize=(7.5, 3.6), layout="constrained")
            axes = figure.add_subplot()
            plot(result, axes)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def _colour(name: str) -> str:
    return _OURS if name.startswith("hardening") else _OTHERS


def _launches(result: Mapping[str, Any], axes: Axes) -> None:
    rows = [(f"{name}, {who}", samples) for who, found in result["launches"].items() for name, samples in found.items()]
    for place, (name, samples) in enumerate(reversed(rows)):
        one = Summary.of(samples)
        axes.barh(place, one.median, color=_colour(name), height=0.7)
        axes.plot([one.low, one.high], [place, place], color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.set_xlabel("milliseconds: median, and quartiles as a line")


def _memory(result: Mapping[str, Any], axes: Axes) -> None:
    rows = [(f"{name}, {who}", median(found)) for who, all_ in result["memory"].items() for name, found in all_.items()]
    for place, (name, value) in enumerate(reversed(rows)):
        axes.barh(place, value, color=_colour(name), height=0.7)
    axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    axes.set_xlabel("megabytes (PSS) that wait for the command")


def _composing(result: Mapping[str, Any], axes: Axes) -> None:
    for name, points in result["curves"].items():
        values = {int(n): median(samples) * 1e3 for n, samples in points.items()}
        fit = Fit.of(values)
        (line,) = axes.loglog(list(values), list(values.values()), "o", label=f"{name}: exponent {fit.exponent:.2f}")
        axes.loglog(list(values), [fit.at(n) for n in values], "-", color=line.get_color(), linewidth=1)
    axes.set_xlabel("number of layers or profiles")
    axes.set_ylabel("milliseconds to compose")
    axes.legend(frameon=False)


def _instructions(result: Mapping[str, Any], axes: Axes) -> None:
    for profile, programs in result["instructions"].items():
        for name, steps in programs.items():
            found = sorted(steps.values())
            style = "-" if profile == "strict" else "--"
            axes.semilogy(range(1, len(found) + 1), found, style, color=_colour(name), label=f"{name}, {profile}")
    axes.set_xlabel("allowed system calls, from the quickest to the slowest")
    axes.set_ylabel("BPF instructions")
    axes.legend(frameon=False)
