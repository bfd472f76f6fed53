"""A composition as one page of HTML that needs nothing else. Everything that a profile holds is escaped."""

from __future__ import annotations

from html import escape

from hardening.assemble.enforcement import enforcement
from hardening.assemble.pipeline import Assembly
from hardening.base.text import printable
from hardening.report import settings
from hardening.report.table import Table

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8884; }
td { font-family: ui-monospace, monospace; font-size: .87em; overflow-wrap: anywhere; }
.bad { color: #c22; font-weight: bold; } .fair { color: #a60; font-weight: bold; } .good { color: #282; }
details > summary { cursor: pointer; }
"""
_CLASSES = {
    "enforced": "good",
    "partly": "fair",
    "warning": "fair",
    "loosened by exception": "fair",
    "not enforced": "bad",
    "error": "bad",
}


def page(assembly: Assembly) -> str:
    """The page: the stack, what is enforced, the findings, and every leaf with its history."""
    composition = assembly.composition
    names = ", ".join(layer.name for layer in composition.stack.layers)
    parts = [
        _table(settings.stack(composition)),
        _table(settings.enforcement(enforcement(composition, assembly.context.unsupported))),
        _table(settings.findings(assembly.findings)) if assembly.findings else "",
        *(_table(_leaves(assembly, mechanism.name)) for mechanism in composition.mechanisms),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(names)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(names)}</h1>\n{''.join(parts)}</body>\n</html>\n"
    )


def _leaves(assembly: Assembly, mechanism: str) -> Table:
    rows = []
    for leaf, entry in sorted(assembly.composition.leaves.items()):
        if leaf.mechanism != mechanism:
            continue
        rows.append((str(leaf), entry.shown, entry.limit_shown, "", entry.origin))
        if len(entry.steps) > 1:
            rows += [("", step.said, "", str(step.outcome), step.origin) for step in entry.steps]
    return Table(("leaf", "value", "limit", "outcome", "place"), tuple(rows), mechanism)


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>\n" for row in table.rows)
    return f"<h2>{_text(table.title)}</h2>\n<table>\n<tr>{head}</tr>\n{rows}</table>\n"


def _cell(cell: str) -> str:
    mark = _CLASSES.get(cell)
    return f'<td class="{mark}">{_text(cell)}</td>' if mark else f"<td>{_text(cell)}</td>"


def _text(text: str) -> str:
    return escape(printable(text))
