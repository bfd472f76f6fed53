"""The fields of the OCI runtime spec 1.2 for Linux: what a runtime can be expected to read at all.

A mapping gives the fields of an object; ``"*"`` stands for any name, a list for the items of a list; ``None`` ends the
description: whatever lies below is one value, or the business of whoever reads it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

_ID_MAP = {"containerID": None, "hostID": None, "size": None}
_HOOK = [{"path": None, "args": None, "env": None, "timeout": None}]
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_DEVICE_RULE = {"allow": None, "type": None, "major": None, "minor": None, "access": None}
_SECCOMP = {
    "defaultAction": None,
    "defaultErrnoRet": None,
    "flags": None,
    "listenerPath": None,
    "listenerMetadata": None,
    "architectures": None,
    "syscalls": [
        {
            "names": None,
            "action": None,
            "errnoRet": None,
            "args": [{"index": None, "value": None, "valueTwo": None, "op": None}],
        }
    ],
}
_RESOURCES = {
    "unified": None,
    "devices": [_DEVICE_RULE],
    "pids": {"limit": None},
    "memory": dict.fromkeys(
        (
            "limit",
            "reservation",
            "swap",
            "kernel",
            "kernelTCP",
            "swappiness",
            "disableOOMKiller",
            "useHierarchy",
            "checkBeforeUpdate",
        )
    ),
    "cpu": dict.fromkeys(
        ("shares", "quota", "burst", "period", "realtimePeriod", "realtimeRuntime", "cpus", "mems", "idle")
    ),
    "blockIO": None,
    "hugepageLimits": [{"pageSize": None, "limit": None}],
    "network": {"classID": None, "priorities": None},
    "rdma": None,
}
_LINUX = {
    "namespaces": [{"type": None, "path": None}],
    "uidMappings": [_ID_MAP],
    "gidMappings": [_ID_MAP],
    "timeOffsets": {"*": {"secs": None, "nanosecs": None}},
    "devices": [
        {
            "path": None,
            "type": None,
            "major": None,
            "minor": None,
            "fileMode": None,
            "uid": None,
            "gid": None,
        }
    ],
    "cgroupsPath": None,
    "resources": _RESOURCES,
    "intelRdt": None,
    "sysctl": None,
    "seccomp": _SECCOMP,
    "rootfsPropagation": None,
    "maskedPaths": None,
    "readonlyPaths": None,
    "mountLabel": None,
    "personality": {"domain": None, "flags": None},
}
_PROCESS = {
    "terminal": None,
    "consoleSize": {"height": None, "width": None},
    "cwd": None,
    "env": None,
    "args": None,
    "rlimits": [{"type": None, "soft": None, "hard": None}],
    "apparmorProfile": None,
    "capabilities": dict.fromkeys(("bounding", "effective", "permitted", "inheritable", "ambient")),
    "noNewPrivileges": None,
    "oomScoreAdj": None,
    "scheduler": None,
    "selinuxLabel": None,
    "ioPriority": None,
    "execCPUAffinity": None,
    "user": dict.fromkeys(("uid", "gid", "umask", "additionalGids")),
}
CONFIG: MappingProxyType[str, Any] = MappingProxyType(
    {
        "ociVersion": None,
        "root": {"path": None, "readonly": None},
        "process": _PROCESS,
        "hostname": None,
        "domainname": None,
        "mounts": [
            {
                "destination": None,
                "type": None,
                "source": None,
                "options": None,
                "uidMappings": [_ID_MAP],
                "gidMappings": [_ID_MAP],
            }
        ],
        "hooks": dict.fromkeys(_HOOKS, _HOOK),
        "annotations": None,
        "linux": _LINUX,
    }
)
