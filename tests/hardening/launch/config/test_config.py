"""`config.json` -> plan: every field that is not honoured is refused with its pointer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.base.digest import ANNOTATION
from hardening.base.linux import abi
from hardening.errors import HardeningError
from hardening.launch.config import config
from tests.support.bundles import plain


def pointers(document: Any) -> list[str]:
    return [pointer for pointer, _ in config.unsupported(document)]


def test_a_plain_configuration() -> None:
    plan = config.read(plain())
    assert plan.process.command.args == ("true",)
    assert plan.root_read_only
    assert {namespace.kind for namespace in plan.namespaces} == {"pid", "network", "ipc", "uts", "mount", "cgroup"}
    assert plan.mounts[2].data == (("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5"))


IDS = [{"containerID": 0, "hostID": 1000, "size": 1}]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"hooks": {"prestart": [{"path": "/bin/true"}]}}, "/hooks"),
        ({"nonsense": 1}, "/nonsense"),
        ({"ociVersion": "2.0.0"}, "/ociVersion"),
        ({"ociVersion": "zzz"}, "/ociVersion"),
        ({"process__args": []}, "/process/args"),
        ({"process__args": [1]}, "/process/args/0"),
        ({"process__args": ["a\0b"]}, "/process/args/0"),
        ({"process__args": ["\ud800"]}, "/process/args/0"),
        ({"process__args": ["x" * 200_000]}, "/process/args/0"),
        ({"process__env": ["NOVALUE"]}, "/process/env/0"),
        ({"process__cwd": "relative"}, "/process/cwd"),
        ({"process__terminal": 1}, "/process/terminal"),
        ({"process__user__uid": True}, "/process/user/uid"),
        ({"process__user__uid": 2**32 - 1}, "/process/user/uid"),
        ({"process__user__umask": 0o1000}, "/process/user/umask"),
        ({"process__user__username": "x"}, "/process/user/username"),
        ({"process__oomScoreAdj": 1001}, "/process/oomScoreAdj"),
        ({"process__apparmorProfile": "x"}, "/process/apparmorProfile"),
        ({"process__scheduler": {"policy": "SCHED_OTHER"}}, "/process/scheduler"),
        ({"process__capabilities__bounding": ["CAP_NOPE"]}, "/process/capabilities/bounding/0"),
        ({"process__capabilities__effective": ["CAP_KILL"]}, "/process/capabilities/effective"),
        ({"process__capabilities__ambient": ["CAP_KILL"]}, "/process/capabilities/ambient"),
        ({"process__rlimits": [{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]}, "/process/rlimits/0/type"),
        ({"process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]}, "/process/rlimits/0/soft"),
        ({"process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}] * 2}, "/process/rlimits/1/type"),
        ({"mounts": [{"destination": "x", "type": "tmpfs"}]}, "/mounts/0/destination"),
        ({"mounts": [{"destination": "/x", "type": "ext4"}]}, "/mounts/0/type"),
        ({"mounts": [{"destination": "/x", "type": "bind"}]}, "/mounts/0/source"),
        ({"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["bogus"]}]}, "/mounts/0/options/0"),
        ({"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["idmap"]}]}, "/mounts/0/options"),
        ({"mounts": [{"destination": "/x", "type": "bind", "source": "/", "options": ["idmap"]}]}, "/mounts/0"),
        (
            {"mounts": [{"destination": "/x", "type": "bind", "source": "/", "uidMappings": IDS}]},
            "/mounts/0/uidMappings",
        ),
        ({"mounts": [{"destination": "/x", "type": "tmpfs", "nonsense": 1}]}, "/mounts/0/nonsense"),
        ({"linux__namespaces": [{"type": "pid"}]}, "/linux/namespaces"),
        ({"linux__namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}]}, "/linux/namespaces/0"),
        ({"linux__namespaces": [{"type": "mount"}, {"type": "mount"}]}, "/linux/namespaces/1/type"),
        ({"linux__namespaces": [{"type": "mount"}, {"type": "nope"}]}, "/linux/namespaces/1/type"),
        ({"linux__namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "user"}]}, "/linux/uidMappings"),
        ({"linux__uidMappings": IDS}, "/linux/uidMappings"),
        ({"linux__timeOffsets": {"monotonic": {"secs": 1}}}, "/linux/timeOffsets"),
        ({"linux__sysctl": {"vm.swappiness": "1"}}, "/linux/sysctl/vm.swappiness"),
        ({"linux__sysctl": {"user.max_user_namespaces": "1"}}, "/linux/sysctl/user.max_user_namespaces"),
        ({"linux__sysctl": {"net/ipv4": "1"}}, "/linux/sysctl"),
        ({"linux__maskedPaths": ["relative"]}, "/linux/maskedPaths/0"),
        ({"linux__rootfsPropagation": "nope"}, "/linux/rootfsPropagation"),
        ({"linux__seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}, "/linux/seccomp"),
        ({"linux__seccomp": {"listenerPath": "/x"}}, "/linux/seccomp/listenerPath"),
        ({"annotations": {ANNOTATION: "00"}}, "/linux/seccomp"),
        ({"annotations": {"run.oci.seccomp_bpf_data": "AA=="}}, "/annotations/run.oci.seccomp_bpf_data"),
        ({"annotations": {"module.wasm.image/variant": "x"}}, "/annotations/module.wasm.image~1variant"),
        ({"annotations": {"runc.x": "x"}}, "/annotations/runc.x"),
        ({"linux__personality": {"domain": "LINUX32"}}, "/linux/personality"),
        ({"linux__intelRdt": {}}, "/linux/intelRdt"),
        ({"linux__resources": {"devices": {}}}, "/linux/resources/devices"),
        ({"linux__resources": {"memory": {"nonsense": 0}}}, "/linux/resources/memory/nonsense"),
        ({"linux__resources": {"memory": {"swappiness": 0}}}, "/linux/resources/memory/swappiness"),
        ({"linux__resources": {"cpu": {"idle": 1}}}, "/linux/resources/cpu/idle"),
        ({"linux__resources": {"rdma": {"mlx5": {}}}}, "/linux/resources/rdma"),
        ({"linux__netDevices": {"eth0": {}}}, "/linux/netDevices"),
        ({"hooks": 0}, "/hooks"),
        ({"linux__resources": {"memory": {"swappiness": 1}}}, "/linux/resources/memory/swappiness"),
        ({"linux__resources": {"hugepageLimits": [{"limit": 0}]}}, "/linux/resources/hugepageLimits/0/pageSize"),
        ({"linux__resources": {"hugepageLimits": [{"pageSize": "2MB"}]}}, "/linux/resources/hugepageLimits/0/limit"),
        *(
            (
                {"linux__resources": {"hugepageLimits": [{"pageSize": size, "limit": 0}]}},
                "/linux/resources/hugepageLimits/0/pageSize",
            )
            for size in ("", "MB", "2mb", "2M", "-2MB", "../2MB", "²MB")
        ),
        *(
            ({"linux__resources": {"unified": {name: "1"}}}, f"/linux/resources/unified/{name.replace('/', '~1')}")
            for name in (
                "",
                "pids",
                "pids.",
                ".max",
                "../pids.max",
                "a/pids.max",
                "..",
                "cgroup.procs",
                "cgroup.kill",
                "cgroup.freeze",
                "cgroup.subtree_control",
                "pids.max ",
                "pids.ma²",
            )
        ),
        ({"linux__resources": {"unified": {"pids.max": ""}}}, "/linux/resources/unified/pids.max"),
        ({"linux__resources": {"unified": {"pids.max": 1}}}, "/linux/resources/unified/pids.max"),
        ({"linux__cgroupsPath": "/a/../b"}, "/linux/cgroupsPath"),
        ({"linux__cgroupsPath": "/"}, "/linux/cgroupsPath"),
        ({"linux__cgroupsPath": "."}, "/linux/cgroupsPath"),
        ({"linux__cgroupsPath": "/./"}, "/linux/cgroupsPath"),
        ({"linux__devices": [{"path": "/etc/x", "type": "c"}]}, "/linux/devices/0/path"),
        ({"hostname": "x" * 65}, "/hostname"),
        ({"process__terminal": True, "mounts": []}, "/process/terminal"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], pointer: str) -> None:
    assert pointer in pointers(plain(**changes))
    with pytest.raises(HardeningError) as caught:
        config.read(plain(**changes))
    assert f"config.json:{pointer}: " in str(caught.value)
    assert caught.value.exit_code == 125


@pytest.mark.parametrize(
    "changes",
    [
        {"hooks": {}},
        {"hooks": {"prestart": [], "poststop": []}},
        {"vm": {}},
        {"process__apparmorProfile": ""},
        {"process__scheduler": {"policy": "", "nice": 0}},
        {"process__user__username": ""},
        {"linux__personality": {}},
        {"linux__netDevices": {}},
        {"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["", "nosuid"]}]},
        {"linux__resources": {"devices": [], "hugepageLimits": [], "blockIO": {"weightDevice": []}, "unified": {}}},
        {"linux__resources": {"network": {"classID": 0}, "rdma": {}, "pids": {}, "cpu": {}, "memory": {}}},
        {"linux__resources": {"cpu": dict.fromkeys(("shares", "quota", "period", "burst", "idle"), 0)}},
        {"linux__resources": {"memory": dict.fromkeys(("limit", "swap", "reservation", "kernel", "kernelTCP"), 0)}},
        {"linux__resources": {"memory": {"checkBeforeUpdate": False, "disableOOMKiller": False}}},
    ],
)
def test_what_says_nothing_is_as_if_it_were_not_there(changes: dict[str, Any]) -> None:
    found = config.read(plain(**changes))
    assert found.resources is None
    assert found.process == config.read(plain()).process


def test_limits_of_huge_pages_and_files_of_version_two() -> None:
    pages = [{"pageSize": "2MB", "limit": 0}, {"pageSize": "1GB", "limit": 2**64 - 1}]
    found = config.read(
        plain(linux__resources={"hugepageLimits": pages, "unified": {"cgroup.max.depth": "1"}})
    ).resources
    assert found is not None
    assert found.hugepages == (("2MB", 0), ("1GB", 2**64 - 1))
    assert found.unified == (("cgroup.max.depth", "1"),)


def test_a_group_may_have_the_name_that_engines_write_for_systemd() -> None:
    assert config.read(plain(linux__cgroupsPath="system.slice:docker:job")).cgroups_path == "system.slice:docker:job"


def test_a_host_name_needs_a_namespace() -> None:
    assert pointers(plain(linux__namespaces=[{"type": "mount"}])) == ["/hostname"]


def test_options_of_a_bind_mount() -> None:
    options = ["rbind", "ro", "nosuid", "suid", "rnodev", "noatime", "rslave"]
    document = plain(mounts=[{"destination": "/x", "type": "bind", "source": "/", "options": options}])
    mount = config.read(document).mounts[0]
    assert mount.recursive
    assert mount.add == abi.MOUNT_ATTR_RDONLY
    assert mount.add_below == abi.MOUNT_ATTR_NODEV
    assert mount.atime == abi.MOUNT_ATTR_NOATIME
    assert (mount.propagation, mount.propagation_below) == (abi.MS_SLAVE, True)


@pytest.mark.parametrize("options", [["rbind", "bind"], ["bind", "rbind"]])
def test_a_bind_mount_is_recursive_where_either_word_says_so(options: list[str]) -> None:
    document = plain(mounts=[{"destination": "/x", "type": "bind", "source": "/", "options": options}])
    assert config.read(document).mounts[0].recursive


def test_options_of_an_unknown_type_are_no_second_refusal() -> None:
    mount = {"destination": "/x", "type": "ext4", "options": ["bogus"]}
    assert pointers(plain(mounts=[mount])) == ["/mounts/0/type"]


@pytest.mark.parametrize("mode", [0o666, 0o020666, None])
def test_the_mode_of_a_device_may_have_its_type(mode: int | None) -> None:
    device = {
        "path": "/dev/fuse",
        "type": "c",
        "major": 10,
        "minor": 229,
        **({} if mode is None else {"fileMode": mode}),
    }
    assert config.read(plain(linux__devices=[device])).devices[0].mode == 0o666


@pytest.mark.parametrize("mode", [0o060666, 0o4666, 0o100666])
def test_the_mode_of_a_device_has_nothing_else(mode: int) -> None:
    device = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": mode}
    assert pointers(plain(linux__devices=[device])) == ["/linux/devices/0/fileMode"]


def test_read_write_is_not_taken_for_a_recursive_option() -> None:
    document = plain(mounts=[{"destination": "/x", "type": "bind", "source": "/", "options": ["rro", "ro", "rw"]}])
    mount = config.read(document).mounts[0]
    assert (mount.add, mount.add_below) == (0, abi.MOUNT_ATTR_RDONLY)


def test_the_mount_label_goes_to_file_systems_that_take_one() -> None:
    mounts = config.read(plain(linux__mountLabel="a:b:c:s0")).mounts
    assert [mount.destination for mount in mounts if ("context", "a:b:c:s0") in mount.data] == [
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/tmp",
    ]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to every value of a document."""
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


def test_every_limit_of_setrlimit_is_one() -> None:
    limits = [{"type": name, "soft": 1, "hard": 2} for name in abi.RLIMITS]
    _, problems = config.examine(plain(process__rlimits=limits))
    assert not problems
    assert "RLIMIT_LOCKS" in abi.RLIMITS  # the kernel takes it and heeds it no more (getrlimit(2))


@given(st.data())
def test_any_damage_is_a_plan_or_refusals_with_pointers(data: st.DataObject) -> None:
    document = plain(linux__sysctl={"net.x": "1"}, process__rlimits=[], linux__resources={"pids": {"limit": 3}})
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(document)))
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = data.draw(junk)
    plan, problems = config.examine(document)
    assert (plan is None) == bool(problems)
    assert all(pointer == "" or pointer.startswith("/") for pointer, _ in problems)


@given(junk)
def test_any_document_is_refused_in_words(document: Any) -> None:
    assert config.unsupported(document)
