"""What ``podman inspect`` and ``docker inspect`` print of a container, as the OCI configuration that the engine makes of it,
as far as it is scored.

Of what they do not print the stricter reading counts: a user that is a name is root, and a rootless engine has no user
namespace unless it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from hardening.base import jsontext
from hardening.base.linux import abi
from hardening.base.values import frozen
from hardening.errors import LaunchError, SpecError
from hardening.launch.config.model import DEFAULT_DEVICES
from hardening.mechanism import idmaps

T = TypeVar("T")

#: What docker gives to root (moby, profiles and oci/caps/defaults.go); podman prints its own.
_DOCKER_CAPABILITIES = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
        "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    )
)  # fmt: skip
#: What podman masks and write-protects, and does not print (containers/common, pkg/config).
MASKED = (
    "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
)  # fmt: skip
READ_ONLY = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
#: Type of namespace -> where docker, or podman, says how it is shared.
_MODES = {
    "network": ("NetworkMode",), "pid": ("PidMode",), "ipc": ("IpcMode",), "uts": ("UTSMode",),
    "cgroup": ("CgroupnsMode", "CgroupMode"),
}  # fmt: skip
#: What both engines take for true (Go, strconv.ParseBool).
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
#: What podman lets a command write where its root is read-only (--read-only-tmpfs).
_OWN_TMPFS = ("/run", "/tmp", "/var/tmp")  # noqa: S108
_SHARED = ("/dev/shm", "/dev/mqueue")  # noqa: S108
_HINT = "give it what `podman inspect CONTAINER` or `docker inspect CONTAINER` prints"
_KINDS = {bool: "true or false", int: "an integer", str: "a string", dict: "an object", list: "an array"}
#: `/linux/seccomp` of an engine's filter, from its capabilities and the profile that it names; None is its own.
FilterOf = Callable[[frozenset[str], str | None], Mapping[str, Any] | None]


@frozen(eq=False)
class _Printed:
    """An object of the output at a JSON pointer; what is null there is missing."""

    raw: Mapping[str, Any]
    pointer: str

    def get(self, key: str, kind: type[T]) -> T | None:
        """A member of a type, or None; `SpecError` for one of another type."""
        value = self.raw.get(key)
        if value is not None and not (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
            raise SpecError(f"{_KINDS[kind]} is expected", origin=f"{self.pointer}/{key}", hint=_HINT)
        return value

    def text(self, key: str) -> str:
        return self.get(key, str) or ""

    def number(self, key: str) -> int:
        return self.get(key, int) or 0

    def flag(self, key: str) -> bool:
        return self.get(key, bool) or False

    def table(self, key: str) -> _Printed:
        return _Printed(self.get(key, dict) or {}, f"{self.pointer}/{key}")

    def texts(self, key: str) -> list[str]:
        found = self.get(key, list) or []
        if not all(isinstance(item, str) for item in found):
            raise SpecError("an array of strings is expected", origin=f"{self.pointer}/{key}", hint=_HINT)
        return found

    def tables(self, key: str) -> Iterator[_Printed]:
        for index, item in enumerate(self.get(key, list) or []):
            if not isinstance(item, dict):
                raise SpecError("an object is expected", origin=f"{self.pointer}/{key}/{index}", hint=_HINT)
            yield _Printed(item, f"{self.pointer}/{key}/{index}")


def read(text: bytes, origin: str, filter_of: FilterOf) -> dict[str, dict[str, Any]]:
    """The configuration of each container of the output by its name. Raises `SpecError` for what is no such output."""
    try:
        raw = jsontext.parse(text, origin)
    except LaunchError as error:
        raise SpecError(error.message, origin=error.origin, hint=_HINT) from None
    found = raw if isinstance(raw, list) else [raw]
    containers = {}
    for index, item in enumerate(found):
        if not isinstance(item, dict) or not isinstance(item.get("HostConfig"), dict):
            raise SpecError("no container of podman or docker", origin=f"{origin}:/{index}", hint=_HINT)
        printed = _Printed(item, f"{origin}:/{index}")
        containers[printed.text("Name").lstrip("/") or printed.text("Id")[:12] or str(index)] = _document(
            printed, filter_of
        )
    if not containers:
        raise SpecError("no container", origin=origin, hint=_HINT)
    return containers


def _document(printed: _Printed, filter_of: FilterOf) -> dict[str, Any]:
    host, config = printed.table("HostConfig"), printed.table("Config")
    podman, privileged = "BoundingCaps" in printed.raw, host.flag("Privileged")
    options = dict(map(_option, host.texts("SecurityOpt")))
    sets = _capabilities(printed, host, podman=podman)
    process: dict[str, Any] = {
        "capabilities": sets, "terminal": config.flag("Tty"), "env": config.texts("Env"),
        "user": _user(config, host), "oomScoreAdj": host.number("OomScoreAdj"),
        "noNewPrivileges": options.get("no-new-privileges") in _TRUE,
        "rlimits": [
            {"type": f"RLIMIT_{item.text('Name').upper().removeprefix('RLIMIT_')}", "soft": item.number("Soft") % 2**64,
             "hard": item.number("Hard") % 2**64}
            for item in host.tables("Ulimits")
        ],
    }  # fmt: skip
    for key, field in (("selinuxLabel", "ProcessLabel"), ("apparmorProfile", "AppArmorProfile")):
        if printed.text(field) and not privileged:
            process[key] = printed.text(field)
    masked, fixed = (host.texts(key) for key in ("MaskedPaths", "ReadonlyPaths"))
    # Of single paths podman says nothing but the words that it was called with.
    words = " ".join([*host.texts("SecurityOpt"), *config.texts("CreateCommand")])
    bare = {path for listed in re.findall(r"\bunmask=(\S+)", words) for path in listed.split(":")}
    shown = privileged or not {"all", "ALL"}.isdisjoint(bare)
    if podman and not shown:
        masked, fixed = ([path for path in paths if path not in bare] for paths in (MASKED, READ_ONLY))
    linux: dict[str, Any] = {
        "namespaces": [*_namespaces(host)], "resources": _resources(host, privileged=privileged),
        "maskedPaths": masked, "readonlyPaths": fixed,
        "devices": [*map(_device, host.tables("Devices")), *map(_requested, host.tables("DeviceRequests"))],
    }  # fmt: skip
    for side, key in (("uid", "UidMap"), ("gid", "GidMap")):
        lines = filter(_is_map, host.table("IDMappings").texts(key))
        ranges = [idmaps.IdRange(*map(int, line.split(":"))) for line in lines]
        if ranges:
            linux[f"{side}Mappings"] = idmaps.to_oci(ranges)
    profile = options.get("seccomp")
    if not privileged and profile != "unconfined":
        named = None if profile in (None, "builtin", "") else profile
        linux["seccomp"] = filter_of(frozenset(sets["bounding"]), named)
    return {
        "process": process, "root": {"readonly": host.flag("ReadonlyRootfs")}, "linux": linux,
        "mounts": [*_mounts(printed, host, shown=shown, privileged=privileged, podman=podman)],
    }  # fmt: skip


def _option(text: str) -> tuple[str, str]:
    """A security option: both engines write its value after ``=``, older ones after ``:``."""
    match = re.match(r"[a-z-]+", text)
    name = match[0] if match else text
    return name, text[len(name) + 1 :] or "true"


def _capabilities(printed: _Printed, host: _Printed, *, podman: bool) -> dict[str, list[str]]:
    """The sets: podman prints them, docker what changes its own."""
    if podman:
        held = printed.texts("EffectiveCaps")
        return {"bounding": printed.texts("BoundingCaps"), "effective": held, "permitted": held}
    added, dropped = ({_capability(name) for name in host.texts(key)} for key in ("CapAdd", "CapDrop"))
    every = frozenset(abi.CAPABILITIES)
    whole = every if host.flag("Privileged") or "CAP_ALL" in added else _DOCKER_CAPABILITIES | added
    names = sorted(added & every if "CAP_ALL" in dropped else whole - dropped)
    return dict.fromkeys(("bounding", "effective", "permitted"), names)


def _capability(name: str) -> str:
    return f"CAP_{name.upper().removeprefix('CAP_')}"


def _device(printed: _Printed) -> dict[str, Any]:
    """A device, with its numbers where every host has it."""
    major, minor = DEFAULT_DEVICES.get(printed.text("PathOnHost"), (None, None))
    numbers = {} if major is None else {"major": major, "minor": minor}
    return {"path": printed.text("PathInContainer"), "type": "c"} | numbers


def _requested(printed: _Printed) -> dict[str, Any]:
    """What a driver of the host's adds (docker's --gpus, CDI), by the names that it was asked for."""
    return {"path": ", ".join(printed.texts("DeviceIDs")) or printed.text("Driver") or "GPU", "type": "c"}


def _user(config: _Printed, host: _Printed) -> dict[str, Any]:
    user, _, group = config.text("User").partition(":")
    groups = [int(name) if name.isdecimal() else 0 for name in host.texts("GroupAdd")]
    mask = config.text("Umask") or "0022"
    return {
        "uid": int(user) if user.isdecimal() else 0, "gid": int(group) if group.isdecimal() else 0,
        "umask": int(mask, 8) if re.fullmatch("[0-7]{1,4}", mask) else 0,
    } | ({"additionalGids": groups} if groups else {})  # fmt: skip


def _namespaces(host: _Printed) -> Iterator[dict[str, str]]:
    yield {"type": "mount"}
    for kind, keys in _MODES.items():
        mode = next((mode for key in keys if (mode := host.text(key))), "")
        if mode.startswith(("container:", "ns:")):
            yield {"type": kind, "path": mode.partition(":")[2]}
        elif mode != "host":
            yield {"type": kind}
    if host.table("IDMappings").texts("UidMap"):
        yield {"type": "user"}


def _is_map(line: str) -> bool:
    return re.fullmatch(r"\d{1,10}:\d{1,10}:\d{1,10}", line) is not None


def _resources(host: _Printed, *, privileged: bool) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [{"allow": privileged, "access": "rwm"}]
    rules += [
        {"allow": True, "type": line[:1], "access": "rwm"}
        for line in host.texts("DeviceCgroupRules")
        if line[:1] == "a" or re.match(r"[bc] \*:\*", line)
    ]
    quota = host.number("CpuQuota") or host.number("NanoCpus") // 10_000
    return {
        "devices": rules, "pids": {"limit": host.number("PidsLimit")}, "memory": {"limit": host.number("Memory")},
        "cpu": {"quota": quota},
    }  # fmt: skip


def _mounts(
    printed: _Printed, host: _Printed, *, shown: bool, privileged: bool, podman: bool
) -> Iterator[dict[str, Any]]:
    tight = ["nosuid", "noexec", "nodev"]
    for place, kind in (("/proc", "proc"), ("/dev", "tmpfs")):
        yield _mount(place, kind, *tight)
    yield _mount("/sys", "sysfs", *tight, "rw" if privileged else "ro")
    yield _mount("/sys/fs/cgroup", "cgroup", *tight, "rw" if shown else "ro")
    for place in _SHARED if host.text("IpcMode") == "host" else ():
        yield {"destination": place, "type": "bind", "source": place, "options": ["bind", *tight]}
    tmpfs = {str(place): str(options) for place, options in (host.get("Tmpfs", dict) or {}).items()}
    own = dict.fromkeys(_OWN_TMPFS if podman and host.flag("ReadonlyRootfs") else (), "rw")
    for place, words in (own | tmpfs).items():
        # docker's are noexec unless that is lifted (moby, daemon/oci_linux.go)
        more = [] if podman or "exec" in words.split(",") else ["noexec"]
        yield _mount(place, "tmpfs", "nosuid", "nodev", *more, *words.split(","))
    for item in printed.tables("Mounts"):
        if item.text("Type") != "tmpfs":
            options = ["rbind", *item.texts("Options"), "rw" if item.flag("RW") else "ro"]
            source = item.text("Source")
            yield {"destination": item.text("Destination"), "type": "bind", "source": source, "options": options}


def _mount(place: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": kind, "options": [*options]}
