"""What scanners say of a file, and what becomes of one that fails."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hardening.images.ids import Ids
from hardening.scanning import Entry, Found, Root, Scanner
from hardening_scan import examine
from hardening_scan.scanners import granted
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

    def entry(self, entry: Entry) -> list[Found]:
        return [Found("external", entry.path, str(len(entry.read(10))))]

    def whole(self, root: Root) -> list[Found]:
        return [Found("external", "/", root.read("/absent", 10).decode())]


def test_what_a_scanner_cannot_look_at_is_no_acceptance(tmp_path: Path) -> None:
    require("userns")
    (tmp_path / "file").write_text("text")
    found = examine.examine(str(tmp_path), (Failing(),), Ids()).findings
    assert {(item.kind, item.path, item.detail) for item in found} == {
        ("external", "/file", "4"),
        ("unread", "/", "the scanner failing cannot look at it: it is no regular file"),
        ("unread", "/", "the scanner failing cannot look at it: No such file or directory"),
    }
