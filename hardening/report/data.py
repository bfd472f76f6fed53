"""The JSON that ``--json`` shows. The shapes are part of the interface: docs/reference/cli.md describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from hardening.assemble.enforcement import Enforcement
from hardening.compare.difference import LeafDifference, StackComparison
from hardening.compose.composition import Composition
from hardening.compose.fold import HistoryStep, Resolved
from hardening.errors import HardeningError
from hardening.mechanism.findings import Finding
from hardening.mechanism.used import Used
from hardening.profile.exemption import Exemption
from hardening.profile.layers import Layer, Stack
from hardening.report.difference import Side
from hardening.why.loosening import Loosening

Data = dict[str, Any]


def stack(stack: Stack) -> list[Data]:
    """The layers, from the first to the last."""
    return [layer(item) for item in stack.layers]


def loosening(found: Loosening | None) -> Data | None:
    """What permits something, or why nothing does; None where neither is known."""
    if found is None:
        return None
    return {
        "shown": found.shown,
        "toml": found.toml,
        "options": list(found.options),
        "replaces": list(found.replaces),
        "barrier": found.barrier,
        "example": found.example,
    }


def image(image: Used | None) -> Data | None:
    """Which image the root is made of; None where it is of none."""
    return {"reference": image.reference, "digest": image.digest} if image is not None else None


def layer(layer: Layer) -> Data:
    """One layer: name, file, digest, who has signed it, and what it extends, excepts, and says of itself."""
    return {
        "name": layer.name,
        "file": str(layer.document.file) if layer.document.file else None,
        "sha256": layer.document.digest or None,
        "description": layer.description,
        "profile": layer.metadata.data if layer.metadata is not None else None,
        "signed_by": layer.signature.key if layer.signature is not None else None,
        "extends": list(layer.extends),
        "exceptions": [item.data for item in layer.exceptions],
    }


def beyond(item: LeafDifference) -> Data:
    """One leaf that is looser than elsewhere."""
    return {
        "leaf": str(item.leaf),
        "shown": item.after,
        "floor": item.before,
        "origin": item.origins[1],
        "exception": item.exception.data if item.exception else None,
    }


def comparison(found: StackComparison, sides: tuple[Side, Side]) -> Data:
    """Two stacks, how the second stands to the first, each difference, and the exceptions that one of them alone has."""
    old, new = sides
    return {
        "before": old.name,
        "after": new.name,
        "order": str(found.order),
        "differences": [difference(item, sides) for item in found.differences],
        "exceptions": {
            "added": [_exemption(item, new) for item in found.added],
            "removed": [_exemption(item, old) for item in found.removed],
        },
    }


def difference(item: LeafDifference, sides: tuple[Side, Side]) -> Data:
    """One difference between two stacks."""
    old, new = sides
    return {
        "leaf": str(item.leaf),
        "subject": str(item.subject),
        "part": item.what or None,
        "order": str(item.order),
        "before": {"shown": old.text(item.before), "origin": old.text(item.origins[0]) or None},
        "after": {"shown": new.text(item.after), "origin": new.text(item.origins[1]) or None},
        "exception": _exemption(item.exception, new),
    }


def _exemption(item: Exemption | None, side: Side) -> Data | None:
    return None if item is None else {**item.data, "origin": side.text(str(item.origin))}


def step(step: HistoryStep) -> Data:
    """One say of a layer about a leaf, and what became of it."""
    said = {name: getattr(step, name) for name in ("layer", "origin", "said")}
    return {
        **said,
        "outcome": str(step.outcome),
        "value": step.value or None,
        "exception": step.exception.data if step.exception else None,
    }


def resolved(entry: Resolved) -> Data:
    """A leaf: its value as TOML data and as text, the limit, and its history."""
    return {
        "leaf": str(entry.leaf),
        "value": entry.kind.dump(entry.value),
        "shown": entry.shown,
        "origin": entry.origin,
        "stated": entry.stated,
        "limit": {"shown": entry.limit_shown, "origin": entry.limit_origin} if entry.limit_origin else None,
        "history": [step(item) for item in entry.steps],
    }


def composition(composition: Composition) -> Data:
    """A composition: its image, its stack, every leaf, and the findings of composing."""
    return {
        "image": image(composition.image),
        "stack": stack(composition.stack),
        "leaves": [resolved(entry) for _, entry in sorted(composition.leaves.items())],
        "findings": findings(composition.findings),
    }


def findings(items: Iterable[Finding]) -> list[Data]:
    """Findings, in their order: ``rule``, ``severity``, ``message``, and ``leaf``, ``origin``, ``hint`` and ``also`` where
    they have one."""
    return [{name: value or None for name, value in attrs.asdict(item).items()} for item in items]


def enforcement(items: Sequence[Enforcement]) -> list[Data]:
    """The state of each mechanism, with ``leaf``, ``reason`` and ``remedy`` of what the host cannot enforce of it."""
    return [
        {
            "mechanism": item.mechanism,
            "requirement": item.requirement,
            "state": item.state,
            "unsupported": [
                {"leaf": entry.leaf, "reason": entry.reason, "remedy": entry.remedy or None}
                for entry in item.unsupported
            ],
        }
        for item in items
    ]


def error(error: HardeningError | None) -> list[Data]:
    """The problems that an error stands for; empty where there is none."""
    if error is None:
        return []
    problems = error.problems
    return [
        {
            "message": item.message,
            "origin": str(item.origin) if item.origin is not None else None,
            "hint": item.hint,
            "exit_code": item.exit_code,
        }
        for item in problems
    ]
