"""`/linux` of a configuration -> fields of `Configuration` (runtime-spec config-linux.md)."""

from __future__ import annotations

import _stat as stat

from hardening.base import places
from hardening.base.digest import ANNOTATION
from hardening.base.linux import abi
from hardening.base.linux.idmaps import IdMap
from hardening.launch.config.config_mounts import PROPAGATION, read_id_maps
from hardening.launch.config.model import DEFAULT_DEVICES, ConfigSeccomp, Device, Namespace, Resources, Rule
from hardening.launch.config.reader import ConfigTable, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

NAMESPACES = {
    "pid": abi.CLONE_NEWPID,
    "network": abi.CLONE_NEWNET,
    "mount": abi.CLONE_NEWNS,
    "ipc": abi.CLONE_NEWIPC,
    "uts": abi.CLONE_NEWUTS,
    "user": abi.CLONE_NEWUSER,
    "cgroup": abi.CLONE_NEWCGROUP,
    "time": abi.CLONE_NEWTIME,
}
# Kernel settings that belong to a namespace: prefix -> its kind. All others are the host's.
NAMESPACED_SYSCTLS = {
    "kernel.msg": "ipc",
    "kernel.sem": "ipc",
    "kernel.shm": "ipc",
    "fs.mqueue.": "ipc",
    "kernel.domainname": "uts",
    "kernel.hostname": "uts",
    "net.": "network",
    "user.": "user",
}
UNSUPPORTED: dict[str, Refused] = {
    "intelRdt": (None, "the native launcher does not use Intel RDT"),
    "personality": (dict, "the native launcher does not set personalities"),
    "netDevices": (dict, "the native launcher does not move network devices"),
    "memoryPolicy": (dict, "the native launcher does not set memory policies"),
}
_NOT_SET = "the native launcher does not set this"
_OTHERS = "the native launcher limits pids, memory, cpu and huge pages only"
_LISTENER = "the native launcher does not serve a seccomp listener"
UNSUPPORTED_SECCOMP: dict[str, Refused] = {"listenerPath": (str, _LISTENER), "listenerMetadata": (str, _LISTENER)}
UNSUPPORTED_RESOURCES: dict[str, Refused] = {
    **dict.fromkeys(("blockIO", "network", "rdma"), (dict, _OTHERS)),
}
UNSUPPORTED_MEMORY: dict[str, Refused] = {
    **dict.fromkeys(("kernel", "kernelTCP"), (int, _NOT_SET)),
    **dict.fromkeys(("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"), (bool, _NOT_SET)),
    "swappiness": (None, _NOT_SET),  # 0 is a setting
}
UNSUPPORTED_CPU: dict[str, Refused] = dict.fromkeys(
    ("burst", "realtimeRuntime", "realtimePeriod", "idle"), (int, _NOT_SET)
)


def read_linux(config: ConfigTable, annotations: dict[str, str]) -> dict[str, Any]:
    """Keyword arguments for `Configuration`, and ``mount_label``."""
    table = config.table("linux", required=True) or ConfigTable({}, "/linux", [])
    namespaces = _read_namespaces(table)
    kinds = {namespace.kind: namespace for namespace in namespaces}
    propagation = table.text("rootfsPropagation")
    if propagation and propagation.removeprefix("r") not in PROPAGATION:
        table.refuse("rootfsPropagation", f"must be one of {', '.join(PROPAGATION)}, or one of them with an r before")
    fields: dict[str, Any] = {
        "namespaces": namespaces,
        "uid_map": read_id_maps(table, "uidMappings"),
        "gid_map": read_id_maps(table, "gidMappings"),
        "time_offsets": _read_time_offsets(table, kinds),
        "sysctl": _read_sysctl(table, kinds),
        "masked": _read_paths(table, "maskedPaths"),
        "read_only": _read_paths(table, "readonlyPaths"),
        "seccomp": _read_seccomp(table, annotations),
        "devices": _read_devices(table, "user" in kinds),
        **_read_resources(table),
        "cgroups_path": _read_cgroups_path(table),
        "mount_label": table.text("mountLabel", longest=4096),
        "root_propagation_below": propagation.startswith("r"),
        "root_propagation": PROPAGATION.get(propagation.removeprefix("r"), abi.MS_PRIVATE),
    }
    table.done(UNSUPPORTED)
    _check_user_namespace(table, kinds.get("user"), fields["uid_map"], fields["gid_map"])
    return fields


def _read_namespaces(table: ConfigTable) -> tuple[Namespace, ...]:
    found: dict[str, Namespace] = {}
    for entry in table.tables("namespaces"):
        kind, path = entry.text("type", required=True), entry.text("path", longest=4096)
        entry.done()
        if path and not path.startswith("/"):
            entry.refuse("path", "must be an absolute path")
        if kind not in NAMESPACES:
            entry.refuse("type", f"unknown namespace {kind!r}")
        elif kind in found:
            entry.refuse("type", f"the {kind} namespace is listed twice")
        else:
            found[kind] = Namespace(kind=kind, flag=NAMESPACES[kind], path=path, pointer=entry.pointer)
    return tuple(found.values())


def _check_user_namespace(
    table: ConfigTable, user: Namespace | None, uid_map: tuple[IdMap, ...], gid_map: tuple[IdMap, ...]
) -> None:
    if user is None or user.path:
        where = "in the namespace that is joined" if user else "without a user namespace"
        for key, maps in (("uidMappings", uid_map), ("gidMappings", gid_map)):
            if maps:
                table.refuse(key, f"cannot be set {where}")
    else:
        for key, maps in (("uidMappings", uid_map), ("gidMappings", gid_map)):
            if not maps:
                table.refuse(key, "is needed for a new user namespace")


def _read_time_offsets(table: ConfigTable, kinds: dict[str, Namespace]) -> tuple[tuple[str, int, int], ...]:
    offsets = table.table("timeOffsets")
    if offsets is None:
        return ()
    result = []
    for clock in ("monotonic", "boottime"):
        entry = offsets.table(clock)
        if entry is not None:
            seconds = entry.integer("secs", -(2**63), 2**63 - 1) or 0
            result.append((clock, seconds, entry.integer("nanosecs", 0, 999_999_999) or 0))
            entry.done()
    offsets.done()
    if result and ("time" not in kinds or kinds["time"].path):
        table.refuse("timeOffsets", "needs a new time namespace")
    return tuple(result)


def _read_sysctl(table: ConfigTable, kinds: dict[str, Namespace]) -> tuple[tuple[str, str], ...]:
    pairs = table.mapping("sysctl")
    for name, _ in pairs:
        needed = next((kind for prefix, kind in NAMESPACED_SYSCTLS.items() if name.startswith(prefix)), None)
        if "/" in name or ".." in name:
            table.refuse("sysctl", f"{name!r} is not a name with dots between its parts")
        elif needed is None:
            table.refuse("sysctl", "is a setting of the whole host", name)
        elif needed not in kinds:
            table.refuse("sysctl", f"is a setting of the host unless there is a {needed} namespace", name)
    return pairs


def _read_paths(table: ConfigTable, key: str) -> tuple[str, ...]:
    paths = table.strings(key)
    for index, path in enumerate(paths):
        if not path.startswith("/"):
            table.refuse(key, "must be an absolute path", index)
    return paths


def _read_seccomp(table: ConfigTable, annotations: dict[str, str]) -> ConfigSeccomp | None:
    digest = annotations.get(ANNOTATION)
    entry = table.table("seccomp")
    if entry is None:
        if digest is not None and not table.has("seccomp"):
            table.refuse("seccomp", f"is missing, and the annotation {ANNOTATION} announces a filter")
        return None
    flags = 0
    for index, name in enumerate(entry.strings("flags")):
        if name in abi.SECCOMP_FILTER_FLAGS:
            flags |= abi.SECCOMP_FILTER_FLAGS[name]
        else:
            entry.refuse("flags", f"the native launcher does not set {name!r}", index)
    if digest is None:
        table.refuse(
            "seccomp",
            "is not compiled: the native launcher loads seccomp.bpf beside config.json, which the annotation"
            f" {ANNOTATION} binds to it (`hardening apply` writes both)",
        )
    # The digest holds these to the program; only what no runtime knows is refused by name.
    entry.pass_over("defaultAction", "defaultErrnoRet", "architectures", "syscalls")
    entry.done(UNSUPPORTED_SECCOMP)
    return ConfigSeccomp(flags=flags, source=entry.data(), sha256=(digest or "").lower())


def _read_devices(table: ConfigTable, has_user_namespace: bool) -> tuple[Device, ...]:
    devices = []
    for entry in table.tables("devices"):
        path, kind = entry.text("path", required=True), entry.text("type", required=True)
        major, minor = entry.integer("major", 0, 2**32 - 1), entry.integer("minor", 0, 2**32 - 1)
        mode = entry.integer("fileMode", 0, 0o177777)
        uid, gid = entry.integer("uid", 0, 2**32 - 2) or 0, entry.integer("gid", 0, 2**32 - 2) or 0
        entry.done()
        if kind not in ("c", "u", "b"):
            entry.refuse("type", "must be c, u or b")
        if mode is not None and mode & ~0o777 not in (0, stat.S_IFBLK if kind == "b" else stat.S_IFCHR):
            entry.refuse("fileMode", "has more than permissions and the bits of the device's own type")
        if not path.startswith("/dev/") or ".." in path.split("/"):
            entry.refuse("path", "must lie below /dev")
        if has_user_namespace and DEFAULT_DEVICES.get(path) != (major, minor):
            entry.refuse("", "in a user namespace only the default devices can be made")
        devices.append(
            Device(
                path=path,
                kind="b" if kind == "b" else "c",
                major=major or 0,
                minor=minor or 0,
                mode=0o666 if mode is None else mode & 0o777,
                uid=uid,
                gid=gid,
            )
        )
    return tuple(devices)


def _read_cgroups_path(table: ConfigTable) -> str:
    # `slice:prefix:name`, which engines write for systemd, is the name of a group as any other: that is how crun and runc
    # take it where nobody has them ask systemd.
    path = table.text("cgroupsPath", longest=4096)
    if path and (why := places.wrong_group(path)):
        table.refuse("cgroupsPath", why)
    return path


def _read_resources(table: ConfigTable) -> dict[str, Any]:
    entry = table.table("resources")
    if entry is None:
        return {"resources": None}
    rules: tuple[Rule, ...] = ()
    if entry.has("devices"):
        from hardening.launch.config import device_rules

        rules = device_rules.read(entry)
    limit = 2**63 - 1
    pids, memory, cpu = entry.table("pids"), entry.table("memory"), entry.table("cpu")
    values: dict[str, Any] = {}
    if pids is not None:
        values["pids"] = pids.integer("limit", -1, limit)
        pids.done()
    if memory is not None:
        values["memory"] = memory.integer("limit", -1, limit, zero_is_none=True)
        values["memory_swap"] = memory.integer("swap", -1, limit, zero_is_none=True)
        values["memory_reservation"] = memory.integer("reservation", -1, limit, zero_is_none=True)
        memory.done(UNSUPPORTED_MEMORY)
    if cpu is not None:
        values["cpu_shares"] = cpu.integer("shares", 2, 262144, zero_is_none=True)
        values["cpu_quota"] = cpu.integer("quota", -1, limit, zero_is_none=True)
        values["cpu_period"] = cpu.integer("period", 1000, 1_000_000, zero_is_none=True)
        values["cpus"], values["mems"] = cpu.text("cpus"), cpu.text("mems")
        cpu.done(UNSUPPORTED_CPU)
    values["hugepages"] = tuple(_read_hugepages(entry))
    values["unified"] = entry.mapping("unified")
    for name, text in values["unified"]:
        if not _is_limit(name):
            entry.refuse("unified", "is not a file of a controller, nor a limit that each control group has", name)
        elif not text.strip():
            entry.refuse("unified", "is empty", name)
    entry.done(UNSUPPORTED_RESOURCES)
    limits = Resources(**values) if any(value not in (None, "", ()) for value in values.values()) else None
    return {"resources": limits, "device_rules": rules}


def _read_hugepages(resources: ConfigTable) -> Iterator[tuple[str, int]]:
    for entry in resources.tables("hugepageLimits"):
        size = entry.text("pageSize", required=True)
        limit = entry.integer("limit", 0, 2**64 - 1, required=True)
        entry.done()
        if size[-2:] not in ("KB", "MB", "GB") or not size[:-2].isascii() or not size[:-2].isdecimal():
            entry.refuse("pageSize", "must be a number and KB, MB or GB, such as 2MB")
        elif limit is not None:
            yield size, limit


def _is_limit(name: str) -> bool:
    """Whether a name is that of a controller's file, or of a limit that each group has; none leads to another group, or
    to its processes."""
    controller, dot, rest = name.partition(".")
    plain = name.isascii() and name.replace(".", "").replace("_", "").isalnum()
    return plain and bool(controller and dot and rest) and (controller != "cgroup" or rest.startswith("max."))
