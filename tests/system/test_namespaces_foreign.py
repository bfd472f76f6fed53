"""Configurations that other programs wrote, tightened to `[namespaces]`: they still run, nowhere looser than the profile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hardening_namespaces.host import PROC_NAMES
from hardening_namespaces.settings import TYPES
from tests.support.features import require
from tests.support.runs import RUNTIMES, running_tightened
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces",)
#: runc 1.1 has no time namespaces.
STRICT = '[namespaces]\ntime = "host"\n'
PRIVATE = [name for name in TYPES if name != "time"]


def written_by(folder: Path, *command: str) -> dict[str, Any]:
    """The configuration that ``command`` writes to the current directory."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    document = json.loads((folder / "config.json").read_text())
    assert isinstance(document, dict)
    # Other mechanisms tighten these; the native launcher refuses them as they are.
    document["process"]["capabilities"]["ambient"] = []
    document["linux"].pop("resources", None)
    return document


def shared(document: dict[str, Any], *kinds: str) -> dict[str, Any]:
    """The configuration without its namespaces of these kinds."""
    linux = document["linux"]
    linux["namespaces"] = [entry for entry in linux["namespaces"] if entry["type"] not in kinds]
    return document


@pytest.mark.parametrize("author", ["crun", "runc"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bundle_of_root_runs_with_every_namespace_its_own(runtime: str, author: str, tmp_path: Path) -> None:
    require("root")
    foreign = written_by(tmp_path, author, "spec")
    assert "user" not in [entry["type"] for entry in foreign["linux"]["namespaces"]]
    with running_tightened(foreign, STRICT, runtime=runtime, mechanisms=MECHANISMS) as (found, violations):
        assert [name for name in PRIVATE if found.shares(PROC_NAMES[name])] == []
        uids, _ = found.id_maps
        assert all(outside > 65535 for _, outside, _ in uids)
        assert found.ask("id -u") == "0"
        assert found.ask("hostname") == foreign["hostname"]
        # The change that touches the ownership of files is among what is reported.
        assert next(item.allowed for item in violations if item.leaf == "namespaces.user").startswith("private, 0:")
        # What the root holds belongs to nobody now, and can be read all the same.
        assert found.ask("stat -c %u /etc/passwd") == "65534"
        assert "root" in found.ask("cat /etc/passwd")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_a_bundle_shares_with_the_host_is_taken_from_it(runtime: str, tmp_path: Path) -> None:
    require("root")
    foreign = shared(written_by(tmp_path, "runc", "spec"), "network", "ipc", "uts", "cgroup")
    del foreign["hostname"]
    foreign["linux"]["sysctl"] = {"kernel.shmmax": "4096"}
    with running_tightened(foreign, STRICT, runtime=runtime, mechanisms=MECHANISMS) as (found, violations):
        assert [name for name in PRIVATE if found.shares(PROC_NAMES[name])] == []
        assert found.ask("hostname") == "hardened"
        assert found.ask("cat /proc/sys/kernel/shmmax") != "4096"
        assert {"namespaces.net", "namespaces.ipc", "namespaces.uts", "namespaces.sysctls.kernel.shmmax"} <= {
            item.leaf for item in violations
        }
    # A profile that permits all of it leaves all of it.
    loose = STRICT + "".join(f'{name} = "host"\n' for name in ("ipc", "uts", "user", "cgroup"))
    with running_tightened(foreign | {"linux": {**foreign["linux"], "sysctl": {}}}, loose, runtime=runtime,
                           mechanisms=MECHANISMS) as (found, _):  # fmt: skip
        assert [name for name in PRIVATE if found.shares(PROC_NAMES[name])] == ["ipc", "uts", "cgroup", "user"]


def rootless(folder: Path, user: User) -> dict[str, Any]:
    """What ``runc spec --rootless`` writes for the user."""
    folder.chmod(0o755)
    document = written_by(folder, "runc", "spec", "--rootless")
    for side, own in (("uid", user.uid), ("gid", user.gid)):
        document["linux"][f"{side}Mappings"] = [{"containerID": 0, "hostID": own, "size": 1}]
    return document


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_rootless_bundle_keeps_its_map(runtime: str, tmp_path: Path) -> None:
    require("userns")
    user = ordinary()
    foreign = rootless(tmp_path, user)
    with running_tightened(foreign, STRICT, runtime=runtime, mechanisms=MECHANISMS, user=user) as (found, violations):
        assert found.id_maps == ([(0, user.uid, 1)], [(0, user.gid, 1)])
        assert [name for name in PRIVATE if found.shares(PROC_NAMES[name])] == []
        assert "namespaces.uid_map" not in [item.leaf for item in violations]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_map_of_host_root_is_replaced(runtime: str, tmp_path: Path) -> None:
    require("root")
    foreign = written_by(tmp_path, "crun", "spec")
    foreign["linux"]["namespaces"].append({"type": "user"})
    for side in ("uid", "gid"):
        foreign["linux"][f"{side}Mappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    with running_tightened(foreign, STRICT, runtime=runtime, mechanisms=MECHANISMS) as (found, violations):
        assert found.status["Uid"].split()[0] != "0"
        assert {"namespaces.uid_map", "namespaces.gid_map"} <= {item.leaf for item in violations}
    loose = f'{STRICT}uid_map = ["0:0:65536"]\ngid_map = ["0:0:65536"]'
    with running_tightened(foreign, loose, runtime=runtime, mechanisms=MECHANISMS) as (found, _):
        assert found.status["Uid"].split()[0] == "0"
