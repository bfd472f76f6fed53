"""What a configuration that was made elsewhere may hold.

Before mechanisms look at it, each value must have the type that the OCI runtime specification, 1.2 (config.md,
config-linux.md), gives it. Of what they have tightened, only that stays which a mechanism answers for, or which gives
nothing away: a field that nobody looked at may do anything, as hooks do.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hardening.assemble.oci_fields import misfits, taken_for, without_unknown
from hardening.base.pointer import escape
from hardening.errors import HardeningError, SpecError, raise_all
from hardening.launch.config.config import INTERPRETED_ANNOTATIONS
from hardening.mechanism.mechanism import Violation

_WIDTH = 60
_DEPTH = 64
_HINT = "correct the configuration, or have the tool that wrote it write it again"

#: Fields that say what is run and give it nothing.
NEUTRAL = frozenset(
    {"/ociVersion", "/root/path", "/process/args", "/process/cwd", "/process/consoleSize", "/annotations"}
)
#: Fields that take something away: without them a container would be freer, also where no mechanism answers for them.
RESTRICTIONS = frozenset(
    {
        "/root/readonly",
        *(
            f"/process/{name}"
            for name in ("user", "capabilities", "noNewPrivileges", "rlimits", "apparmorProfile", "selinuxLabel")
        ),
        *(
            f"/linux/{name}"
            for name in ("namespaces", "uidMappings", "gidMappings", "seccomp", "maskedPaths", "readonlyPaths")
        ),
        *(f"/linux/resources/{name}" for name in ("devices", "pids", "blockIO", "hugepageLimits", "rdma")),
        *(f"/linux/resources/memory/{name}" for name in ("limit", "reservation", "swap", "kernel", "kernelTCP")),
        *(f"/linux/resources/cpu/{name}" for name in ("shares", "quota", "period", "cpus", "mems")),
        # Without its class, packets leave past the limits that the host has for it.
        "/linux/resources/network/classID",
    }
)
#: Beginnings of the annotations that change what a runtime does: those of crun and runc, and those of Kata Containers and
#: gVisor. Every other annotation informs.
DIRECTIVES = (*INTERPRETED_ANNOTATIONS, "io.katacontainers.", "dev.gvisor.")


def require_shape(document: Mapping[str, Any]) -> None:
    """Raise `SpecError`, or several as `Problems`, for every value of another type than the specification gives it, and for
    every one that JSON cannot hold."""
    problems: list[HardeningError] = [
        SpecError(f"{wanted} is expected", origin=pointer, hint=_HINT)
        for pointer, wanted in [*_unwritable(document), *misfits(document)]
    ]
    raise_all(problems)


def _unwritable(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The JSON pointers of values that cannot be written as JSON in UTF-8 again, and what should stand there: JSON's escapes
    can spell half of a surrogate pair, and Python reads numbers that JSON does not have."""
    pending: list[tuple[Any, str, int]] = [(document, "", 0)]
    while pending:
        value, pointer, depth = pending.pop()
        if depth > _DEPTH:
            yield pointer, f"a value at most {_DEPTH} levels deep"
        elif isinstance(value, Mapping):
            for key, item in value.items():
                place = f"{pointer}/{escape(_printable(key))}"
                if _printable(key) != key:
                    yield place, "a key of Unicode characters"
                pending.append((item, place, depth + 1))
        elif isinstance(value, list):
            pending += [(item, f"{pointer}/{index}", depth + 1) for index, item in enumerate(value)]
        elif isinstance(value, str) and _printable(value) != value:
            yield pointer, "a string of Unicode characters"
        elif isinstance(value, float) and not math.isfinite(value):
            yield pointer, "a finite number"


def _printable(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def only_fields(document: Mapping[str, Any], owned: Collection[str]) -> tuple[dict[str, Any], list[Violation]]:
    """A configuration with fields of the specification only, at every depth, and what else it had: another parser than
    ours may read a key that we do not know. ``owned`` are the JSON pointers that mechanisms answer for; a whole part that
    another parser knows no better is left for `strip`, since a mechanism may contribute to it."""
    parts = {f"/{escape(key)}" for key in document if not taken_for(key)}
    kept, unknown = without_unknown(document, parts.union(owned))
    return kept, [Violation(item.pointer, _shown(item.value), f"none: {item}", "") for item in unknown]


def strip(document: Mapping[str, Any], owned: Collection[str]) -> tuple[dict[str, Any], list[Violation]]:
    """A configuration without what nobody answers for, and what that was.

    ``owned`` are the JSON pointers that mechanisms answer for, each with all below it.
    """
    violations: list[Violation] = []
    kept = _strip(document, NEUTRAL | RESTRICTIONS | frozenset(owned), "", violations)
    annotations = {}
    for key, value in kept.get("annotations", {}).items():
        pointer = f"/annotations/{escape(key)}"
        if key.startswith(DIRECTIVES) and pointer not in owned:
            violations.append(Violation(pointer, _shown(value), "none: it directs the runtime", ""))
        else:
            annotations[key] = value
    if "annotations" in kept:
        kept["annotations"] = annotations
    return kept, violations


def _strip(
    value: Mapping[str, Any], known: Collection[str], pointer: str, violations: list[Violation]
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        place = f"{pointer}/{escape(key)}"
        if place in known:
            kept[key] = item
        elif isinstance(item, Mapping) and any(other.startswith(f"{place}/") for other in known):
            kept[key] = _strip(item, known, place, violations)
        else:
            violations.append(Violation(place, _shown(item), "none: no mechanism owns it", ""))
    return kept


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"
