"""Leases of category pairs: never twice, given back after a crash, kept by a bundle that exists."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch.config.bundle import LEASES
from hardening_selinux.mcs import Lease, choose, is_alive, reserve
from tests.support.leases import living
from tests.support.patience import until
from tests.support.sample import is_whole
from tests.support.users import REPOSITORY

#: Reserves pairs, prints them, then waits to be killed; `sys.argv`: folder, how many, bundle or "".
_RUN = """
import sys
from pathlib import Path
from hardening_selinux.mcs import reserve
folder, count, bundle = sys.argv[1:]
for _ in range(int(count)):
    lease = reserve(Path(folder), Path(bundle) if bundle else None, range(16))
    print(*lease.pair, lease.path, flush=True)
print("done", flush=True)
sys.stdin.read()
"""


def start(folder: Path, count: int = 1, bundle: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"}
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder), str(count), bundle],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def leases(process: subprocess.Popen[str]) -> list[Lease]:
    assert process.stdout is not None
    found = []
    for line in iter(process.stdout.readline, "done\n"):
        assert line, "the process ended early"
        first, second, path = line.split()
        found.append(Lease((int(first), int(second)), Path(path)))
    return found


def end(process: subprocess.Popen[str], *, reap: bool = True) -> None:
    process.send_signal(signal.SIGKILL)
    if reap and process.returncode is None:
        process.communicate()


def abandoned(folder: Path, bundle: str = "") -> Lease:
    """A lease of a process that was killed."""
    process = start(folder, bundle=bundle)
    (lease,) = leases(process)
    end(process)
    return lease


def write_bundle(path: Path, *names: Path) -> Path:
    path.mkdir(exist_ok=True)
    annotations = {LEASES: json.dumps([str(name) for name in names])}
    (path / "config.json").write_text(json.dumps({"annotations": annotations}))
    return path


def test_a_pair_is_two_distinct_categories_ascending(tmp_path: Path) -> None:
    for _ in range(50):
        first, second = reserve(tmp_path / "mcs", None).pair
        assert 0 <= first < second < 1024


def test_only_the_given_categories_are_used(tmp_path: Path) -> None:
    pairs = {reserve(tmp_path, None, (3, 5, 9)).pair for _ in range(3)}
    assert pairs == {(3, 5), (3, 9), (5, 9)}
    with pytest.raises(LaunchError, match="no pair of SELinux categories is free: 3 are in use"):
        reserve(tmp_path, None, (3, 5, 9))


def test_choosing_finds_the_last_free_pair() -> None:
    taken = {(a, b): Path() for a in range(8) for b in range(a + 1, 8)}
    del taken[2, 6]
    assert choose(range(8), taken) == (2, 6)


def test_the_folder_and_the_leases_are_private(tmp_path: Path) -> None:
    lease = reserve(tmp_path / "mcs", None)
    assert (tmp_path / "mcs").stat().st_mode & 0o777 == 0o700
    assert lease.path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaunchError, match="cannot reserve"):
        reserve(tmp_path / "file", None)


def test_concurrent_runs_have_a_pair_each(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """All are alive at once, and 120 pairs are all there are: a race would show."""
    runs = 50 if is_whole(pytestconfig) else 10
    processes = [start(tmp_path, 100 // runs) for _ in range(runs)]
    try:
        pairs = [lease.pair for process in processes for lease in leases(process)]
        assert len(pairs) == 100
        assert len(set(pairs)) == 100
    finally:
        for process in processes:
            end(process)
    assert living(tmp_path) == {}


def test_pairs_stay_distinct_while_others_are_killed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Waves of processes, each killed in the midst of reserving: those alive never share a pair."""
    survivor = start(tmp_path, 5)
    try:
        held = {lease.pair for lease in leases(survivor)}
        for delay in (0.05, 0.1, 0.15, 0.2):
            processes = [start(tmp_path, 100) for _ in range(6 if is_whole(pytestconfig) else 3)]
            time.sleep(delay)
            for process in processes:
                end(process)
        assert set(living(tmp_path)) == held
        assert len({reserve(tmp_path, None, range(16)).pair for _ in range(115)} | held) == 120
    finally:
        end(survivor)


def test_a_killed_run_gives_its_pair_back(tmp_path: Path) -> None:
    process = start(tmp_path)
    (lease,) = leases(process)
    assert living(tmp_path) == {lease.pair: lease.path}
    end(process, reap=False)
    # A zombie runs no more, although it still has its number.
    until(lambda: not is_alive(lease.path))
    assert living(tmp_path) == {}
    assert not lease.path.exists()
    process.communicate()


def test_a_held_lock_keeps_a_pair(tmp_path: Path) -> None:
    lease = abandoned(tmp_path)
    with lease.path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert living(tmp_path) == {lease.pair: lease.path}
    assert living(tmp_path) == {}


def test_the_lock_is_not_tried_while_its_run_may_still_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch takes its lock without waiting: had a reservation elsewhere tried it just then, it would fail."""
    bundle = tmp_path / "bundle"
    held = [reserve(tmp_path / "mcs", None), abandoned(tmp_path / "mcs2", str(bundle))]
    write_bundle(bundle, held[1].path)

    def never(descriptor: int, operation: int) -> None:
        raise AssertionError("the lock was tried")

    monkeypatch.setattr(fcntl, "flock", never)
    assert [is_alive(lease.path) for lease in held] == [True, True]


def test_a_bundle_keeps_its_pair_as_long_as_it_exists(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "mcs"
    lease = abandoned(folder, str(bundle))
    write_bundle(bundle, lease.path)
    assert living(folder) == {lease.pair: lease.path}
    bundle.rename(tmp_path / "gone")
    assert living(folder) == {}


def test_a_later_bundle_in_the_same_place_does_not_keep_it(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "mcs"
    old = abandoned(folder, str(bundle))
    new = abandoned(folder, str(bundle))
    write_bundle(bundle, new.path)
    assert living(folder) == {new.pair: new.path}
    assert not old.path.exists()


def test_a_bundle_that_cannot_be_understood_keeps_its_pair(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "mcs"
    lease = abandoned(folder, str(bundle))
    bundle.mkdir()
    (bundle / "config.json").write_text("{")
    assert list(living(folder)) == [lease.pair]


def test_what_stands_in_the_place_of_a_lease_or_of_its_bundles_configuration_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "mcs"
    lease = abandoned(folder, str(bundle))
    bundle.mkdir()
    os.mkfifo(bundle / "config.json")
    assert list(living(folder)) == [lease.pair]
    lease.path.unlink()
    os.mkfifo(lease.path)
    assert living(folder) == {}


def test_a_bundle_without_the_annotation_does_not(tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "mcs"
    abandoned(folder, str(bundle))
    bundle.mkdir()
    (bundle / "config.json").write_text("{}")
    assert living(folder) == {}


def changed(lease: Lease, **values: object) -> None:
    lease.path.write_text(json.dumps(json.loads(lease.path.read_text()) | values))


def test_a_process_of_the_same_number_is_another_one(tmp_path: Path) -> None:
    for values in ({"start": 1}, {"boot": "another"}):
        lease = reserve(tmp_path, None)
        assert is_alive(lease.path)
        changed(lease, **values)
        assert not is_alive(lease.path)


def test_a_process_of_another_pid_namespace_counts_for_a_while(tmp_path: Path) -> None:
    lease = reserve(tmp_path, None)
    changed(lease, namespace="pid:[1]", pid=2**22)
    assert is_alive(lease.path)
    os.utime(lease.path, (0, 0))
    assert not is_alive(lease.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"bundle": ""}'])
def test_a_lease_that_was_never_finished_is_dead(tmp_path: Path, text: str) -> None:
    lease = reserve(tmp_path, None)
    lease.path.write_text(text)
    assert living(tmp_path) == {}


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes", "c1,c2", "c1,c2.xyz"):
        (tmp_path / name).touch()
    reserve(tmp_path, None)
    assert {"notes", "c1,c2", "c1,c2.xyz", "lock"} < set(os.listdir(tmp_path))
