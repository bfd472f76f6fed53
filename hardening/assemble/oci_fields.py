"""The fields of the OCI runtime specification 1.2 for Linux (config.md, config-linux.md): names and types, in one place.

A mapping gives the fields of an object, a list the shape of its items, `Each` an object whose members have names of their
own. Nothing else is a field, whatever its case: runtimes that are written in Go (runc, podman, containerd) read keys
whatever their case, and of two that differ in nothing else the later counts (encoding/json, Unmarshal).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from types import MappingProxyType
from typing import Any

from hardening.base.pointer import above, escape
from hardening.base.values import frozen


@frozen
class Each:
    """An object whose members all have one shape."""

    shape: Any


_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1
_TYPES = {bool: "true or false", int: "an integer of at most 64 bits", str: "a string"}
_ID_MAPS = [{"containerID": int, "hostID": int, "size": int}]
_NUMBERS = {"major": int, "minor": int}
_CLOCK = {"secs": int, "nanosecs": int}
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_HOOK_LIST = [{"path": str, "args": [str], "env": [str], "timeout": int}]
_PROCESS = {
    "terminal": bool,
    "consoleSize": {"height": int, "width": int},
    "cwd": str,
    "env": [str],
    "args": [str],
    "rlimits": [{"type": str, "hard": int, "soft": int}],
    "apparmorProfile": str,
    "capabilities": {name: [str] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")},
    "noNewPrivileges": bool,
    "oomScoreAdj": int,
    "selinuxLabel": str,
    "scheduler": {
        "policy": str,
        **dict.fromkeys(("nice", "priority", "runtime", "deadline", "period"), int),
        "flags": [str],
    },
    "ioPriority": {"class": str, "priority": int},
    "execCPUAffinity": {"initial": str, "final": str},
    "user": {"uid": int, "gid": int, "umask": int, "additionalGids": [int]},
}
_THROTTLES = [{**_NUMBERS, "rate": int}]
_RESOURCES = {
    "devices": [{"allow": bool, "type": str, **_NUMBERS, "access": str}],
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
    "blockIO": {
        "weight": int,
        "leafWeight": int,
        "weightDevice": [{**_NUMBERS, "weight": int, "leafWeight": int}],
        **{f"throttle{way}{unit}Device": _THROTTLES for way in ("Read", "Write") for unit in ("Bps", "IOPS")},
    },
    "hugepageLimits": [{"pageSize": str, "limit": int}],
    "network": {"classID": int, "priorities": [{"name": str, "priority": int}]},
    "rdma": Each({"hcaHandles": int, "hcaObjects": int}),
    "unified": Each(str),
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
    "uidMappings": _ID_MAPS,
    "gidMappings": _ID_MAPS,
    "namespaces": [{"type": str, "path": str}],
    "timeOffsets": {"monotonic": _CLOCK, "boottime": _CLOCK},
    "devices": [{"type": str, "path": str, **_NUMBERS, "fileMode": int, "uid": int, "gid": int}],
    "cgroupsPath": str,
    "resources": _RESOURCES,
    "intelRdt": {"closID": str, "l3CacheSchema": str, "memBwSchema": str, "enableCMT": bool, "enableMBM": bool},
    "sysctl": Each(str),
    "seccomp": _SECCOMP,
    "rootfsPropagation": str,
    "maskedPaths": [str],
    "readonlyPaths": [str],
    "mountLabel": str,
    "personality": {"domain": str, "flags": [str]},
}
#: The whole configuration.
CONFIG: MappingProxyType[str, Any] = MappingProxyType(
    {
        "ociVersion": str,
        "root": {"path": str, "readonly": bool},
        "mounts": [
            {
                "destination": str,
                "type": str,
                "source": str,
                "options": [str],
                "uidMappings": _ID_MAPS,
                "gidMappings": _ID_MAPS,
            }
        ],
        "process": _PROCESS,
        "hostname": str,
        "domainname": str,
        "hooks": dict.fromkeys(_HOOKS, _HOOK_LIST),
        "annotations": Each(str),
        "linux": _LINUX,
    }
)


@frozen
class UnknownField:
    """A key that is no field, the value that it has, and the field that a runtime written in Go takes it for: ``""``
    where it takes it for none."""

    pointer: str
    value: Any
    taken_for: str = ""

    def __str__(self) -> str:
        if self.taken_for:
            return f"a runtime that is written in Go, such as runc, reads it as {self.taken_for}"
        return "the OCI runtime specification 1.2 has no such field for Linux"


def without_unknown(
    document: Mapping[str, Any], owned: Collection[str] = ()
) -> tuple[dict[str, Any], list[UnknownField]]:
    """A configuration with nothing in it but fields of the specification, at every depth, and what else it had.

    ``owned`` are JSON pointers that may be there all the same, each with all below it. What has another type than the
    specification gives it stays as it is.
    """
    found: list[UnknownField] = []
    kept = {place for pointer in owned for place in (pointer, *above(pointer))}
    return _known(document, CONFIG, "", kept, found), found


def _known(value: Any, shape: Any, pointer: str, owned: Set[str], found: list[UnknownField]) -> Any:
    if isinstance(shape, list) and isinstance(value, list):
        return [_known(item, shape[0], f"{pointer}/{index}", owned, found) for index, item in enumerate(value)]
    if not isinstance(shape, Mapping | Each) or not isinstance(value, Mapping):
        return value
    kept = {}
    for key, item in value.items():
        place = f"{pointer}/{escape(key)}"
        if isinstance(shape, Each):
            kept[key] = _known(item, shape.shape, place, owned, found)
        elif key in shape:
            kept[key] = _known(item, shape[key], place, owned, found)
        elif place in owned:
            kept[key] = item
        else:
            found.append(UnknownField(place, item, taken_for(key, shape)))
    return kept


def unknown(document: Mapping[str, Any]) -> Iterator[UnknownField]:
    """What of a configuration is no field of the specification."""
    yield from without_unknown(document)[1]


def misfits(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The JSON pointer of each value of another type than its field has, null among them, and what should stand there. Of
    such values crun makes none at all: a root that is to be read-only with ``"true"`` is not. A text with NUL is none
    either: programs written in C take what stands before it."""
    yield from _wrong(document, CONFIG, "")


def _wrong(value: Any, shape: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """The JSON pointers of wrong values, and what should stand there."""
    if isinstance(shape, type):
        if not _fits(value, shape):
            yield pointer, _TYPES[shape]
        elif isinstance(value, str) and "\0" in value:
            yield pointer, "a string without NUL"
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
            inner = shape.shape if isinstance(shape, Each) else shape.get(key)
            if isinstance(shape, Each) and "\0" in key:
                yield f"{pointer}/{escape(key)}", "a name without NUL"
            if inner is not None:
                yield from _wrong(item, inner, f"{pointer}/{escape(key)}")


def _fits(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and _LOWEST <= value <= _HIGHEST
    return isinstance(value, kind)


def taken_for(key: str, names: Collection[str] = CONFIG) -> str:
    """The one of some fields, those of the whole configuration by default, that a runtime written in Go takes a key for,
    or ``""``."""
    return next((name for name in names if _folded(name) == _folded(key)), "")


def _folded(key: str) -> str:
    """A key without its case, letter by letter as Go folds it: the long s and the Kelvin sign are an s and a k."""
    return "".join(folded if len(folded := letter.casefold()) == 1 else letter for letter in key)
