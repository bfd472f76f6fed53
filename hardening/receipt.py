"""The receipt: what the kernel reports of a started process, held against its composition.

The launch stage writes it as JSON when the command has been executed and before it runs (proc(5)): ``pid``, ``status``
(fields of ``/proc/PID/status``), ``uid_map``, ``gid_map``, ``setgroups``, ``namespaces``, ``caller_namespaces``,
``mountinfo``, ``loginuid``, ``oom_score_adj``, ``limits``, ``cgroup`` and ``label``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening import wholefile
from hardening.compose import Composition
from hardening.errors import HardeningError
from hardening.frozendata import freeze
from hardening.mechanism import Check

_HINT = "`hardening run --receipt FILE` writes one"
_NUMBERS = ("loginuid", "oom_score_adj")
_ID = r"\d{1,10}"
#: Fields of /proc/PID/status that must be there, and how the kernel writes them.
_STATUS = MappingProxyType(
    {
        **dict.fromkeys(("Uid", "Gid"), rf"{_ID}(\s+{_ID}){{3}}"),
        "Groups": rf"({_ID})?(\s+{_ID})*",
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "[0-9a-f]{16}"),
        "NoNewPrivs": "[01]",
        "Umask": "[0-7]{4}",
    }
)
#: Parts that are text in one form.
_TEXTS = MappingProxyType(
    {
        **dict.fromkeys(("uid_map", "gid_map"), rf"( *{_ID} +{_ID} +{_ID}(\n|$))*"),
        **dict.fromkeys(_NUMBERS, r"-?\d{1,10}"),
        "limits": r"(?!.*\d{21}).*",
    }
)
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
        receipt = json.loads(wholefile.read(path))
    except OSError as error:
        raise HardeningError(f"cannot read the receipt: {error.strerror}", origin=path, hint=_HINT) from None
    except (ValueError, RecursionError) as error:
        raise HardeningError(f"not a receipt: {error}", origin=path, hint=_HINT) from None
    missing = KEYS - receipt.keys() if isinstance(receipt, dict) else KEYS
    if missing:
        raise HardeningError(f"not a receipt: it lacks {', '.join(sorted(missing))}", origin=path, hint=_HINT)
    for key in sorted(KEYS):
        if not _fits(receipt[key], key):
            raise HardeningError(f"not a receipt: {key} has another form", origin=path, hint=_HINT)
    numbers = {key: int(receipt[key]) for key in _NUMBERS if receipt[key] is not None}
    lines = receipt["mountinfo"]
    return {**receipt, **numbers, "mountinfo": lines.splitlines() if isinstance(lines, str) else lines or []}


def _fits(value: object, key: str) -> bool:
    """Whether a part has the form in which the launch stage writes it; what a kernel may lack is None."""
    if key == "pid":
        return isinstance(value, int)
    if key == "status":
        return isinstance(value, dict) and all(
            isinstance(value.get(name), str) and re.fullmatch(form, value[name]) for name, form in _STATUS.items()
        )
    if key in ("namespaces", "caller_namespaces"):
        return isinstance(value, dict) and all(isinstance(item, str | None) for item in value.values())
    if key == "mountinfo" and isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    if key in _TEXTS:
        text = str(value) if key in _NUMBERS and isinstance(value, int) else value
        return (key == "loginuid" and text is None) or (
            isinstance(text, str) and re.fullmatch(_TEXTS[key], text, re.DOTALL) is not None
        )
    return isinstance(value, str | None)


def verify(composition: Composition, receipt: Mapping[str, Any]) -> list[Check]:
    """Every mechanism's comparison of what was composed with what the kernel reports."""
    receipt = freeze(receipt)
    return [
        check
        for mechanism in composition.mechanisms
        for check in mechanism.verify(composition.settings[mechanism.name], receipt)
    ]
