"""What launches have left that were killed: removed, or written down as ended, and nothing else is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hardening.base import locks
from hardening.launch.container.container_state import Entry, describe, identify
from hardening.launch.oci.ociprogram import Runtime
from hardening.launch.request import LaunchRequest
from hardening.runs.containers import known
from hardening.runs.tidying import tidy


def entry(state: Path, identity: str, **options: Any) -> Entry:
    request = LaunchRequest(id=identity, state=str(state), detach=True, **options)
    made = Entry(request.directory, describe(request, {"process": {"args": ["job"]}}))
    made.create(request.name)
    return made


def abandoned(state: Path, identity: str, **options: Any) -> None:
    """A container that ran, and whose stage is gone."""
    made = entry(state, identity, **options)
    made.update(process=identify(os.getpid()))
    os.close(made._fd)


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_what_was_to_be_removed_is_removed_and_what_runs_stays(tmp_path: Path) -> None:
    runs = entry(tmp_path, "runs", auto_remove=True)
    abandoned(tmp_path, "gone", auto_remove=True)
    tidy(tmp_path)
    assert names(tmp_path / "containers") == ["runs"]
    assert [item.id for item in known(tmp_path / "containers")] == ["runs"]
    assert runs.exists


def test_the_end_of_what_is_kept_is_written_down_once(tmp_path: Path) -> None:
    abandoned(tmp_path, "one")
    assert locks.any_left(str(tmp_path))
    tidy(tmp_path)
    (found,) = known(tmp_path / "containers")
    assert found.end is not None
    assert (found.status, found.end.code, found.end.killed) == ("killed", 137, True)
    assert not locks.any_left(str(tmp_path))
    entry(tmp_path, "two").update(process=None)
    (tmp_path / "bundles/x").mkdir(parents=True)  # so that there is something to do
    tidy(tmp_path)
    assert {item.id: item.end for item in known(tmp_path / "containers")}["one"] == found.end


def test_debris_is_swept_and_what_is_being_made_stays(tmp_path: Path) -> None:
    place = tmp_path / "containers"
    made = entry(tmp_path, "one")
    (place / "one").rename(place / ".one")
    (place / "half").mkdir()
    (place / "half/log").touch()
    tidy(tmp_path)
    assert names(place) == [".one"]
    os.close(made._fd)
    tidy(tmp_path)
    assert names(place) == []


def test_one_that_cannot_be_understood_keeps_nobody_from_the_others(tmp_path: Path) -> None:
    for identity in ("a", "b", "c"):
        abandoned(tmp_path, identity, auto_remove=True)
    (tmp_path / "containers/b/container.json").write_text("{}")
    tidy(tmp_path)
    assert names(tmp_path / "containers") == ["b"]


def test_bundles_and_containers_of_other_runtimes_go(tmp_path: Path) -> None:
    (tmp_path / "bundles" / "one").mkdir(parents=True)
    os.close(Runtime("/bin/false", "one", str(tmp_path / "runtimes/one"), frozenset()).make_state({}))
    tidy(tmp_path)
    assert names(tmp_path / "bundles") == names(tmp_path / "runtimes") == []


def test_a_container_of_another_runtime_that_cannot_be_deleted_is_said_and_keeps_nothing_else(tmp_path: Path) -> None:
    state = tmp_path / "runtimes/one"
    os.close(Runtime("/bin/false", "one", str(state), frozenset()).make_state({}))
    (state / "root/one").mkdir(parents=True)
    (tmp_path / "bundles/two").mkdir(parents=True)
    (problem,) = tidy(tmp_path)
    assert re.match(f"{state}: .*: false delete: no reason given", str(problem))
    assert names(tmp_path / "bundles") == []
    assert locks.any_left(str(tmp_path))


def test_nothing_is_there_to_tidy(tmp_path: Path) -> None:
    tidy(tmp_path / "missing")
    tidy(tmp_path)
    assert names(tmp_path) == []
