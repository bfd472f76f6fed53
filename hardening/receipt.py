"""The receipt: what the kernel reports of a started process, held against its composition.

The launch stage writes it as JSON when the command has been executed and before it runs (proc(5)): ``pid``, ``status``
(fields of ``/proc/PID/status``), ``uid_map``, ``gid_map``, ``setgroups``, ``namespaces``, ``caller_namespaces``,
``mountinfo``, ``loginuid``, ``oom_score_adj``, ``limits``, ``cgroup`` and ``label``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hardening.compose import Composition
from hardening.errors import HardeningError
from hardening.mechanism import Check

_HINT = "`hardening run --receipt FILE` writes one"
KEYS = frozenset(
    (
        "pid",
        "status",
        "uid_map",
        "gid_map",
        "setgroups",
        "namespaces",
        "caller_namespaces",
        "mountinfo",
        "loginuid",
        "oom_score_adj",
        "limits",
        "cgroup",
        "label",
    )
)


def read(path: Path) -> dict[str, Any]:
    """Read a receipt, ``mountinfo`` as lines and the two numbers as such; raises `HardeningError` for a file that is
    none."""
    try:
        receipt = json.loads(path.read_bytes())
    except OSError as error:
        raise HardeningError(f"cannot read the receipt: {error.strerror}", origin=path, hint=_HINT) from None
    except ValueError as error:
        raise HardeningError(f"not a receipt: {error}", origin=path, hint=_HINT) from None
    missing = KEYS - receipt.keys() if isinstance(receipt, dict) else KEYS
    if missing:
        raise HardeningError(f"not a receipt: it lacks {', '.join(sorted(missing))}", origin=path, hint=_HINT)
    try:
        numbers = {key: int(receipt[key]) for key in ("loginuid", "oom_score_adj") if receipt[key] is not None}
    except (TypeError, ValueError) as error:
        raise HardeningError(f"not a receipt: {error}", origin=path, hint=_HINT) from None
    lines = receipt["mountinfo"]
    return {**receipt, **numbers, "mountinfo": lines.splitlines() if isinstance(lines, str) else lines or []}


def verify(composition: Composition, receipt: Mapping[str, Any]) -> list[Check]:
    """Every mechanism's comparison of what was composed with what the kernel reports."""
    return [
        check
        for mechanism in composition.mechanisms
        for check in mechanism.verify(composition.settings[mechanism.name], receipt)
    ]
