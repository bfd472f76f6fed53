"""The graph of a stack: its layers from the first at the bottom to the last on top, and which one extends which."""

from __future__ import annotations

from collections.abc import Sequence

from hardening.base.values import frozen
from hardening.profile.layers import Layer
from hardening.report.table import clipped

#: Of a box, between two of them, and between two lines beside them, in units of the drawing.
WIDTH, HEIGHT, GAP, LANE = 250, 46, 14, 14
#: Characters of a name that a box has room for.
LONGEST = 30


@frozen
class Box:
    """A layer at its place; ``says`` is what stands below its name."""

    x: int
    y: int
    name: str
    says: str
    number: int
    width: int = WIDTH
    height: int = HEIGHT


@frozen
class Graph:
    """The drawing: ``edges`` are paths (SVG 2, Paths) from a layer to one that it extends, beside the boxes; ``words`` say
    the same."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[str, ...]
    words: str


def drawn(layers: Sequence[Layer]) -> Graph:
    """The graph of a stack."""
    rows = {id(layer.document): row for row, layer in enumerate(reversed(layers))}
    pairs = [(layer, parent) for layer in reversed(layers) for parent in layer.parents if id(parent.document) in rows]
    lanes = _lanes([(rows[id(layer.document)], rows[id(parent.document)]) for layer, parent in pairs])
    left = (max(lanes.values(), default=-1) + 1) * LANE + 1
    boxes = tuple(
        Box(left, row * (HEIGHT + GAP) + 1, clipped(layer.name, LONGEST), _says(layer), number)
        for row, (number, layer) in enumerate(reversed([*enumerate(layers, 1)]))
    )
    edges = tuple(_edge(boxes[above], boxes[below], lane) for (above, below), lane in lanes.items())
    words = "; ".join(f"{layer.name} extends {parent.name}" for layer, parent in pairs) or "No layer extends another"
    return Graph(left + WIDTH + 1, max(len(boxes) * (HEIGHT + GAP) - GAP + 2, 2), boxes, edges, words)


def _lanes(spans: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """For each pair of rows how far from the boxes its line runs, so that no two lie on each other; short ones inside."""
    lanes: dict[tuple[int, int], int] = {}
    for above, below in sorted(spans, key=lambda span: span[1] - span[0]):
        beside = {lane for (first, last), lane in lanes.items() if first < below and above < last}
        lanes[above, below] = next(lane for lane in range(len(spans)) if lane not in beside)
    return lanes


def _says(layer: Layer) -> str:
    counts = {"table": len(layer.tables), "limit": len(layer.limits), "exception": len(layer.exceptions)}
    words = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items() if count]
    return " · ".join([*(words or ["says nothing itself"]), *(["shipped"] if layer.shipped else [])])


def _edge(above: Box, below: Box, lane: int) -> str:
    """Out of the left side of a box, down beside the others, and into another with an arrow."""
    x, start, end = above.x - (lane + 1) * LANE + 4, above.y + 2 * HEIGHT // 3, below.y + HEIGHT // 3
    return f"M{above.x} {start}H{x + 6}q-6 0 -6 6V{end - 6}q0 6 6 6H{below.x - 1}m-5 -4l5 4l-5 4"
