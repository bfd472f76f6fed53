"""Fields that crun and runc would leave out without a word are refused, each with its pointer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble.program import ProgramRuntime
from hardening.launch.config.bundle import SECRETS
from hardening.launch.request import LaunchRequest
from hardening.launch.secret import secrets
from hardening.mechanism import host as hosts
from hardening.mechanism.host import Host
from hardening_oci import Crun, ignored
from tests.support import bundles, members, shipped
from tests.support.bundles import plain

ONE_ID = [{"containerID": 0, "hostID": 1000, "size": 1}]


def caller(uid: int) -> Host:
    return attrs.evolve(shipped.here()[1], uid=uid)


def pointers(name: str, document: dict[str, Any], uid: int = 0, version: tuple[int, ...] | None = None) -> set[str]:
    """Where `check` refuses something, but for what it says of groups and namespaces that are joined."""
    return {refusal.pointer for refusal in members.ignored(name, document, caller(uid), version)}


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_a_plain_configuration_is_taken(name: str) -> None:
    assert pointers(name, plain()) == set()
    assert pointers(name, bundles.config("true", uid_maps=ONE_ID), uid=1000) == set()


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_a_number_that_is_no_group_is_refused(name: str) -> None:
    groups = [0, 2**32 - 2, 2**32 - 1, 2**32, -1]
    assert pointers(name, plain(process__user__additionalGids=groups)) == {
        f"/process/user/additionalGids/{index}" for index in (2, 3, 4)
    }


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_annotations_that_only_inform_are_taken(name: str) -> None:
    names = ("org.opencontainers.image.title", "io.podman.annotations.init", "io.container.manager", "org.hardening.x")
    assert pointers(name, plain(annotations=dict.fromkeys(names, "text"))) == set()


@pytest.mark.parametrize("name", ["crun", "runc"])
def test_a_secret_is_a_file_and_no_variable(name: str) -> None:
    file = '[{"name": "db", "type": "mount", "target": "/run/secrets/db"}]'
    assert pointers(name, plain(annotations={SECRETS: file})) == set()
    for text in ('[{"name": "db", "type": "env", "target": "DB"}]', "[", "{}"):
        assert pointers(name, plain(annotations={SECRETS: text})) == {secrets.POINTER}


BIND = {"destination": "/x", "type": "bind", "source": "/"}


@pytest.mark.parametrize(
    ("names", "changes", "pointer"),
    [
        ("crun runc", {"nonsense": 1}, "/nonsense"),
        ("crun runc", {"linux__nonsense": 1}, "/linux/nonsense"),
        ("crun runc", {"mounts": [{**BIND, "a/b": 1}]}, "/mounts/0/a~1b"),
        ("crun runc", {"ociVersion": "zzz"}, "/ociVersion"),
        ("crun runc", {"annotations": {"run.oci.seccomp_bpf_data": "AA=="}}, "/annotations/run.oci.seccomp_bpf_data"),
        ("crun runc", {"annotations": {"run.oci.handler": "krun"}}, "/annotations/run.oci.handler"),
        ("crun runc", {"annotations": {"module.wasm.image/variant": "x"}}, "/annotations/module.wasm.image~1variant"),
        ("crun runc", {"annotations": {"org.criu.config": "/x"}}, "/annotations/org.criu.config"),
        ("crun runc", {"annotations": {"org.systemd.property.X": "1"}}, "/annotations/org.systemd.property.X"),
        ("crun runc", {"process__execCPUAffinity": {"initial": "0"}}, "/process/execCPUAffinity"),
        ("crun runc", {"process__capabilities__bounding": ["CAP_NOPE"]}, "/process/capabilities/bounding/0"),
        ("crun runc", {"process__capabilities__ambient": ["CAP_KILL"]}, "/process/capabilities/ambient/0"),
        ("crun runc", {"mounts": [{**BIND, "options": ["bind", "bogus"]}]}, "/mounts/0/options/1"),
        ("crun runc", {"mounts": [{**BIND, "destination": "/x/.."}]}, "/mounts/0/destination"),
        ("crun", {"mounts": [{**BIND, "options": ["bind", "nosymfollow"]}]}, "/mounts/0/options/1"),
        ("runc", {"mounts": [{**BIND, "uidMappings": ONE_ID, "gidMappings": ONE_ID}]}, "/mounts/0/uidMappings"),
        ("crun runc", {"linux__maskedPaths": ["/proc/ke*"]}, "/linux/maskedPaths/0"),
        ("crun runc", {"linux__rootfsPropagation": "nope"}, "/linux/rootfsPropagation"),
        ("runc", {"linux__rootfsPropagation": "rshared"}, "/linux/rootfsPropagation"),
        ("runc", {"domainname": "x"}, "/domainname"),
        ("runc", {"linux__timeOffsets": {"boottime": {"secs": 1}}}, "/linux/timeOffsets"),
        ("runc", {"linux__personality": {"domain": "LINUX32"}}, "/linux/personality"),
        (
            "runc",
            {"linux__uidMappings": [{"containerID": 5, "hostID": 5, "size": 1}], "linux__gidMappings": ONE_ID},
            "/linux/uidMappings",
        ),
        ("runc", {"process__scheduler": {"policy": "SCHED_BATCH"}}, "/process/scheduler"),
        ("runc", {"process__ioPriority": {"class": "IOPRIO_CLASS_IDLE"}}, "/process/ioPriority"),
        (
            "crun runc",
            {"linux__seccomp": {"syscalls": [{"names": ["mkdir", "nosuch"], "action": "SCMP_ACT_ERRNO"}]}},
            "/linux/seccomp/syscalls/0/names/1",
        ),
    ],
)
def test_ignored_fields(names: str, changes: dict[str, Any], pointer: str) -> None:
    for name in ("crun", "runc"):
        assert (pointer in pointers(name, plain(**changes))) == (name in names.split())


def test_names_of_other_architectures_are_known() -> None:
    rule = {"names": ["arm_fadvise64_64", "s390_pci_mmio_read", "socketcall"], "action": "SCMP_ACT_ALLOW"}
    assert pointers("crun", plain(linux__seccomp={"syscalls": [rule]})) == set()


def test_what_an_ordinary_user_does_not_get() -> None:
    document = bundles.config("true", uid_maps=ONE_ID)
    document["linux"]["resources"] = {"pids": {"limit": 3}, "devices": [{"allow": False, "access": "rwm"}]}
    document["process"]["user"]["additionalGids"] = [0]
    assert pointers("crun", document, uid=1000) == {
        "/linux/resources/pids",
        "/linux/resources/devices",
        "/process/user/additionalGids",
    }
    assert pointers("runc", document, uid=1000) == {"/linux/resources/devices", "/process/user/additionalGids"}
    assert pointers("runc", document) == set()


def kept(name: str, maps: list[dict[str, int]], **host: Any) -> list[str]:
    caller = attrs.evolve(hosts.plain(), **{"uid": 1000, "gid": 1000, "groups": (27, 1000), **host})
    return [refusal.reason for refusal in ignored.kept_groups(name, bundles.config("true", uid_maps=maps), caller)]


def test_groups_of_an_ordinary_user_that_runc_would_keep() -> None:
    maps = [*ONE_ID, {"containerID": 1, "hostID": 100_000, "size": 65536}]
    assert kept("runc", maps) == ["runc would not drop the caller's groups 27"]
    assert kept("runc", maps, groups=(1000,)) == []
    assert kept("runc", maps, uid=0, gid=0) == []
    assert kept("runc", ONE_ID) == []
    assert kept("crun", maps) == []


@pytest.mark.parametrize(
    ("name", "kinds", "expected"),
    [
        ("crun", ("user", "network"), None),
        ("crun", ("user", "pid"), "crun cannot join a pid namespace for an ordinary user from inside of"),
        ("crun", ("pid",), None),
        ("runc", ("user",), "runc cannot join a user namespace for an ordinary user"),
        ("runc", ("user", "network"), "runc cannot join a user namespace for an ordinary user"),
        ("runc", ("network",), None),
    ],
)
def test_namespaces_that_an_ordinary_user_joins(name: str, kinds: tuple[str, ...], expected: str | None) -> None:
    document = plain(linux__namespaces=[{"type": kind, "path": "/proc/9/ns/x"} for kind in kinds])
    caller = attrs.evolve(hosts.plain(), uid=1000)
    found = list(ignored.joined(name, document, caller))
    assert [refusal.reason.startswith(expected or "") for refusal in found] == [True] * (expected is not None)
    assert all("--runtime native" in refusal.hint for refusal in found)
    assert list(ignored.joined(name, document, attrs.evolve(caller, uid=0))) == []


def test_a_later_version_reads_more() -> None:
    assert pointers("runc", plain(domainname="x"), version=(1, 2, 3)) == set()


@pytest.mark.parametrize(("key", "words"), [("UID", "would ignore it, or read it as uid"), ("new", "would ignore it")])
def test_a_key_is_said_to_be_what_the_runtime_makes_of_it(key: str, words: str) -> None:
    document = plain(process__user={"uid": 0, "gid": 0, key: 0})
    for name in ("crun", "runc"):
        (found,) = members.ignored(name, document, caller(0))
        assert (found.pointer, found.reason.endswith(f"{name} {words}")) == (f"/process/user/{key}", True)


def test_a_namespace_that_runc_does_not_know_is_refused_with_the_remedy() -> None:
    document = plain(linux__namespaces=[{"type": "mount"}, {"type": "time"}])
    assert pointers("crun", document) == pointers("runc", document, version=(1, 2)) == set()
    (found,) = members.ignored("runc", document, caller(0))
    assert (found.pointer, found.reason) == ("/linux/namespaces/1", "runc 1.1.15 knows no time namespace")


def test_a_runtime_of_others_says_what_it_ignores_by_its_class() -> None:
    kind = type(
        "Acme",
        (Crun,),
        {"name": "acme", "ignores": {"/hostname": "2.1", "/domainname": ""}, "version": lambda self: "2"},
    )
    found = ProgramRuntime.check(kind(), plain(hostname="a", domainname="b"), caller(0))
    assert [(item.pointer, item.reason) for item in found] == [
        ("/hostname", "acme 2 ignores it"), ("/domainname", "acme 2 ignores it"),
    ]  # fmt: skip
    assert json.loads(kind().command(Path("/b"), LaunchRequest(id="a", state="/s"))[-1])["crun"] is True
