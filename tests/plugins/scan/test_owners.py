"""Which package has a file, by the lists of package managers."""

from __future__ import annotations

from pathlib import Path

from hardening.elf.closure import LinkingRoot
from hardening.mechanism.scanner import ScannedRoot
from hardening_scan.packages import Packages


def owners(root: Path, *paths: str) -> dict[str, str]:
    view = LinkingRoot((str(root),))
    return dict(Packages().owners(ScannedRoot(-1, view.read, view.names), paths))


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_dpkg_names_the_package_also_by_the_path_before_usr_was_merged(tmp_path: Path) -> None:
    status = "Package: demo\nStatus: install ok installed\nVersion: 1.0-2\nArchitecture: amd64\n"
    write(tmp_path, "var/lib/dpkg/status", status)
    write(tmp_path, "var/lib/dpkg/info/demo:amd64.list", "/.\n/bin\n/bin/demo\n/usr/share/demo\n")
    found = owners(tmp_path, "/usr/bin/demo", "/usr/share/demo", "/usr/bin/other")
    assert found == {"/usr/bin/demo": "demo 1.0-2", "/usr/share/demo": "demo 1.0-2"}


def test_apk_and_pacman_name_the_package(tmp_path: Path) -> None:
    write(tmp_path, "lib/apk/db/installed", "P:musl\nV:1.2.5-r0\nF:lib\nR:libc.so\n\nP:empty\nV:1\n\n")
    assert owners(tmp_path, "/lib/libc.so") == {"/lib/libc.so": "musl 1.2.5-r0"}
    write(tmp_path, "var/lib/pacman/local/glib-c-2.41-1/desc", "%NAME%\nglib-c\n\n%VERSION%\n2.41-1\n")
    write(tmp_path, "var/lib/pacman/local/glib-c-2.41-1/files", "%FILES%\nusr/lib/\nusr/lib/libg.so\n")
    assert owners(tmp_path, "/usr/lib/libg.so") == {"/usr/lib/libg.so": "glib-c 2.41-1"}


def test_a_root_without_lists_names_nobody(tmp_path: Path) -> None:
    assert owners(tmp_path, "/usr/bin/demo") == {}
