"""A stack as one page of HTML that needs nothing else: what may its command do, and why.

It asks for nothing from anywhere, to which its policy binds a browser (`Content-Security-Policy`, https://www.w3.org/TR/CSP3):
its style and its script stand in it, and no other one runs, by their digests. What a profile holds is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Container
from datetime import date
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hardening.assemble.enforcement import enforcement, refusal
from hardening.assemble.pipeline import Assembly
from hardening.base.text import printable
from hardening.mechanism.findings import Finding
from hardening.mechanism.schema import WILDCARD
from hardening.report import data, explain, settings
from hardening.report.page import graph, permits, values
from hardening.report.places import shortener
from hardening.score import scoring

_HERE = Path(__file__).parent
#: What follows the name of the stack in the title, and the bytes in which that is found.
_TITLE, _HEAD = ": what its command may do", 4096


def page(assembly: Assembly, today: date) -> str:
    """The page of what would run; ``today`` says how many days are left to an exception."""
    composition = assembly.composition
    layers = composition.stack.layers
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    in_short = shortener(layers)
    known = {str(leaf) for leaf in composition.leaves}
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.get_template("page.html").render(
        title=_TITLE,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        style_digest=_digest(style),
        script_digest=_digest(script),
        stack=layers,
        image=data.image(composition.image),
        graph=graph.drawn(layers),
        permits=permits.permitted(assembly),
        score=scoring.of_stack(assembly.plugins, composition, assembly.host),
        mean=scoring.mean,
        values=values.grouped(composition, in_short),
        known=known,
        anchor=lambda leaf: _anchor(leaf, known),
        exceptions=explain.exceptions(layers, today).mapped(in_short),
        gates=explain.gates(layers).mapped(in_short),
        findings=settings.findings(sorted(assembly.findings, key=_urgency)).mapped(in_short),
        enforcement=enforcement(composition, assembly.context.unsupported, assembly.host),
        refused=[item for item in assembly.context.unsupported if refusal(composition, item) is not None],
        in_short=in_short,
        today=today,
    )


def is_page(path: Path) -> bool:
    """Whether a file begins as `page` does. `OSError`."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.startswith(b"<!doctype html>") and _TITLE.encode() in head


def _anchor(leaf: str, known: Container[str]) -> str:
    """Where the page tells of a leaf: the leaf itself, what all others of its family have, or its table."""
    table, _, _ = leaf.partition(".")
    return next((name for name in (leaf, f"{table}.{WILDCARD}") if name in known), f"v-{table}")


def _urgency(finding: Finding) -> int:
    return -finding.severity.rank


def _shown(value: object) -> object:
    """What is put into the page: of a text only what can be printed."""
    return printable(value) if type(value) is str else value


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
