"""What has changed since a layer was learnt: the kernel's release, versions of packages, files that no package has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import attrs

from hardening.learn.software import changes
from hardening.mechanism.host import plain
from hardening.mechanism.scanner import Detection, Package, RootEntry, ScannedRoot, Scanner
from hardening.profile.fingerprint import Fingerprint

HOST = attrs.evolve(plain(), release="6.1.7-amd64", machine="x86_64")
LEARNT = Fingerprint(date(2026, 11, 29), ("6.1.0 x86_64",), ("libc6 2.41-12", "nginx 1.26", "nginx 1.27"))


class _Listed(Scanner):
    """A root with some packages."""

    name, summary, kinds, lists = "listed", "", (), True

    def __init__(self, *packages: str) -> None:
        self._packages = [Package("dpkg", *words.split()) for words in packages]

    def entry(self, entry: RootEntry) -> Iterable[Detection]:
        return ()

    def packages(self, root: ScannedRoot) -> Sequence[Package]:
        return self._packages


def _changes(learnt: Fingerprint, root: Path, *packages: str, further: Sequence[str] = ()) -> list[str]:
    return [*changes(learnt, [str(root)], HOST, [_Listed(*packages)], further)]


def test_what_is_as_it_was_is_not_told(tmp_path: Path) -> None:
    assert _changes(LEARNT, tmp_path, "libc6 2.41-12", "nginx 1.27") == []


def test_other_packages_and_another_kernel_are_told(tmp_path: Path) -> None:
    learnt = attrs.evolve(LEARNT, kernels=("5.10.0 x86_64", "6.1.0 aarch64"))
    assert _changes(learnt, tmp_path, "libc6 2.42-1") == [
        "it was learnt on Linux 5.10.0 x86_64, 6.1.0 aarch64, and this is 6.1 x86_64",
        "it was learnt with libc6 2.41-12, which is 2.42-1 now",
        "it was learnt with nginx 1.26 or 1.27, which is gone now",
    ]


def test_a_package_of_an_upgrade_takes_the_place_of_the_one_that_is_listed(tmp_path: Path) -> None:
    listed = ("libc6 2.41-12", "nginx 1.26")
    assert _changes(LEARNT, tmp_path, *listed, further=["nginx 1.28"]) == [
        "it was learnt with nginx 1.26 or 1.27, which is 1.28 now"
    ]


def test_files_are_told_by_their_digests(tmp_path: Path) -> None:
    (tmp_path / "same").write_text("a")
    (tmp_path / "other").write_text("b")
    digest = f"sha256:{hashlib.sha256(b'a').hexdigest()}"
    learnt = attrs.evolve(LEARNT, packages=(), files={f"/{name}": digest for name in ("same", "other", "gone")})
    assert _changes(learnt, tmp_path) == ["it was learnt with another /other", "it was learnt with another /gone"]
