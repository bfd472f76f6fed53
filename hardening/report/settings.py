"""A composition as tables, and as the one profile that says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hardening.assemble.enforcement import Enforcement
from hardening.compose.composition import Composition
from hardening.compose.fold import EMPTY, Resolved
from hardening.mechanism.findings import Finding, Gate
from hardening.profile.layers import Layer
from hardening.profile.metadata import Metadata
from hardening.report.table import Table, alike_in_one


def leaves(entries: Iterable[Resolved], title: str = "") -> Table:
    """Leaves with what decided them, in one row those of a family that have the same."""
    rows = alike_in_one((entry.leaf, (entry.shown or EMPTY, entry.limit_shown, entry.origin)) for entry in entries)
    return Table(("leaf", "value", "limit", "decided by"), rows, title, expands=True)


def stack(composition: Composition) -> Table:
    """The layers in their order, above what an image says of itself."""
    rows = [
        (str(index), layer.name, layer.description, layer.place)
        for index, layer in enumerate(composition.stack.layers, 1)
    ]
    if composition.image is not None:
        statements = "what the image asks for, where it loosens nothing"
        rows.insert(0, ("0", "image", statements, f"{composition.image.reference} ({composition.image.digest})"))
    return Table(("", "layer", "description", "file"), tuple(rows), "stack")


def metadata(layers: Iterable[Layer]) -> Table:
    """What layers say of themselves, and who has signed them; no row of one of which neither is known."""
    rows: list[tuple[str, ...]] = []
    for layer in layers:
        said, signed = layer.metadata or Metadata(), layer.signature.key if layer.signature is not None else ""
        title, owner = (
            " ".join(filter(None, (said.title, said.version))),
            ", ".join(filter(None, (said.owner, said.contact))),
        )
        if title or owner or signed:
            rows.append((layer.name, title, owner, signed))
    return Table(("profile", "title", "owner", "signed by"), tuple(rows), "profiles")


def enforcement(states: Iterable[Enforcement]) -> Table:
    """The state of every mechanism, one line a gap."""
    rows = []
    for state in states:
        reasons = [f"{item.leaf}: {item.reason}" for item in state.unsupported] or [""]
        rows.append((state.mechanism, state.requirement, state.state, reasons[0]))
        rows += [("", "", "", reason) for reason in reasons[1:]]
    return Table(("mechanism", "requirement", "state", "because"), tuple(rows), "mechanisms")


def findings(items: Iterable[Finding]) -> Table:
    """Findings, one a line."""
    rows = tuple((item.severity.word, item.rule, item.message, item.origin or item.leaf, item.hint) for item in items)
    return Table(("severity", "rule", "finding", "where", "hint"), rows, "findings", expands=True)


def _rules(gate: Gate) -> dict[str, object]:
    """What is said of single rules; those of which nothing else is said than of all need not be."""
    never: dict[str, object] = {
        rule: "never" for rule, severity in gate.rules.items() if severity is None and gate.refuse is not None
    }
    return never | {rule: str(severity) for rule, severity in gate.rules.items() if severity is not None}


def profile(composition: Composition) -> str:
    """One profile, as TOML, that composes to the same values and limits. It needs no exceptions."""
    import tomli_w

    names = ", ".join(layer.name for layer in composition.stack.layers)
    tables: dict[str, object] = {"description": f"composed of {names}"}
    refusing = composition.gates
    if refusing:
        gate = Gate.of_all(refusing)
        least = {"refuse": str(gate.refuse)} if gate.refuse is not None else {}
        tables["findings"] = least | ({"rules": _rules(gate)} if gate.rules else {})
    limits = _dumped(composition, composition.limits)
    return tomli_w.dumps(tables | ({"limits": limits} if limits else {}) | _dumped(composition, composition.stated))


def _dumped(composition: Composition, values: Callable[[str], Mapping[tuple[str, str], Any]]) -> dict[str, object]:
    """The tables of the mechanisms that have such values."""
    return {item.name: item.dump(found) for item in composition.mechanisms if (found := values(item.name))}
