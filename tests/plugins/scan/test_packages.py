"""What package managers have written down in a root: read as they read it, and told where it cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hardening.images.ids import Ids
from hardening.mechanism.scanner import Detection, Package, RootEntry, ScannedRoot, Scanner
from hardening_scan import Scan, examine
from hardening_scan.malformed import Malformed
from hardening_scan.packages import Packages, apk, pacman, stanzas
from hardening_scan.settings import ScanSettings
from tests.support import packages
from tests.support.features import require
from tests.support.texts import composed

DPKG = "Package: a\nStatus: install ok installed\nVersion: 1-2\nArchitecture: all\nConffiles:\n /etc/a 0\n\n" + (
    "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
)


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def shown(root: Path) -> tuple[list[str], list[Detection]]:
    require("userns")
    scanned = examine.examine(str(root), (Packages(),), Ids())
    return [" ".join((item.manager, item.name, item.version, item.architecture)) for item in scanned.packages], list(
        scanned.findings
    )


def test_every_manager_s_list_is_read_where_it_keeps_it(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status", DPKG)
    put(tmp_path, "var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2025b\nArchitecture: all\n")
    put(tmp_path, "var/lib/dpkg/status.d/tzdata.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\n")
    put(tmp_path, "lib/apk/db/installed", "C:Q1=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld-musl.so\nZ:Q1=\n\n")
    put(
        tmp_path,
        "usr/lib/opkg/status",
        "Package: base\nVersion: 9\nStatus: install user installed\nArchitecture: mips\n\n",
    )
    put(tmp_path, "var/lib/pacman/local/ALPM_DB_VERSION", "9\n")
    put(
        tmp_path,
        "var/lib/pacman/local/zlib-1/desc",
        "%NAME%\nzlib\n\n%VERSION%\n1:1.3-2\n\n%ARCH%\nany\n\n%DEPENDS%\na\nb\n",
    )
    found, findings = shown(tmp_path)
    assert found == [
        "apk musl 1.2.5-r0 x86_64",
        "dpkg a 1-2 all",
        "dpkg tzdata 2025b all",
        "opkg base 9 mips",
        "pacman zlib 1:1.3-2 any",
    ]
    assert findings == []


def test_the_list_of_this_host_is_read_as_dpkg_reads_it() -> None:
    said = packages.call("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture}\n")
    theirs = sorted(line.split(" ", 1)[1] for line in said.splitlines() if line.startswith("installed "))
    ours = stanzas("dpkg", Path("/var/lib/dpkg/status").read_bytes())
    assert sorted(f"{item.name} {item.version} {item.architecture}" for item in ours) == theirs


def test_what_rpm_and_pacman_have_installed_is_found(tmp_path: Path, rpm_files: Sequence[Path]) -> None:
    root = packages.pacman_root(tmp_path) if os.geteuid() == 0 else tmp_path / "pacman"
    packages.rpm_database(root / "usr/lib/sysimage/rpm", "sqlite", rpm_files)
    (root / "var/lib").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/rpm").symlink_to(
        "../../usr/lib/sysimage/rpm"
    )  # as Fedora has it: what two ways lead to counts once
    installed = ["pacman tiny 1:2.5-3 any"] if os.geteuid() == 0 else []
    assert shown(root) == ([*installed, *(f"rpm {item}" for item in packages.TINY)], [])


def test_a_log_that_rpm_has_not_taken_over_is_told(tmp_path: Path, rpm_files: Sequence[Path]) -> None:
    place = packages.rpm_database(tmp_path / "var/lib/rpm", "sqlite", rpm_files)
    (place / "rpmdb.sqlite-wal").write_bytes(b"\x37\x7f\x06\x82")
    found, (finding,) = shown(tmp_path)
    assert len(found) == len(packages.TINY)
    assert (finding.kind, finding.path) == ("unread", "/var/lib/rpm/rpmdb.sqlite-wal")


@pytest.mark.parametrize("name", ["rpmdb.sqlite", "Packages.db", "Packages"])
def test_no_link_leads_out_and_what_is_no_file_is_told(tmp_path: Path, name: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (outside / name).write_text("a database")
    (root / "var/lib/rpm").mkdir(parents=True)
    (root / "usr/lib/sysimage/rpm").mkdir(parents=True)
    (root / "var/lib/rpm" / name).symlink_to(outside / name)
    os.mkfifo(root / "usr/lib/sysimage/rpm" / name)
    found, (finding,) = shown(root)
    assert (found, finding.path) == ([], f"/usr/lib/sysimage/rpm/{name}")
    shutil.rmtree(root / "usr")
    put(root, f"usr/share/rpm/{name}", "no database")
    (finding,) = shown(root)[1]
    assert (finding.kind, finding.path) == ("unread", f"/usr/share/rpm/{name}")


def test_lists_that_are_too_long_are_told(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status", "")
    put(tmp_path, "var/lib/dpkg/status.d/long", "")
    for path, size in (("dpkg/status", 64 << 20), ("dpkg/status.d/long", 1 << 20)):
        os.truncate(tmp_path / "var/lib" / path, size + 1)
    found, findings = shown(tmp_path)
    assert found == []
    assert [item.path for item in findings] == ["/var/lib/dpkg/status", "/var/lib/dpkg/status.d/long"]
    assert all("is longer than" in item.detail for item in findings)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (lambda data: stanzas("dpkg", data), "no colon here\n\n"),
        (lambda data: stanzas("dpkg", data), "Package: a\nPackage: b\n\n"),
        (lambda data: stanzas("dpkg", data), "Version: 1\n\n"),
        (lambda data: stanzas("dpkg", data), "Package: a\n\n"),
        (lambda data: stanzas("dpkg", data), "a\0b"),
        (lambda data: stanzas("dpkg", data), "".join(f"f{number}: x\n" for number in range(2000))),
        (apk, "P:a\n\n"),
        (apk, "V:1\n\n"),
        (apk, "no list"),
        (pacman, ""),
        (pacman, "%NAME%\na\n"),
        (pacman, "NAME\na\n\n%VERSION%\n1\n"),
        (pacman, "%NAME%\n\n%VERSION%\n1\n"),
    ],
)
def test_a_malformed_list_is_told(parse: Callable[[bytes], list[Package]], text: str) -> None:
    with pytest.raises(Malformed):
        parse(text.encode())


def test_a_paragraph_may_be_long_and_may_be_none() -> None:
    assert stanzas("dpkg", b"\n" * (1 << 20)) == []
    assert len(apk(b"P:a\nV:1\n" + b"F:x\n" * (1 << 18))) == 1


class Judge(Scanner):
    """A scanner of another package, which judges by the packages that are listed."""

    name = "judge"
    summary = "of a test"
    kinds = ("external",)

    def entry(self, entry: RootEntry) -> list[Detection]:
        return []

    def whole(self, root: ScannedRoot) -> list[Detection]:
        return [Detection("external", "/", f"{item.name} is old") for item in root.packages]


def test_scanners_of_other_packages_judge_by_the_packages_and_a_gate_by_whether_they_are_known(tmp_path: Path) -> None:
    require("userns")
    put(tmp_path, "var/lib/dpkg/status", DPKG)
    put(tmp_path, "lib/apk/db/installed", "no list")
    external, setuid = (
        composed(f"scan.{kind} = 'deny'", by=[Scan()]).settings["scan"] for kind in ("external", "setuid")
    )
    assert isinstance(external, ScanSettings)
    assert isinstance(setuid, ScanSettings)
    known: dict[str, Scanner] = {"judge": Judge(), "packages": Packages()}
    asked = examine.asked(known, external)
    scanned = examine.examine(str(tmp_path), asked, Ids())
    assert [(item.kind, item.detail.split(":")[0]) for item in scanned.findings] == [
        ("external", "a is old"),
        ("unread", "the packages of apk cannot be read"),
    ]
    assert [scanned.hiding[item] for item in scanned.findings if item.kind == "unread"] == [{"external"}]
    assert examine.asked(known, setuid) == ()


def test_all_lists_together_have_an_end(tmp_path: Path) -> None:
    require("userns")
    for number in range(9):
        put(tmp_path, f"var/lib/dpkg/status.d/p{number}", f"Package: p{number}\nVersion: 1\n{'D: x' * 20}\n")
    put(tmp_path, "lib/apk/db/installed", "P:musl\nV:1\n")
    scanned = examine.examine(str(tmp_path), (Packages(total=500),), Ids())
    assert [item.name for item in scanned.packages] == ["p0", "p1", "p2", "p3"]
    assert {item.detail for item in scanned.findings} == {
        f"the packages of {name} cannot be read: all lists together are too long" for name in ("dpkg", "apk")
    }
