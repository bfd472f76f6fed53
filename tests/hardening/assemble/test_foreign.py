"""The types of the OCI specification, asked of configurations that other programs write."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble import pipeline
from hardening.assemble.foreign import require_shape, strip
from hardening.assemble.oci_fields import CONFIG, unknown
from hardening.compose.composition import Composition
from hardening.errors import HardeningError, Problems, SpecError
from hardening.mechanism.host import Host
from hardening.plugin.plugins import Plugins
from tests.hardening.assemble.test_oci_fields import with_variants
from tests.support import bundles, shipped


@pytest.mark.parametrize(
    ("document", "pointer", "wanted"),
    [
        ({"process": 7}, "/process", "an object"),
        ({"process": None}, "/process", "an object"),
        ({"process": {"args": "id"}}, "/process/args", "an array"),
        ({"process": {"args": ["id", 7]}}, "/process/args/1", "a string"),
        ({"process": {"terminal": 1}}, "/process/terminal", "true or false"),
        ({"process": {"user": {"uid": True}}}, "/process/user/uid", "an integer of at most 64 bits"),
        ({"process": {"rlimits": [{"hard": 1 << 64}]}}, "/process/rlimits/0/hard", "an integer of at most 64 bits"),
        ({"process": {"rlimits": {"hard": 1}}}, "/process/rlimits", "an array"),
        ({"mounts": [7]}, "/mounts/0", "an object"),
        ({"mounts": [{"destination": "/"}, {"options": [None]}]}, "/mounts/1/options/0", "a string"),
        ({"annotations": {"a/b~c": 7}}, "/annotations/a~1b~0c", "a string"),
        ({"linux": {"seccomp": {"syscalls": [{"names": "read"}]}}}, "/linux/seccomp/syscalls/0/names", "an array"),
        ({"linux": {"timeOffsets": {"boottime": {"secs": "1"}}}}, "/linux/timeOffsets/boottime/secs", "an integer"),
        ({"linux": {"resources": {"pids": 7}}}, "/linux/resources/pids", "an object"),
        ({"mounts": [{"source": "/etc\0/x"}]}, "/mounts/0/source", "a string without NUL"),
        ({"process": {"env": ["A=1\0B=2"]}}, "/process/env/0", "a string without NUL"),
        ({"linux": {"sysctl": {"net.a\0": "1"}}}, "/linux/sysctl/net.a\0", "a name without NUL"),
        ({"process": {"args": ["\udcff"]}}, "/process/args/0", "a string of Unicode"),
        ({"windows": {"\udcff": 1}}, "/windows/\\udcff", "a key of Unicode"),
        (
            {"vm": {"weight": float("nan")}},
            "/vm/weight",
            "a finite",
        ),
    ],
)
def test_a_value_of_another_type_is_refused_at_its_pointer(document: dict[str, Any], pointer: str, wanted: str) -> None:
    with pytest.raises(SpecError, match=f"{wanted}.* is expected") as caught:
        require_shape(document)
    assert caught.value.origin == pointer
    assert caught.value.hint


def test_every_wrong_value_is_named() -> None:
    with pytest.raises(Problems) as caught:
        require_shape({"root": 7, "hostname": 7, "linux": []})
    assert [problem.origin for problem in caught.value.problems] == ["/root", "/hostname", "/linux"]


def test_what_is_no_field_has_no_type() -> None:
    require_shape({"windows": 7, "process": {"new": None}, "linux": {"intelRdt": {"x": 7}}})


def test_our_own_configurations_have_the_right_shape() -> None:
    require_shape(bundles.config("true"))


def test_a_wrong_configuration_is_refused_before_any_mechanism_sees_it(tmp_path: Path) -> None:
    from hardening.cli.session import Request
    from tests.hardening.cli.samples import profile, session

    profile(tmp_path, "default", "[box]\nsize = 1\n")
    here = session(tmp_path)
    with pytest.raises(HardeningError, match="/annotations: an object is expected"):
        pipeline.tighten(here.plugins, here.compose(Request(("default",))), here.host, {"annotations": 7})


def test_a_value_nested_without_end_is_refused() -> None:
    value: Any = 1
    for _ in range(900):
        value = [value]
    with pytest.raises(SpecError, match="levels deep"):
        require_shape({"vm": value})


def test_only_what_somebody_answers_for_stays() -> None:
    document = {
        "ociVersion": "1.2.0",
        "hooks": {"prestart": [{"path": "/bin/sh"}]},
        "vm": {},
        "windows": {},
        "process": {
            "args": ["id"],
            "cwd": "/",
            "apparmorProfile": "tight",
            "scheduler": {"policy": "SCHED_FIFO"},
            "ioPriority": {"class": "IOPRIO_CLASS_RT"},
            "oomScoreAdj": 7,
        },
        "linux": {
            "intelRdt": {},
            "personality": {"domain": "LINUX32"},
            "namespaces": [],
            "resources": {"unified": {"a": "b"}},
        },
    }
    kept, violations = strip(document, ["/process/oomScoreAdj"])
    assert kept == {
        "ociVersion": "1.2.0",
        "process": {"args": ["id"], "cwd": "/", "apparmorProfile": "tight", "oomScoreAdj": 7},
        "linux": {"namespaces": [], "resources": {}},
    }
    gone = "/hooks /vm /windows /process/scheduler /process/ioPriority /linux/intelRdt /linux/personality "
    assert {item.pointer for item in violations} == set((gone + "/linux/resources/unified").split())
    assert strip(kept, ["/process/oomScoreAdj"]) == (kept, [])


def test_a_field_named_like_a_parent_of_known_ones_goes_where_it_is_no_object() -> None:
    assert strip({"linux": 7}, ["/linux/sysctl"])[0] == {}
    assert strip({"a": {"b": 1, "c": 2}, "a/b": 3}, ["/a/b"])[0] == {"a": {"b": 1}}


def test_annotations_that_direct_a_runtime_go_and_those_that_inform_stay() -> None:
    names = (
        "run.oci.seccomp_bpf_data",
        "run.oci.keep_original_groups",
        "module.wasm.image/variant",
        "org.criu.config",
        "runc.x",
        "org.systemd.property.CPUQuota",
    )
    directives = dict.fromkeys(names, "1")
    informing = {"io.container.manager": "libpod", "org.opencontainers.image.stopSignal": "15"}
    kept, violations = strip({"annotations": directives | informing}, [])
    assert kept == {"annotations": informing}
    assert len(violations) == len(directives)
    assert "/annotations/module.wasm.image~1variant" in {item.pointer for item in violations}
    assert (
        strip({"annotations": directives}, [f"/annotations/{name}".replace("e/v", "e~1v") for name in directives])[1]
        == []
    )


FULL: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "hostname": "box",
    "root": {"path": "rootfs", "readonly": False},
    "annotations": {"io.container.manager": "x", "run.oci.handler": "wasm"},
    "hooks": {"prestart": [{"path": "/bin/sh"}]},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["hidepid=1"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["gid=5"]},
        {"destination": "/dev/shm", "type": "bind", "source": "/srv/shm", "options": ["rbind"]},
        {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=777", "size=5k"]},
        {"destination": "/x", "type": "bind", "source": "/srv", "options": ["bind"], "uidMappings": []},
    ],
    "process": {
        "args": ["id"],
        "cwd": "/",
        "env": ["A=1"],
        "terminal": False,
        "consoleSize": {"height": 1, "width": 2},
        "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
        "capabilities": {name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted", "ambient")},
        "noNewPrivileges": False,
        "oomScoreAdj": 5,
    },
    "linux": {
        "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}, {"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 524288, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 524288, "size": 10}],
        "timeOffsets": {"monotonic": {"secs": 1}},
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "resources": {"pids": {"limit": 5}, "memory": {"limit": 5, "swap": 7}, "cpu": {"quota": 5, "period": 7}},
        "cgroupsPath": "x",
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 1, "minor": 2}],
        "maskedPaths": ["/proc/kcore"],
        "rootfsPropagation": "shared",
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}
            ],
        },
    },
}


@cache
def here() -> tuple[Plugins, Host, Composition]:
    return (*shipped.here(), shipped.composed(["default"]))


def tightened(document: dict[str, Any]) -> pipeline.Assembly:
    plugins, host, composition = here()
    return pipeline.tighten(plugins, composition, host, document, origin=Path("/srv"))


def test_no_key_that_only_a_runtime_understands_changes_what_is_written() -> None:
    hostile, count = with_variants(FULL, CONFIG, 0)
    assembly = tightened(hostile)
    assert assembly.spec.document == tightened(FULL).spec.document
    reported = [item for item in assembly.violations if "written in Go" in item.allowed]
    assert len(reported) == count
    assert list(unknown(assembly.spec.document)) == []


def test_known_ceilings_survive_and_what_lifts_one_does_not() -> None:
    document = copy.deepcopy(FULL)
    ceilings: dict[str, Any] = {
        "unified": {"memory.max": "4194304", "pids.max": "5", "cpu.max": "1000 100000", "io.max": "8:0 rbps=1"},
        "network": {"classID": 7},
        "cpu": {"quota": 500, "period": 100000, "burst": 100, "shares": 5, "cpus": "0"},
        "memory": {"limit": 8388608, "swap": 8388608, "reservation": 4194304},
        "pids": {"limit": 5},
        "blockIO": {"weight": 10},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "rdma": {"mlx5_1": {"hcaHandles": 1}},
    }
    document["linux"]["resources"] = copy.deepcopy(ceilings)
    document["linux"]["resources"]["unified"] |= {"memory.low": "max", "cpu.weight": "10000"}
    document["linux"]["resources"]["network"]["priorities"] = [{"name": "eth0", "priority": 9}]
    document["linux"]["resources"]["cpu"] |= {"realtimeRuntime": 950000, "realtimePeriod": 1000000}
    document["linux"]["resources"]["memory"]["disableOOMKiller"] = True
    assembly = tightened(document)
    assert assembly.spec.document["linux"]["resources"] == ceilings
    gone = {item.pointer.removeprefix("/linux/resources/") for item in assembly.violations}
    assert gone >= {
        *("unified/memory.low", "unified/cpu.weight", "network/priorities"),
        *("cpu/realtimeRuntime", "cpu/realtimePeriod", "memory/disableOOMKiller"),
    }
