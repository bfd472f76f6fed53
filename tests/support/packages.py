"""Packages that real package managers have installed: what a reader of their databases has to find."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

SPEC = """Name: {name}
{epoch}Version: 1.5
Release: 3
Summary: of a test
License: none
BuildArch: noarch
%description
nothing
%install
mkdir -p %{{buildroot}}/opt/{name}
for number in $(seq 200); do echo $number > %{{buildroot}}/opt/{name}/$number; done
%files
/opt/{name}
"""
#: What rpm says of them, as `rpm -qa` shows it with `QUERY`.
TINY = ("plain 1.5-3 noarch", "tiny 2:1.5-3 noarch")
QUERY = "%{name} %|epoch?{%{epoch}:}|%{version}-%{release} %{arch}\\n"


def call(*words: str | Path, text: str = "") -> str:
    """The output of a program, which has to end well."""
    command = [str(word) for word in words]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def rpms(place: Path) -> Sequence[Path]:
    """Two packages, one of them with an epoch; their headers do not fit into a page of a database."""
    for name, epoch in (("tiny", "Epoch: 2\n"), ("plain", "")):
        spec = place / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, epoch=epoch))
        call("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {place}/build", spec)
    return sorted((place / "build/RPMS/noarch").iterdir())


def rpm_database(place: Path, backend: str, files: Sequence[Path]) -> Path:
    """The directory of a database of rpm's with packages in it; neither a chroot nor root's rights are needed."""
    words = ("rpm", "--dbpath", place, "--define", f"_db_backend {backend}")
    place.mkdir(parents=True)
    call(*words, "--initdb")
    call(*words, "-i", "--justdb", "--nodeps", "--noscripts", *files)
    return place


def rpm_answer(place: Path, backend: str) -> list[str]:
    """What rpm itself finds in a database."""
    answer = call("rpm", "--dbpath", place, "--define", f"_db_backend {backend}", "-qa", "--qf", QUERY)
    return sorted(answer.splitlines())


def berkeley_database(place: Path, headers: Sequence[bytes], *options: str) -> Path:
    """The directory of a database of rpm's as it was in Berkeley DB, which rpm itself still reads."""
    place.mkdir(parents=True)
    rows = [(bytes(4), len(headers).to_bytes(4, "little"))]
    rows += [(number.to_bytes(4, "little"), header) for number, header in enumerate(headers, 1)]
    lines = ["VERSION=3", "format=bytevalue", "type=hash", *options, "HEADER=END"]
    lines += [f" {part.hex()}" for row in rows for part in row]
    call("db5.3_load", place / "Packages", text="\n".join([*lines, "DATA=END", ""]))
    return place


def pacman_root(place: Path) -> Path:
    """A root in which pacman has installed a package, `tiny 1:2.5-3 any`. It needs root's rights."""
    info = b"pkgname = tiny\npkgbase = tiny\npkgver = 1:2.5-3\narch = any\nsize = 1\nbuilddate = 1\npackager = nobody\n"
    package, settings, root = place / "tiny-1:2.5-3-any.pkg.tar", place / "pacman.conf", place / "pacman"
    with tarfile.open(package, "w") as archive:
        member = tarfile.TarInfo(".PKGINFO")
        member.size = len(info)
        archive.addfile(member, io.BytesIO(info))
    settings.write_text("[options]\nArchitecture = auto\nSigLevel = Never\n")
    (root / "var/lib/pacman").mkdir(parents=True)
    call("pacman", "--root", root, "--dbpath", root / "var/lib/pacman", "--config", settings,
         "--cachedir", place / "cache", "--noconfirm", "-U", package)  # fmt: skip
    return root
