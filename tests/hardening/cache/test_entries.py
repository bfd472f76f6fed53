"""Entries of the cache: reserved, bounded, pruned by use, and taken away with what they hold."""

from __future__ import annotations

import json
import os
import subprocess
import time
from hashlib import sha256
from pathlib import Path

import pytest

import hardening_seccomp
from hardening.assemble import bundle
from hardening.cache import entries, validity
from hardening.cache.entries import Entry, Open
from hardening.cache.validity import Validity
from hardening.errors import LaunchError
from hardening.launch import cache
from hardening.launch.cache import HOST, Line
from hardening.launch.config.bundle import LEASES
from hardening.launch.request import LaunchRequest
from hardening.mechanism.fragment import Directory, File, Spec, Symlink
from tests.support.features import require

NOTHING = Validity({}, "", ())
REQUEST = LaunchRequest(stdin=True)


def line(*words: str) -> Line:
    return Line.of(HOST, ("run", *words), ("true",))


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    # The tests' process may have begun in the moment when its environment was made, and lives long.
    monkeypatch.setattr(validity, "_started", time.time_ns)
    return tmp_path / "state"


def spec(lease: Path | None = None) -> Spec:
    annotations = {"annotations": {LEASES: json.dumps([str(lease)])}} if lease else {}
    files: dict[str, File] = {
        "rootfs": Directory(),
        "rootfs/bin": Symlink("usr/bin"),
        "rootfs/file": b"",
        "seccomp.bpf": b"12345678",
    }
    return Spec(json.dumps({"ociVersion": "1.2.0", **annotations}).encode(), {}, files)


def keep(entry: Entry, lease: Path | None = None) -> bool:
    bundle.write(spec(lease), entry.bundle, private=True)
    return entries.store(entry, NOTHING, REQUEST, spec(lease), ["a note"], (), Open((), (), {}))


def stored(*words: str, lease: Path | None = None) -> Entry:
    """An entry that nobody uses."""
    entry = entries.reserve(line(*words))
    assert entry is not None
    assert keep(entry, lease)
    os.close(entry.lock)
    return entry


def base(state: Path) -> Path:
    return state / "cache"


def test_an_entry_is_held_while_its_process_lives(state: Path) -> None:
    entry = entries.reserve(line("x"))
    assert entry is not None
    assert [item.running for item in entries.stored(base(state))] == [True]
    assert entries.clear() == 0
    os.close(entry.lock)
    assert [(item.running, item.whole) for item in entries.stored(base(state))] == [(False, False)]
    assert entries.clear() == 1
    assert not list(base(state).glob("*/"))


def test_a_bundle_is_whole_before_there_is_an_entry(state: Path) -> None:
    entry = stored("x")
    assert {path.name for path in entry.path.iterdir()} == {"bundle", "entry.json"}
    assert {path.name for path in entry.bundle.iterdir()} == {"config.json", "seccomp.bpf", "rootfs"}


def test_one_key_has_so_many_entries_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "EACH", 2)
    several = [entries.reserve(line("x")) for _ in range(3)]
    assert [entry is not None for entry in several] == [True, True, False]
    assert entries.reserve(line("y")) is not None


def test_what_was_used_last_stays(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST", 3)
    made = [stored(str(number)) for number in range(3)]
    for age, entry in zip((5, 1, 9), made, strict=True):
        os.utime(entry.path, (1_000_000 - age, 1_000_000 - age))
    new = stored("new")
    kept = {item.path for item in entries.stored(base(state))}
    assert kept == {new.path, made[0].path, made[1].path}


def test_what_is_in_use_stays_whenever_it_was_used(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST", 1)
    used = entries.reserve(line("x"))
    assert used is not None
    os.utime(used.path, (1, 1))
    stored("y")
    assert used.path in {item.path for item in entries.stored(base(state))}


def test_a_lease_goes_with_its_entry(state: Path) -> None:
    lease = state / "selinux/mcs/c1,c2.lease"
    lease.parent.mkdir(parents=True)
    lease.write_text("")
    entry = stored("x", lease=lease)
    assert entries.clear() == 1
    assert not entry.path.exists()
    assert not lease.exists()


def test_what_cannot_be_removed_does_not_count_as_removed(state: Path) -> None:
    require("root")
    stuck = stored("x").path / "bundle/rootfs"
    stored("y")
    subprocess.run(["mount", "--bind", stuck, stuck], check=True)
    try:
        with pytest.raises(LaunchError, match="1 of 2 entries cannot be removed: something is mounted on it") as caught:
            entries.clear()
        assert caught.value.origin == stuck.parents[1]
        entry = entries.reserve(line("z"))  # in passing it is in nobody's way
        assert entry is not None
        os.close(entry.lock)
    finally:
        subprocess.run(["umount", stuck], check=True)
    assert entries.clear() == 2
    assert not list(base(state).glob("*/"))


@pytest.mark.parametrize("name", ["outside", "state/../outside", "state"])
def test_what_is_no_lease_of_the_same_state_directory_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("")
    stored("x", lease=Path(f"{tmp_path}/{name}"))
    assert entries.clear() == 1
    assert (tmp_path / "outside").exists()


def test_somebody_else_s_entries_are_not_cleared(state: Path) -> None:
    entry = stored("x")
    state.chmod(0o777)
    with pytest.raises(LaunchError, match="others can write to it"):
        entries.clear()
    assert entry.path.exists()


def test_a_lease_that_is_gone_makes_an_entry_that_is_not_valid(tmp_path: Path) -> None:
    lease = tmp_path / "c1,c2.lease"
    lease.write_text("")
    entry = stored("x", lease=lease)
    seen = json.loads((entry.path / "entry.json").read_bytes().split(b"\n", 1)[1])["inputs"]
    assert seen["name"][str(lease)] != "-"


def test_code_that_is_younger_than_the_process_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity, "_started", lambda: 0)
    entry = entries.reserve(line("x"))
    assert entry is not None
    assert not keep(entry)
    entries.remove(entry)
    assert not entry.path.parent.exists()


def test_the_data_in_a_package_counts_as_its_modules_do() -> None:
    entry = stored("x")
    seen = json.loads((entry.path / "entry.json").read_bytes().split(b"\n", 1)[1])["inputs"]["code"]
    package = Path(hardening_seccomp.__file__).parent
    assert {str(package / "__init__.py"), str(package / "groups.toml")} <= set(seen)
    assert not [path for path in seen if "__pycache__" in path]


def test_a_state_directory_that_others_can_write_to_has_no_entries(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "cache").mkdir()
    (state / "cache").chmod(0o777)
    assert entries.reserve(line("x")) is None


def test_an_entry_that_says_what_cannot_be_is_not_valid() -> None:
    entry = stored("x")
    words = ["run", "x", "--", "true"]
    found = cache.find(words, os.environ)
    assert found is not None
    found.release()
    path = entry.path / "entry.json"
    says = json.loads(path.read_bytes().split(b"\n", 1)[1])
    text = json.dumps({**says, "bundle": "/a\0b"}).encode()
    path.write_bytes(sha256(text).hexdigest().encode() + b"\n" + text)
    assert cache.find(words, os.environ) is None
    assert not path.exists()
