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

from hardening.errors import HardeningError, SpecError, raise_all
from hardening.mechanism import Excess
from hardening.spec import escape
from hardening.values import frozen

_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1
_WIDTH = 60
_DEPTH = 64
_HINT = "correct the configuration, or have the tool that wrote it write it again"


@frozen
class _Each:
    """An object whose members all have one shape."""

    shape: Any


_MAPPINGS = [{"containerID": int, "hostID": int, "size": int}]
_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_PROCESS = {
    "terminal": bool,
    "consoleSize": {"height": int, "width": int},
    "cwd": str,
    "env": [str],
    "args": [str],
    "rlimits": [{"type": str, "hard": int, "soft": int}],
    "apparmorProfile": str,
    "capabilities": {name: [str] for name in _SETS},
    "noNewPrivileges": bool,
    "oomScoreAdj": int,
    "selinuxLabel": str,
    "scheduler": {"policy": str, "nice": int, "priority": int, "flags": [str]},
    "ioPriority": {"class": str, "priority": int},
    "user": {"uid": int, "gid": int, "umask": int, "additionalGids": [int], "username": str},
}
_MOUNT = {
    "destination": str,
    "type": str,
    "source": str,
    "options": [str],
    "uidMappings": _MAPPINGS,
    "gidMappings": _MAPPINGS,
}
_DEVICE = {"type": str, "path": str, "major": int, "minor": int, "fileMode": int, "uid": int, "gid": int}
_RESOURCES = {
    "devices": [{"allow": bool, "type": str, "major": int, "minor": int, "access": str}],
    "memory": {
        **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness"), int),
        **dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), bool),
    },
    "cpu": {
        **dict.fromkeys(("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "idle"), int),
        "cpus": str,
        "mems": str,
    },
    "pids": {"limit": int},
    "blockIO": {},
    "hugepageLimits": [{"pageSize": str, "limit": int}],
    "network": {"classID": int, "priorities": [{"name": str, "priority": int}]},
    "rdma": _Each({"hcaHandles": int, "hcaObjects": int}),
    "unified": _Each(str),
}
_SECCOMP = {
    "defaultAction": str,
    "defaultErrnoRet": int,
    "architectures": [str],
    "flags": [str],
    "listenerPath": str,
    "listenerMetadata": str,
    "syscalls": [
        {
            "names": [str],
            "action": str,
            "errnoRet": int,
            "args": [{"index": int, "value": int, "valueTwo": int, "op": str}],
        }
    ],
}
_LINUX = {
    "uidMappings": _MAPPINGS,
    "gidMappings": _MAPPINGS,
    "namespaces": [{"type": str, "path": str}],
    "timeOffsets": _Each({"secs": int, "nanosecs": int}),
    "devices": [_DEVICE],
    "cgroupsPath": str,
    "resources": _RESOURCES,
    "intelRdt": {},
    "sysctl": _Each(str),
    "seccomp": _SECCOMP,
    "rootfsPropagation": str,
    "maskedPaths": [str],
    "readonlyPaths": [str],
    "mountLabel": str,
    "personality": {"domain": str, "flags": [str]},
}
_CONFIGURATION = {
    "ociVersion": str,
    "root": {"path": str, "readonly": bool},
    "mounts": [_MOUNT],
    "process": _PROCESS,
    "hostname": str,
    "domainname": str,
    "hooks": {},
    "annotations": _Each(str),
    "linux": _LINUX,
}
_NAMES = {bool: "true or false", int: "an integer of at most 64 bits", str: "a string"}

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
        *(
            f"/linux/resources/{name}"
            for name in ("devices", "pids", "memory", "cpu", "blockIO", "hugepageLimits", "rdma")
        ),
    }
)
#: Beginnings of the annotations that change what a runtime does: crun(1), runc's and criu's documentation of checkpoints,
#: runc's of systemd properties, and those of Kata Containers and gVisor. Every other annotation informs.
DIRECTIVES = (
    "run.oci.",
    "module.wasm.",
    "org.criu.",
    "runc.",
    "org.systemd.property.",
    "io.katacontainers.",
    "dev.gvisor.",
)


def require_shape(document: Mapping[str, Any]) -> None:
    """Raise `SpecError`, or several as `Problems`, for every value of another type than the specification gives it, and for
    every one that JSON cannot hold."""
    problems: list[HardeningError] = [
        SpecError(f"{wanted} is expected", origin=pointer, hint=_HINT)
        for pointer, wanted in [*_unwritable(document), *_wrong(document, _CONFIGURATION, "")]
    ]
    raise_all(problems)


def _wrong(value: Any, shape: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """The JSON pointers of wrong values, and what should stand there."""
    if isinstance(shape, type):
        if not _fits(value, shape):
            yield pointer, _NAMES[shape]
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield pointer, "an array"
            return
        for index, item in enumerate(value):
            yield from _wrong(item, shape[0], f"{pointer}/{index}")
    elif not isinstance(value, Mapping):
        yield pointer, "an object"
    else:
        for key, item in value.items():
            inner = shape.shape if isinstance(shape, _Each) else shape.get(key)
            if inner is not None:
                yield from _wrong(item, inner, f"{pointer}/{escape(key)}")


def _fits(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and _LOWEST <= value <= _HIGHEST
    return isinstance(value, kind)


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


def strip(document: Mapping[str, Any], owned: Collection[str]) -> tuple[dict[str, Any], list[Excess]]:
    """A configuration without what nobody answers for, and what that was.

    ``owned`` are the JSON pointers that mechanisms answer for, each with all below it.
    """
    excesses: list[Excess] = []
    kept = _strip(document, NEUTRAL | RESTRICTIONS | frozenset(owned), "", excesses)
    annotations = {}
    for key, value in kept.get("annotations", {}).items():
        pointer = f"/annotations/{escape(key)}"
        if key.startswith(DIRECTIVES) and pointer not in owned:
            excesses.append(Excess(pointer, _shown(value), "none: it directs the runtime", ""))
        else:
            annotations[key] = value
    if "annotations" in kept:
        kept["annotations"] = annotations
    return kept, excesses


def _strip(value: Mapping[str, Any], known: Collection[str], pointer: str, excesses: list[Excess]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        place = f"{pointer}/{escape(key)}"
        if place in known:
            kept[key] = item
        elif isinstance(item, Mapping) and any(other.startswith(f"{place}/") for other in known):
            kept[key] = _strip(item, known, place, excesses)
        else:
            excesses.append(Excess(place, _shown(item), "none: no mechanism answers for it", ""))
    return kept


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"
