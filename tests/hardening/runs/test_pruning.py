"""What launches have left that were killed: removed, or written down as ended, and nothing else is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from hardening.launch.cgroup.hierarchy import read_hierarchies
from hardening.launch.container import directory
from hardening.launch.container.container_state import ContainerEntry, describe, identify
from hardening.launch.container.directory import LaunchDirectory, any_left
from hardening.launch.oci.ociprogram import RuntimeProgram
from hardening.launch.request import LaunchRequest
from hardening.runs.containers import known
from hardening.runs.pruning import prune
from tests.support.disks import small_disk
from tests.support.features import require


def entry(state: Path, identity: str, **options: Any) -> ContainerEntry:
    request = LaunchRequest(id=identity, state=str(state), detach=True, **options)
    made = ContainerEntry(LaunchDirectory(request.directory), describe(request, {"process": {"args": ["job"]}}))
    made.create(request.name)
    return made


def abandoned(state: Path, identity: str, **options: Any) -> None:
    """A container that ran, and whose launcher is gone."""
    made = entry(state, identity, **options)
    made.update(process=identify(os.getpid()))
    os.close(made._fd)


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_what_was_to_be_removed_is_removed_and_what_runs_stays(tmp_path: Path) -> None:
    runs = entry(tmp_path, "runs", auto_remove=True)
    abandoned(tmp_path, "gone", auto_remove=True)
    prune(tmp_path)
    assert names(tmp_path / "launches") == ["runs"]
    assert [item.id for item in known(tmp_path / "launches")] == ["runs"]
    assert runs.exists


def test_the_end_of_what_is_kept_is_written_down_once(tmp_path: Path) -> None:
    abandoned(tmp_path, "one")
    assert any_left(str(tmp_path))
    prune(tmp_path)
    (found,) = known(tmp_path / "launches")
    assert found.end is not None
    assert (found.status, found.end.code, found.end.killed) == ("killed", 137, True)
    assert not any_left(str(tmp_path))
    entry(tmp_path, "two").update(process=None)
    (tmp_path / "launches/x").mkdir(parents=True)  # so that there is something to do
    prune(tmp_path)
    assert {item.id: item.end for item in known(tmp_path / "launches")}["one"] == found.end


def test_debris_is_removed_and_what_is_being_made_stays(tmp_path: Path) -> None:
    place = tmp_path / "launches"
    lock = directory.make(str(place / "one"))
    (place / "half").mkdir()
    (place / "half/log").touch()
    prune(tmp_path)
    assert names(place) == ["one"]
    os.close(lock)
    prune(tmp_path)
    assert names(place) == []


def test_one_that_cannot_be_understood_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    for identity in ("a", "b", "c"):
        abandoned(tmp_path, identity, auto_remove=True)
    (tmp_path / "launches/b/container.json").write_text("{}")
    prune(tmp_path)
    assert names(tmp_path / "launches") == ["b"]


def runtime(path: Path) -> Path:
    """The state of a container of another runtime, in the directory of its launch."""
    path.mkdir(parents=True)
    RuntimeProgram("/bin/false", path.name, str(path / "runtime"), frozenset()).make_state({})
    return path / "runtime"


def test_bundles_and_containers_of_other_runtimes_go(tmp_path: Path) -> None:
    (tmp_path / "launches/one/bundle").mkdir(parents=True)
    runtime(tmp_path / "launches/two")
    prune(tmp_path)
    assert names(tmp_path / "launches") == []


def test_of_a_container_that_has_ended_only_what_is_written_down_stays(tmp_path: Path) -> None:
    made = entry(tmp_path, "one")
    made.update(process=identify(os.getpid()))
    made.finish(3)
    (tmp_path / "launches/one/bundle").mkdir()
    os.close(made._fd)
    prune(tmp_path)
    assert names(tmp_path / "launches/one") == ["container.json", "exit"]
    assert [item.end and item.end.code for item in known(tmp_path / "launches")] == [3]


def test_a_container_of_another_runtime_that_cannot_be_deleted_is_said_and_keeps_nothing_else(tmp_path: Path) -> None:
    state = runtime(tmp_path / "launches/one")
    (state / "root/one").mkdir(parents=True)
    (tmp_path / "launches/two/bundle").mkdir(parents=True)
    (problem,) = prune(tmp_path)
    assert re.match(f"{state}: .*: false delete: no reason given", str(problem))
    assert names(tmp_path / "launches") == ["one"]
    assert any_left(str(tmp_path))


@pytest.mark.parametrize("place", ["bundle/rootfs", "sub"])
def test_what_cannot_be_removed_is_said_and_keeps_nothing_else(tmp_path: Path, place: str) -> None:
    (tmp_path / "launches/two/bundle").mkdir(parents=True)
    with small_disk(tmp_path / "launches/one" / place, parents=True):
        (problem,) = prune(tmp_path)
        assert (
            f"{tmp_path}/launches/one: cannot remove what a launch has left that was killed: something is mounted"
            in (str(problem))
        )
        assert names(tmp_path / "launches") == ["one"]
    assert prune(tmp_path) == ()
    assert names(tmp_path / "launches") == []


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"linux": 5}', b'{"linux": {"cgroupsPath": 5}}', b"\xff"])
def test_a_bundle_that_was_not_written_to_its_end_goes_too(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "launches/one/bundle").mkdir(parents=True)
    (tmp_path / "launches/one/bundle/config.json").write_bytes(text)
    prune(tmp_path)
    assert names(tmp_path / "launches") == []


def test_a_bundle_goes_with_its_control_groups(tmp_path: Path) -> None:
    require("root")
    require("cgroups")
    name = f"hardening-test-{os.getpid()}"
    mounts = [hierarchy.mount for hierarchy in read_hierarchies() if not hierarchy.unified][:2]
    groups = [Path(mount, name) for mount in mounts]
    for group in groups:
        group.mkdir()
    bundle = tmp_path / "launches/one/bundle"
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps({"linux": {"cgroupsPath": f"/{name}"}}))
    prune(tmp_path)
    assert not any(group.exists() for group in groups)


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "launches"
    (place / "one/bundle").mkdir(parents=True)
    (place / "link").symlink_to(outside)
    (place / "one/link").symlink_to(outside)
    (place / "one/bundle/link").symlink_to(outside)
    prune(tmp_path)
    assert outside.exists()
    assert names(place) == ["link"]


def test_nothing_is_there_to_prune(tmp_path: Path) -> None:
    prune(tmp_path / "missing")
    prune(tmp_path)
    assert names(tmp_path) == []
