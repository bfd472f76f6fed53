"""What `podman inspect` and `docker inspect` print scores as the configuration that the engine wrote at the same time."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hardening.cli.session import Session
from hardening.errors import SpecError
from hardening.mechanism.roles import SystemCalls
from hardening.score import engines, scoring
from hardening_rootfs.settings import MASKED, READ_ONLY
from tests.hardening.cli.samples import call
from tests.support import podman, shipped
from tests.support.engines import bundle_of
from tests.support.features import require

#: What is podman's own to decide as it starts: where it makes a network namespace, and limits that it takes over.
OWN = {"namespaces.net", "process.rlimits.nofile", "process.resources.pids"}
#: Each says what the others do not, so that there are few.
OPTIONS = (
    "",
    "--privileged",
    "--cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt no-new-privileges --read-only --network none -u 33",
    "--pid host --ipc host --uts host --cgroupns host --network host -t --umask 077 -e API_TOKEN=x --group-add 44"
    " --security-opt unmask=ALL -v /run:/hostrun:ro -v /srv:/data --oom-score-adj -500",
    "--uidmap 0:100000:65536 --gidmap 0:100000:65536 --security-opt seccomp=unconfined --memory 64m --pids-limit 50"
    " --cpus 0.5 --tmpfs /scratch --device /dev/null:/dev/mine",
    "--cap-add SYS_ADMIN --security-opt unmask=/proc/kcore --tmpfs /scratch:noexec --ulimit nofile=99:99 -v /:/host",
)
_INSPECT = """
graph=$1 root=$2
podman() { command podman --root "$graph" --runroot "$graph/run" --storage-driver vfs --cgroup-manager cgroupfs \
    --log-level error --runtime runc "$@"; }
while IFS= read -r line; do
  id=$(podman create $line --rootfs "$root" /bin/true) || exit 1
  podman init "$id" >/dev/null 2>&1
  podman inspect "$id" | tr -d '\\n'; echo
  tr -d '\\n' <"$graph/vfs-containers/$id/userdata/config.json"; echo
done
"""


def test_podman_hides_what_our_roots_hide_but_for_what_newer_engines_do() -> None:
    newer = {"/proc/interrupts", "/sys/devices/system/cpu/cpu*/thermal_throttle"}
    assert {*engines.MASKED} == {*MASKED} - newer
    assert engines.READ_ONLY == READ_ONLY


def of_engine(capabilities: frozenset[str], profile: str | None) -> Mapping[str, Any] | None:
    _, host = shipped.here()
    found = host.find(SystemCalls)
    assert found is not None
    return found.of_engine(capabilities, profile, host)


def shares(document: Mapping[str, Any]) -> dict[str, float]:
    plugins, host = shipped.here()
    found = scoring.of_document(plugins.mechanisms, document, host)
    return {item.leaf: item.share for item in found.items}


def read(printed: object) -> dict[str, dict[str, Any]]:
    return engines.read(json.dumps(printed).encode(), "printed", of_engine)


def test_what_podman_prints_scores_as_what_it_writes(tmp_path: Path) -> None:
    require("root")
    (tmp_path / "root").mkdir()
    words = ["sh", "-c", _INSPECT, "sh", str(tmp_path / "graph"), str(tmp_path / "root")]
    text = "".join(f"{line}\n" for line in OPTIONS)
    argv = podman.apart(tmp_path, words)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, env=os.environ, cwd="/")
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(OPTIONS), done.stderr
    several = {}
    for options, printed, written in zip(OPTIONS, lines[::2], lines[1::2], strict=True):
        (document,) = engines.read(printed.encode(), "printed", of_engine).values()
        own, other = shares(document), shares(json.loads(written))
        assert {leaf: share for leaf, share in own.items() if share != other[leaf] and leaf not in OWN} == {}, options
        several[options] = own
    assert several[""]["seccomp.@debug"] == 1  # ptrace(2), which podman permits
    assert several[""]["seccomp.@bpf"] == several[""]["seccomp.@module"] == 0
    assert several["--privileged"]["seccomp.@bpf"] == several["--privileged"]["rootfs.devices"] == 1


PATHS = {
    "MaskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
    "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
}
HOST = {
    "NetworkMode": "none", "PidMode": "", "IpcMode": "private", "UTSMode": "", "CgroupnsMode": "private", "UsernsMode": "",
    "Privileged": False, "ReadonlyRootfs": False, "SecurityOpt": None, "CapAdd": None, "CapDrop": None, "GroupAdd": None,
    "Devices": [], "Memory": 0, "NanoCpus": 0, "CpuQuota": 0, "PidsLimit": None, "Ulimits": [], "OomScoreAdj": 0,
    "DeviceCgroupRules": None, **PATHS,
}  # fmt: skip


def printed_by_docker(user: str = "", **host: Any) -> list[dict[str, Any]]:
    """As the Engine's API has it (GET /containers/{id}/json)."""
    config = {"User": user, "Tty": False, "Env": ["PATH=/usr/bin"]}
    return [{"Id": "f" * 64, "Name": "/one", "AppArmorProfile": "", "ProcessLabel": "", "Mounts": [], "Config": config,
             "HostConfig": HOST | host}]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ("--network none", printed_by_docker()),
        (
            "--privileged",
            printed_by_docker(Privileged=True, NetworkMode="bridge", MaskedPaths=None, ReadonlyPaths=None),
        ),
        ("--cap-add ALL", printed_by_docker(CapAdd=["ALL"])),
        (
            "--cap-drop ALL --cap-add NET_BIND_SERVICE",
            printed_by_docker(CapDrop=["ALL"], CapAdd=["CAP_NET_BIND_SERVICE"]),
        ),
        ("--security-opt seccomp=unconfined", printed_by_docker(SecurityOpt=["seccomp=unconfined"])),
        ("--security-opt no-new-privileges", printed_by_docker(SecurityOpt=["no-new-privileges"])),
        ("--pid host", printed_by_docker(PidMode="host")),
        ("--uts host", printed_by_docker(UTSMode="host")),
        ("--network host", printed_by_docker(NetworkMode="host")),
        ("--tmpfs /scratch", printed_by_docker(Tmpfs={"/scratch": ""})),
        ("--read-only", printed_by_docker(ReadonlyRootfs=True)),
        ("-u 1000:1000", printed_by_docker("1000:1000")),
        ("--cpus 0.5", printed_by_docker(NanoCpus=500_000_000)),
    ],
)
def test_what_docker_prints_scores_as_what_it_wrote(tmp_path: Path, options: str, printed: Any) -> None:
    ((name, document),) = read(printed).items()
    own, other = shares(document), shares(bundle_of("docker", options, tmp_path, tmp_path / "root"))
    assert name == "one"
    # docker does not print its own filter: podman's, which permits at least as much, counts for it. The machine on which it
    # wrote this had no CAP_SYS_RESOURCE.
    stricter = {leaf: (share, other[leaf]) for leaf, share in own.items() if share != other[leaf] and leaf not in OWN}
    stricter.pop("capabilities.SYS_RESOURCE", None)
    assert {leaf for leaf, (share, written) in stricter.items() if share < written or leaf[:8] != "seccomp."} == set()


def test_the_stricter_reading_counts_of_what_is_not_printed() -> None:
    def share(leaf: str, **changes: Any) -> float:
        return shares(read(printed_by_docker(**changes))["one"])[leaf]

    assert (share("process.user", user="web"), share("process.user", user="33")) == (1, 0)
    assert share("namespaces.net", NetworkMode="container:other") == 0.5
    assert share("namespaces.pid", PidMode="ns:/proc/1/ns/pid") == 0.5
    own = json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ALLOW"}]})
    assert share("seccomp.@bpf", SecurityOpt=[f"seccomp={own}"]) == 1
    assert share("seccomp.@debug", SecurityOpt=[f"seccomp={own}"]) == 0
    assert [share("rootfs.devices", DeviceCgroupRules=[f"{kind} *:* rwm"]) for kind in "abc"] == [1, 1, 1]
    assert share("rootfs.devices", DeviceRequests=[{"Driver": "", "Count": -1, "DeviceIDs": None}]) == 0.5
    said = [
        share("capabilities.no_new_privileges", SecurityOpt=[f"no-new-privileges{more}"])
        for more in ("=0", ":False", "=1", "")
    ]
    assert said == [1, 1, 0, 0]
    label = printed_by_docker()
    label[0]["ProcessLabel"] = "system_u:system_r:container_t:s0:c1,c2"
    assert shares(read(label)["one"])["selinux.enabled"] == 0


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ([], "no container"),
        ({}, "no container of podman or docker"),
        ([5], "no container of podman or docker"),
        ([{"HostConfig": []}], "no container of podman or docker"),
        (printed_by_docker(CapAdd="ALL"), "an array is expected"),
        (printed_by_docker(CapAdd=[5]), "an array of strings is expected"),
        (printed_by_docker(Privileged=1), "true or false is expected"),
        (printed_by_docker(Memory=True), "an integer is expected"),
        (printed_by_docker(Ulimits=["nofile"]), "an object is expected"),
    ],
)
def test_what_no_engine_prints_is_refused_with_its_place(printed: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(printed)
    assert caught.value.message == message
    assert "printed" in str(caught.value.origin)
    assert "podman inspect" in str(caught.value.hint)


def test_several_containers_are_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugins, _ = shipped.here()
    second = printed_by_docker(Privileged=True)
    second[0]["Name"] = "/two"
    file = tmp_path / "inspected.json"
    file.write_text(json.dumps([*printed_by_docker(), *second]))
    assert call(Session(plugins), "score", "--inspect", str(file), "--threshold", "9.95") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["CONTAINER", "two", "one"]  # the most exposed first
    assert call(Session(plugins), "score", "--inspect", str(file), "--threshold", "5", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["two"]["score"] > 9.5 > 5 > found["one"]["score"]
    file.write_text("{")
    assert call(Session(plugins), "score", "--inspect", str(file)) == 2
    assert "not JSON" in capsys.readouterr().err
