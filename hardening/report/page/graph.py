"""The graph of a stack: which layer extends which, from the first at the bottom to the last on top."""

from __future__ import annotations

from collections.abc import Sequence

from hardening.base.values import frozen
from hardening.profile.layers import Layer
from hardening.report.table import clipped

#: Of a box, and between two of them, in units of the drawing.
WIDTH, HEIGHT, GAP, INDENT = 250, 46, 26, 36
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
    """The drawing: ``edges`` are paths (SVG 2, Paths) from a layer to one that it extends."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[str, ...]


def drawn(layers: Sequence[Layer]) -> Graph:
    """The graph of a stack; a layer stands to the right of those that extend it."""
    depth: dict[int, int] = {}
    for layer in reversed(layers):
        depth.setdefault(id(layer.document), 0)
        for parent in layer.parents:
            known = depth.get(id(parent.document), 0)
            depth[id(parent.document)] = max(known, depth[id(layer.document)] + 1)
    boxes: dict[int, Box] = {}
    for row, (number, layer) in enumerate(reversed([*enumerate(layers, 1)])):
        x, y = depth[id(layer.document)] * INDENT + 1, row * (HEIGHT + GAP) + 1
        boxes[id(layer.document)] = Box(x, y, clipped(layer.name, LONGEST), _says(layer), number)
    edges = [
        _edge(boxes[id(layer.document)], boxes[id(parent.document)])
        for layer in layers
        for parent in layer.parents
        if id(parent.document) in boxes
    ]
    width = max((box.x for box in boxes.values()), default=0) + WIDTH + 1
    return Graph(width, max(len(boxes) * (HEIGHT + GAP) - GAP + 2, 2), tuple(boxes.values()), tuple(edges))


def _says(layer: Layer) -> str:
    counts = {"limits": len(layer.limits), "exceptions": len(layer.exceptions)}
    words = [f"{len(layer.tables)} tables", *(f"{count} {name}" for name, count in counts.items() if count)]
    return " · ".join([*words, "shipped"] if layer.shipped else words)


def _edge(above: Box, below: Box) -> str:
    """Down from a box, and into the left side of another, round the corner."""
    x, y, end = above.x + INDENT // 2, above.y + HEIGHT, below.y + HEIGHT // 2
    return f"M{x} {y}V{end - 8}q0 8 8 8H{below.x}"
