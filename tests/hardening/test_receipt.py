"""Receipts: what the launch stage writes, read back and held against a composition."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hardening.compose import Composition, compose
from hardening.errors import HardeningError
from hardening.host import plain
from hardening.launch import receipt as stage
from hardening.layers import Stack
from hardening.mechanism import Check
from hardening.receipt import KEYS, read, verify
from tests.support.thirdparty.acme_quota import Quota, QuotaSettings


def written(path: Path, **changes: Any) -> Path:
    """A receipt of this very process, as the launch stage writes it, with changes."""
    found = stage.gather(os.getpid(), stage.namespaces("/proc/self")) | changes
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))
    return path


def test_what_the_launch_stage_writes_can_be_read(tmp_path: Path) -> None:
    path, mounts = tmp_path / "receipt", Path("/proc/self/mountinfo")
    before = mounts.read_text().splitlines()
    stage.write(str(path), stage.gather(os.getpid(), stage.namespaces("/proc/self")))
    found = read(path)
    assert found.keys() >= KEYS
    assert found["pid"] == os.getpid()
    assert found["status"]["Pid"] == str(os.getpid())
    assert found["namespaces"] == found["caller_namespaces"]
    assert found["namespaces"]["pid"] == os.readlink("/proc/self/ns/pid")
    assert found["mountinfo"] in (before, mounts.read_text().splitlines())  # somebody else may mount meanwhile
    assert found["oom_score_adj"] == int(Path("/proc/self/oom_score_adj").read_text())
    assert found["loginuid"] == int(Path("/proc/self/loginuid").read_text())
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kernel_without_audit_has_no_loginuid(tmp_path: Path) -> None:
    assert read(written(tmp_path / "receipt", loginuid=None))["loginuid"] is None


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_receipt_that_lacks_a_part_is_none(tmp_path: Path, key: str) -> None:
    path = written(tmp_path / "receipt", **{key: ...})
    with pytest.raises(HardeningError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: not a receipt: it lacks {key}\nhint: ")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", "\xff"])
def test_another_file_is_no_receipt(tmp_path: Path, text: str) -> None:
    path = tmp_path / "receipt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(HardeningError, match="not a receipt"):
        read(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pid", "1"),
        ("status", []),
        ("status", {}),
        ("uid_map", None),
        ("uid_map", "0 1"),
        ("gid_map", "\n"),
        ("gid_map", "0 0 " + "9" * 5000),
        ("limits", None),
        ("limits", "Max open files  " + "9" * 5000 + "  1 files"),
        ("namespaces", {"pid": 7}),
        ("caller_namespaces", "pid"),
        ("mountinfo", [7]),
        ("setgroups", 7),
        ("loginuid", "-" * 3),
        ("oom_score_adj", None),
    ],
)
def test_a_part_of_another_form_is_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(HardeningError, match=f"not a receipt: {key} has another form"):
        read(written(tmp_path / "receipt", **{key: value}))


@pytest.mark.parametrize(
    ("field", "text"), [("Uid", "0 0"), ("CapEff", "zz"), ("NoNewPrivs", ""), ("Umask", "9"), ("Groups", "a")]
)
def test_a_field_of_the_status_of_another_form_is_refused(tmp_path: Path, field: str, text: str) -> None:
    status = stage.gather(os.getpid(), {})["status"]
    for changed in ({**status, field: text}, {key: value for key, value in status.items() if key != field}):
        with pytest.raises(HardeningError, match="not a receipt: status has another form"):
            read(written(tmp_path / "receipt", status=changed))


def test_absurd_nesting_is_no_receipt(tmp_path: Path) -> None:
    (tmp_path / "receipt").write_text("[" * 100_000)
    with pytest.raises(HardeningError, match="not a receipt"):
        read(tmp_path / "receipt")


@pytest.mark.parametrize("value", ["many", [1], {}])
def test_a_number_that_is_none_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(HardeningError, match="not a receipt"):
        read(written(tmp_path / "receipt", oom_score_adj=value))


def test_a_missing_receipt_is_named(tmp_path: Path) -> None:
    with pytest.raises(HardeningError, match="cannot read the receipt: No such file or directory"):
        read(tmp_path / "receipt")


class Counting(Quota):
    """A mechanism that finds one number in a receipt."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def verify(self, settings: QuotaSettings, receipt: Mapping[str, Any]) -> Iterable[Check]:
        yield Check(f"{self.name}.files", str(settings.files), str(receipt["pid"]), settings.files == receipt["pid"])


def composition(*names: str) -> Composition:
    return compose(Stack(()), [Counting(name) for name in names], plain(), date(2026, 1, 1))


def test_every_mechanism_is_asked_in_its_order() -> None:
    checks = verify(composition("first", "second"), {"pid": 0})
    assert [(check.leaf, check.holds) for check in checks] == [("first.files", True), ("second.files", True)]
    assert [check.holds for check in verify(composition("first"), {"pid": 7})] == [False]
