"""A configuration with one member of the OCI runtime specification, and what that needs around it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.assemble.program import ProgramRuntime
from hardening.base.digest import ANNOTATION
from hardening.mechanism.host import Host
from hardening.mechanism.runtime import Refusal
from hardening_oci import Crun, Runc
from hardening_oci.ignored import refusals
from tests.support import bundles

IDS = [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
#: What an item, or an object, must have for one member of it to make sense.
AROUND: Mapping[str, dict[str, Any]] = {
    **{f"/hooks/{name}/*": {"path": "/bin/true"} for name in ("prestart", "createRuntime", "createContainer")},
    **{f"/hooks/{name}/*": {"path": "/bin/true"} for name in ("startContainer", "poststart", "poststop")},
    "/mounts/*": {"destination": "/data", "type": "bind", "source": "/srv"},
    "/process/consoleSize": {"height": 24, "width": 80},
    "/process/ioPriority": {"class": "IOPRIO_CLASS_BE"},
    "/process/scheduler": {"policy": "SCHED_BATCH"},
    "/process/rlimits/*": {"type": "RLIMIT_CORE", "soft": 1, "hard": 2},
    "/linux/devices/*": {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
    "/linux/namespaces/*": {"type": "time"},
    "/linux/resources/devices/*": {"allow": False, "type": "b", "major": 8, "minor": 1, "access": "rw"},
    "/linux/resources/hugepageLimits/*": {"pageSize": "2MB", "limit": 0},
    "/linux/resources/network/priorities/*": {"name": "eth0", "priority": 1},
    "/linux/seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
    "/linux/seccomp/syscalls/*": {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
    "/linux/seccomp/syscalls/*/args/*": {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
    **{
        f"/linux/resources/blockIO/{name}Device/*": {"major": 8, "minor": 0}
        for name in ("throttleReadBps", "throttleWriteBps", "throttleReadIOPS", "throttleWriteIOPS", "weight")
    },
}
#: And what it must have for one certain member.
BESIDE: Mapping[str, dict[str, Any]] = {
    "/linux/seccomp/syscalls/*/errnoRet": {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"},
    "/linux/seccomp/syscalls/*/args/*/valueTwo": {"op": "SCMP_CMP_MASKED_EQ", "value": 3},
}
#: Two values of a member that ask for different things, where those of `values` do not do.
VALUES: Mapping[str, tuple[Any, Any]] = {
    "/ociVersion": ("1.0.2", "1.2.0"),
    "/annotations": ({"org.example.x": "1"}, {"org.example.x": "2"}),
    "/mounts": ([AROUND["/mounts/*"]], []),
    "/mounts/*/source": ("/srv", "/opt"),
    "/mounts/*/destination": ("/data", "/etc"),
    "/mounts/*/options": (["nosuid"], ["noexec"]),
    "/mounts/*/type": ("tmpfs", "bind"),
    "/process/cwd": ("/", "/tmp"),
    "/process/user/additionalGids": ([1], [2]),
    "/process/env": (["A=1"], ["A=2"]),
    "/process/execCPUAffinity/initial": ("0", "0-1"),
    "/process/execCPUAffinity/final": ("0", "0-1"),
    "/process/scheduler/policy": ("SCHED_BATCH", "SCHED_IDLE"),
    "/process/scheduler/flags": (["SCHED_FLAG_RESET_ON_FORK"], ["SCHED_FLAG_KEEP_POLICY"]),
    "/process/ioPriority/class": ("IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"),
    "/process/rlimits/*/type": ("RLIMIT_CORE", "RLIMIT_NICE"),
    "/process/rlimits/*/hard": (2, 3),
    **{f"/process/capabilities/{name}": (["CAP_KILL"], []) for name in ("bounding", "permitted", "inheritable")},
    **{f"/process/capabilities/{name}": (["CAP_KILL"], []) for name in ("effective", "ambient")},
    "/linux/devices/*/type": ("c", "b"),
    "/linux/devices/*/path": ("/dev/fuse", "/dev/other"),
    "/linux/devices/*/fileMode": (0o600, 0o660),
    "/linux/devices/*/major": (10, 11),
    "/linux/uidMappings/*/containerID": (0, 1),
    "/linux/gidMappings/*/containerID": (0, 1),
    "/linux/namespaces/*/type": ("time", "network"),
    "/linux/namespaces/*/path": ("/proc/1/ns/time", "/proc/2/ns/time"),
    "/linux/resources/devices/*/type": ("b", "c"),
    "/linux/resources/devices/*/access": ("rw", "w"),
    "/linux/resources/unified": ({"memory.max": "1"}, {"memory.max": "2"}),
    "/linux/resources/cpu/shares": (2, 3),
    "/linux/resources/cpu/period": (1000, 2000),
    "/linux/resources/cpu/cpus": ("0", "0-1"),
    "/linux/resources/cpu/mems": ("0", "0-1"),
    "/linux/resources/hugepageLimits/*/pageSize": ("2MB", "1GB"),
    "/linux/rootfsPropagation": ("private", "slave"),
    "/linux/seccomp/defaultAction": ("SCMP_ACT_ERRNO", "SCMP_ACT_KILL"),
    "/linux/seccomp/flags": (["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
    "/linux/seccomp/architectures": (["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
    "/linux/seccomp/syscalls/*/names": (["read"], ["write"]),
    "/linux/seccomp/syscalls/*/action": ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG"),
    "/linux/seccomp/syscalls/*/errnoRet": (13, 22),
    "/linux/seccomp/syscalls/*/args/*/op": ("SCMP_CMP_EQ", "SCMP_CMP_NE"),
    "/linux/sysctl": ({"net.ipv4.ip_forward": "0"}, {"net.ipv4.ip_forward": "1"}),
    "/linux/maskedPaths": (["/proc/a"], ["/proc/b"]),
    "/linux/readonlyPaths": (["/proc/a"], ["/proc/b"]),
    "/linux/personality/domain": ("LINUX", "LINUX32"),
    "/linux/intelRdt/memBwSchema": ("MB:0=20", "MB:0=30"),
}
_USUAL: Mapping[str, tuple[Any, Any]] = {
    "string": ("x", "y"),
    "integer": (1, 2),
    "boolean": (True, False),
    "array": (["x"], ["y"]),
    "object": ({"x": "1"}, {"x": "2"}),
}
EMPTY: Mapping[str, Any] = {"string": "", "integer": 0, "boolean": False, "array": [], "object": {}}
WRONG: Mapping[str, Any] = {"string": 7, "integer": "7", "boolean": "true", "array": {"x": "1"}, "object": ["x"]}


def values(member: str, kind: str) -> tuple[Any, Any]:
    """Two values of a member that ask for different things."""
    return VALUES.get(member, _USUAL[kind])


def containing(member: str, value: Any, key: str = "") -> tuple[dict[str, Any], str]:
    """A plain configuration in which a member has a value, and the member's JSON pointer. ``key`` goes in its place: a
    key that is none of the specification's."""
    document = bundles.config("true")
    if member.startswith("/linux/timeOffsets"):
        document["linux"]["namespaces"].append({"type": "time"})
    if member.startswith(("/linux/uidMappings", "/linux/gidMappings")):
        document = bundles.config("true", uid_maps=copy.deepcopy(IDS), gid_maps=copy.deepcopy(IDS))
    if member.startswith("/linux/seccomp"):
        document["annotations"] = {ANNOTATION: "0" * 64}
    if member == "/linux/namespaces/*/type":
        document["linux"]["namespaces"] = [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}]
    place: Any = document
    steps = member.split("/")[1:]
    last = steps[-1]
    pointer = pattern = ""
    for step, below in itertools.pairwise(steps):
        pattern += f"/{step}"
        place, pointer = _step(place, step, pattern, below, pointer)
    if member.startswith("/mounts/*/") and "Mappings" in member:
        place_of = document["mounts"][-1]
        place_of["options"] = ["idmap"]
        for name in ("uidMappings", "gidMappings"):
            place_of.setdefault(name, copy.deepcopy(IDS))
    if member.startswith("/process/capabilities/") and value == ["CAP_KILL"]:
        place |= {name: ["CAP_KILL"] for name in ("bounding", "permitted", "inheritable")}
    place.update(copy.deepcopy(BESIDE.get(member, {})))
    place.pop(last, None)
    place[key or last] = copy.deepcopy(value)
    return document, f"{pointer}/{key or last}"


def _step(place: Any, step: str, pattern: str, below: str, pointer: str) -> tuple[Any, str]:
    """One step into a value, which is made where it is missing."""
    made: Any = [] if below == "*" and not pattern.endswith("rdma") else copy.deepcopy(AROUND.get(pattern, {}))
    if step == "*":
        if isinstance(place, dict):
            return place.setdefault("name", made), f"{pointer}/name"
        if "Mappings" not in pattern:
            place.append(made)
        elif not place:
            place.append(copy.deepcopy(IDS[0]))
        return place[-1], f"{pointer}/{len(place) - 1}"
    return place.setdefault(step, made), f"{pointer}/{step}"


def expanded(pattern: str) -> Iterator[str]:
    """The members that a pattern with `{a,b}` stands for."""
    before, opened, rest = pattern.partition("{")
    if not opened:
        yield pattern
        return
    words, _, after = rest.partition("}")
    for word in words.split(","):
        yield from expanded(f"{before}{word.strip()}{after}")


def ignored(
    name: str, document: Mapping[str, Any], host: Host, version: tuple[int, ...] | None = None
) -> list[Refusal]:
    """What crun or runc of a version refuses as ignored, but for what it says of groups and namespaces that are joined."""
    base, usual = {"crun": (Crun, (1, 21)), "runc": (Runc, (1, 1, 15))}[name]
    numbers = version or usual
    known = type("Known", (base,), {"version": lambda self: ".".join(map(str, numbers))})()
    return [*ProgramRuntime.check(known, document, host), *refusals(name, numbers, document, host)]
