"""The JSON that ``--json`` shows. The shapes are part of the interface: docs/reference/cli.md describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hardening.assemble.enforcement import Enforcement
from hardening.compose.composition import Composition
from hardening.compose.fold import HistoryStep, Resolved
from hardening.errors import HardeningError, Problems
from hardening.mechanism.findings import Finding
from hardening.mechanism.mechanism import Unsupported, Violation
from hardening.mechanism.used import Used
from hardening.profile.layers import Exemption, Layer, Stack
from hardening.report.beyond import Beyond
from hardening.report.verification import ReceiptLine

Data = dict[str, Any]


def stack(stack: Stack) -> list[Data]:
    """The layers, from the first to the last."""
    return [layer(item) for item in stack.layers]


def image(image: Used | None) -> Data | None:
    """Which image the root is made of; None where it is of none."""
    return {"reference": image.reference, "digest": image.digest} if image is not None else None


def layer(layer: Layer) -> Data:
    """One layer: name, file, digest, and what it extends and excepts."""
    return {
        "name": layer.name,
        "file": str(layer.document.file) if layer.document.file else None,
        "sha256": layer.document.digest or None,
        "description": layer.description,
        "extends": list(layer.extends),
        "exceptions": [exception(item) for item in layer.exceptions],
    }


def exception(exception: Exemption) -> Data:
    """One ``[[exceptions]]`` entry."""
    return {
        "setting": exception.setting,
        "reason": exception.reason,
        "ticket": exception.ticket or None,
        "expires": exception.expires.isoformat() if exception.expires else None,
        "origin": str(exception.origin),
    }


def beyond(item: Beyond) -> Data:
    """One leaf that is looser than elsewhere."""
    return {
        "leaf": str(item.leaf),
        "shown": item.shown,
        "floor": item.floor,
        "origin": item.origin,
        "exception": exception(item.exception) if item.exception else None,
    }


def step(step: HistoryStep) -> Data:
    """One say of a layer about a leaf, and what became of it."""
    return {
        "layer": step.layer,
        "origin": step.origin,
        "said": step.said,
        "outcome": str(step.outcome),
        "value": step.value or None,
        "exception": exception(step.exception) if step.exception else None,
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
    """Findings, in their order."""
    return [
        {
            "rule": item.rule,
            "severity": str(item.severity),
            "message": item.message,
            "leaf": item.leaf or None,
            "origin": item.origin or None,
            "hint": item.hint or None,
        }
        for item in items
    ]


def lacking(item: Unsupported) -> Data:
    """What a host cannot enforce."""
    return {"leaf": item.leaf, "reason": item.reason, "remedy": item.remedy or None}


def enforcement(items: Sequence[Enforcement]) -> list[Data]:
    """The state of each mechanism."""
    return [
        {
            "mechanism": item.mechanism,
            "requirement": item.requirement,
            "state": item.state,
            "unsupported": [lacking(entry) for entry in item.unsupported],
        }
        for item in items
    ]


def checks(items: Iterable[ReceiptLine]) -> list[Data]:
    """The lines of a verified receipt."""
    return [
        {"leaf": item.leaf, "expected": item.expected, "kernel": item.kernel, "result": item.result} for item in items
    ]


def violations(items: Iterable[Violation]) -> list[Data]:
    """What a foreign configuration asked for beyond the profile."""
    return [
        {"pointer": item.pointer, "asked": item.asked, "allowed": item.allowed, "leaf": item.leaf} for item in items
    ]


def error(error: HardeningError | None) -> list[Data]:
    """The problems that an error stands for; empty where there is none."""
    if error is None:
        return []
    problems = error.problems if isinstance(error, Problems) else (error,)
    return [
        {
            "message": item.message,
            "origin": str(item.origin) if item.origin is not None else None,
            "hint": item.hint,
            "exit_code": item.exit_code,
        }
        for item in problems
    ]
