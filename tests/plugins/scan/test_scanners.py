"""What scanners say of a file, and what becomes of one that fails."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.images.ids import Ids
from hardening.mechanism import scanner
from hardening.mechanism.scanner import Detection, RootEntry, ScannedRoot, Scanner
from hardening_scan import examine, walk
from hardening_scan.scanners import CredentialFiles, Modes, granted
from tests.support.features import require

#: Attributes as setcap(8) writes them, and how getcap(8) shows them.
CAPABILITIES = {
    "cap_net_raw=ep": "0100000200200000000000000000000000000000",
    "cap_net_raw=p": "0000000200200000000000000000000000000000",
    "cap_chown,cap_net_raw=eip": "0100000201200000012000000000000000000000",
    "cap_sys_admin=ei": "0100000200000000000020000000000000000000",
    "cap_chown=i cap_net_raw=p": "0000000200200000010000000000000000000000",
    "cap_bpf=ip": "0000000200000000000000008000000080000000",
    "all=ep": "01000002ffffffff00000000ff01000000000000",
}


@pytest.mark.parametrize("shown", CAPABILITIES)
def test_capabilities_are_shown_as_getcap_does(tmp_path: Path, shown: str) -> None:
    value = bytes.fromhex(CAPABILITIES[shown])
    assert granted(value) == shown
    if os.geteuid() == 0:
        file = tmp_path / "file"
        file.touch()
        subprocess.run(["setcap", shown, file], check=True)
        assert os.getxattr(file, "security.capability") == value


def test_of_a_user_namespace_and_of_the_first_version_are_capabilities_too() -> None:
    value = bytes.fromhex(CAPABILITIES["cap_net_raw=ep"])
    assert (
        granted(value[:3] + b"\3" + value[4:] + b"\xe8\3\0\0")
        == granted(value[:3] + b"\1" + value[4:12])
        == "cap_net_raw=ep"
    )
    assert granted(b"") == granted(b"x" * 13) == ""


class Failing(Scanner):
    """A scanner that does not answer for its own errors."""

    name = "failing"
    summary = "of a test"
    kinds = ("external",)

    def entry(self, entry: RootEntry) -> list[Detection]:
        return [Detection("external", entry.path, str(len(entry.read(10))))]

    def whole(self, root: ScannedRoot) -> list[Detection]:
        return [Detection("external", "/", root.read("/absent", 10).decode())]


def test_what_a_scanner_cannot_look_at_is_no_acceptance(tmp_path: Path) -> None:
    require("userns")
    (tmp_path / "file").write_text("text")
    found = examine.examine(str(tmp_path), (Failing(),), Ids()).findings
    assert {(item.kind, item.path, item.detail) for item in found} == {
        ("external", "/file", "4"),
        ("unread", "/", "the scanner failing cannot look at it: it is not a regular file"),
        ("unread", "/", "the scanner failing cannot look at it: No such file or directory"),
    }


class Broken(Scanner):
    """A scanner with faults: it raises, and it finds what it does not name."""

    name = "broken"
    summary = "of a test"
    kinds = ("external",)

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        if entry.path.endswith("/fault"):
            yield Detection("external", entry.path, "before the fault")
            raise ValueError("what was in the file")
        if entry.path.endswith("/strange"):
            yield Detection("setuid", entry.path, "mode 4755")

    def whole(self, root: ScannedRoot) -> list[Detection]:
        return [Detection("external", "/", "found after all that")]


class Hanging(Broken):
    """It comes to no end with any file, whatever it is told, and with the root."""

    name = "hanging"

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        yield Detection("external", entry.path, "before it hangs")
        while True:
            try:
                time.sleep(600)
            except Exception:  # noqa: BLE001  # as others write it
                return

    def whole(self, root: ScannedRoot) -> list[Detection]:
        raise AssertionError("it is asked again")


def test_a_scanner_that_fails_or_does_not_end_is_told_by_its_name_once_and_hides_no_other(tmp_path: Path) -> None:
    require("userns")
    for name in ("fault", "strange", "zz"):
        (tmp_path / name).touch()
    (tmp_path / "zz").chmod(0o4755)
    began = time.monotonic()
    scanned = examine.examine(str(tmp_path), (Broken(), Hanging(), Modes()), Ids(), walk.WalkLimits(file=0.5))
    assert time.monotonic() - began < 1.5  # of four files and the root, one
    assert {(item.kind, item.path, item.detail) for item in scanned.findings} == {
        ("external", "/fault", "before the fault"),
        ("unread", "/fault", "the scanner broken failed: ValueError"),
        ("external", "/", "before it hangs"),
        ("unread", "/", "the scanner hanging takes too long with /, and is not asked again"),
        ("unread", "/", "the scanner broken finds the kind setuid, which it does not name"),
        ("external", "/", "found after all that"),
        ("setuid", "/zz", "mode 4755"),
    }
    assert {*scanned.hiding.values()} == {frozenset({"external"}), frozenset(scanner.DENIABLE)}


def test_a_walk_has_an_end(tmp_path: Path) -> None:
    require("userns")
    (tmp_path / "file").touch()
    (found,) = examine.examine(str(tmp_path), (Modes(),), Ids(), walk.WalkLimits(patience=0)).findings
    assert (found.kind, found.path) == ("unread", "/")


@pytest.mark.parametrize("before", [(1 << 20) - 20, (1 << 20) + 10, (3 << 20) - 5])
def test_a_key_is_found_in_a_large_file_also_between_two_pieces(tmp_path: Path, before: int) -> None:
    require("userns")
    (tmp_path / "dump").write_bytes(
        b"x" * before + b"\n-----BEGIN PRIVATE KEY-----\n" + b"A" * 64 + b"\n" + b"x" * (2 << 20)
    )
    (found,) = examine.examine(str(tmp_path), (CredentialFiles(),), Ids()).findings
    assert found == Detection("credentials", "/dump", "private key (PEM)")
