"""Slots: reserved, bounded, evicted by use, and taken away with what they hold."""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

import hardening_seccomp
from hardening.assemble.spec import LEASES
from hardening.cache import plans
from hardening.cache.plans import Basis, Slot
from hardening.errors import LaunchError
from hardening.launch import plans as launch
from hardening.launch.request import LaunchRequest
from hardening.mechanism.fragment import Directory, File, Spec, Symlink

NOTHING = Basis({}, "", ())
REQUEST = LaunchRequest(stdin=True)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    # The tests' process may have begun in the moment when its environment was made, and lives long.
    monkeypatch.setattr(plans, "_started", time.time_ns)
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


def stored(*words: str, lease: Path | None = None) -> Slot:
    """A slot with a plan that nobody uses."""
    slot = plans.reserve(words)
    assert slot is not None
    assert plans.store(slot, NOTHING, REQUEST, spec(lease), ["a note"])
    os.close(slot.lock)
    return slot


def base(state: Path) -> Path:
    return state / "plans"


def test_a_slot_is_held_while_its_process_lives(state: Path) -> None:
    slot = plans.reserve(("run", "x"))
    assert slot is not None
    assert [item.running for item in plans.stored(base(state))] == [True]
    assert plans.clear() == 0
    os.close(slot.lock)
    assert [(item.running, item.whole) for item in plans.stored(base(state))] == [(False, False)]
    assert plans.clear() == 1
    assert not list(base(state).glob("*/"))


def test_a_bundle_is_whole_before_there_is_a_plan(state: Path) -> None:
    slot = stored("run", "x")
    assert {path.name for path in slot.path.iterdir()} == {"bundle", "plan.json"}
    assert {path.name for path in slot.bundle.iterdir()} == {"config.json", "seccomp.bpf", "rootfs"}


def test_where_only_the_bundle_is_asked_for_there_is_no_plan() -> None:
    slot = plans.reserve(("run", "x"))
    assert slot is not None
    assert not plans.store(slot, NOTHING, REQUEST, spec(), [], lasting=False)
    assert [path.name for path in slot.path.iterdir()] == ["bundle"]
    plans.drop(slot)
    assert not slot.path.exists()


def test_one_line_has_so_many_slots_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SLOTS_EACH", 2)
    held = [plans.reserve(("run", "x")) for _ in range(3)]
    assert [slot is not None for slot in held] == [True, True, False]
    assert plans.reserve(("run", "y")) is not None


def test_what_was_used_last_stays(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SLOTS", 3)
    slots = [stored("run", str(number)) for number in range(3)]
    for age, slot in zip((5, 1, 9), slots, strict=True):
        os.utime(slot.path, (1_000_000 - age, 1_000_000 - age))
    new = stored("run", "new")
    kept = {item.path for item in plans.stored(base(state))}
    assert kept == {new.path, slots[0].path, slots[1].path}


def test_what_is_in_use_stays_whenever_it_was_used(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SLOTS", 1)
    used = plans.reserve(("run", "x"))
    assert used is not None
    os.utime(used.path, (1, 1))
    stored("run", "y")
    assert used.path in {item.path for item in plans.stored(base(state))}


def test_a_lease_goes_with_its_slot(state: Path) -> None:
    lease = state / "selinux/mcs/c1,c2.lease"
    lease.parent.mkdir(parents=True)
    lease.write_text("")
    slot = stored("run", "x", lease=lease)
    assert plans.clear() == 1
    assert not slot.path.exists()
    assert not lease.exists()


@pytest.mark.parametrize("name", ["outside", "state/../outside", "state"])
def test_what_is_no_lease_of_the_same_state_directory_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("")
    stored("run", "x", lease=Path(f"{tmp_path}/{name}"))
    assert plans.clear() == 1
    assert (tmp_path / "outside").exists()


def test_somebody_else_s_slots_are_not_cleared(state: Path) -> None:
    slot = stored("run", "x")
    state.chmod(0o777)
    with pytest.raises(LaunchError, match="others can write to it"):
        plans.clear()
    assert slot.path.exists()


def test_a_lease_that_is_gone_makes_the_plan_one_that_does_not_count(tmp_path: Path) -> None:
    lease = tmp_path / "c1,c2.lease"
    lease.write_text("")
    slot = stored("run", "x", lease=lease)
    seen = json.loads((slot.path / "plan.json").read_bytes().split(b"\n", 1)[1])["inputs"]
    assert seen["name"][str(lease)] != "-"


def test_code_that_is_younger_than_the_process_is_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_started", lambda: 0)
    slot = plans.reserve(("run", "x"))
    assert slot is not None
    assert not plans.store(slot, NOTHING, REQUEST, spec(), [])
    plans.drop(slot)


def test_the_data_in_a_package_counts_as_its_modules_do() -> None:
    slot = stored("run", "x")
    seen = json.loads((slot.path / "plan.json").read_bytes().split(b"\n", 1)[1])["inputs"]["code"]
    package = Path(hardening_seccomp.__file__).parent
    assert {str(package / "__init__.py"), str(package / "groups.toml")} <= set(seen)
    assert not [path for path in seen if "__pycache__" in path]


def test_a_state_directory_that_others_can_write_to_has_no_slots(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "plans").mkdir()
    (state / "plans").chmod(0o777)
    assert plans.reserve(("run", "x")) is None


def test_a_plan_that_says_what_cannot_be_does_not_count() -> None:
    slot = stored("run", "x")
    found = launch.find(("run", "x"), os.environ)
    assert found is not None
    os.close(found.lock)
    path = slot.path / "plan.json"
    plan = json.loads(path.read_bytes().split(b"\n", 1)[1])
    text = json.dumps({**plan, "bundle": "/a\0b"}).encode()
    path.write_bytes(sha256(text).hexdigest().encode() + b"\n" + text)
    assert launch.find(("run", "x"), os.environ) is None
    assert not path.exists()
