"""What a configuration that was made elsewhere must look like before mechanisms look at it: the types of the OCI runtime
specification, 1.2 (config.md, config-linux.md). What stands at other places is left to runtimes, which refuse what they
do not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from hardening.errors import HardeningError, SpecError, raise_all

_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1
_HINT = "correct the configuration, or have the tool that wrote it write it again"


@attrs.frozen
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


def require_shape(document: Mapping[str, Any]) -> None:
    """Raise `SpecError`, or several as `Problems`, for every value of another type than the specification gives it."""
    problems: list[HardeningError] = [
        SpecError(f"{wanted} is expected", origin=pointer, hint=_HINT)
        for pointer, wanted in _wrong(document, _CONFIGURATION, "")
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
                yield from _wrong(item, inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")


def _fits(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and _LOWEST <= value <= _HIGHEST
    return isinstance(value, kind)
