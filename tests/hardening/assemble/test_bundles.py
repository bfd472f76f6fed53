"""The bundles of running commands: locked before anything is in them, removed once nobody holds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.assemble import bundles
from hardening.errors import LaunchError
from hardening.launch import cgroups
from tests.support.features import require


def test_a_bundle_that_is_held_is_not_swept_though_it_is_empty(tmp_path: Path) -> None:
    lock = bundles.make(tmp_path / "bundle")
    (tmp_path / "file").touch()
    bundles.sweep(tmp_path)
    assert (tmp_path / "bundle").exists()
    os.close(lock)
    bundles.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_lock_survives_an_execution(tmp_path: Path) -> None:
    lock = bundles.make(tmp_path / "bundle")
    argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[lock]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.close(lock)
        bundles.sweep(tmp_path)
        assert (tmp_path / "bundle").exists()
    bundles.sweep(tmp_path)
    assert not (tmp_path / "bundle").exists()


def test_a_sweep_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "bundles"
    place.mkdir()
    (place / "link").symlink_to(outside)
    (place / "bundle").mkdir()
    (place / "bundle" / "link").symlink_to(outside)
    bundles.sweep(place)
    assert outside.exists()
    assert [path.name for path in place.iterdir()] == ["link"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"linux": 5}', b'{"linux": {"cgroupsPath": 5}}', b"\xff"])
def test_a_bundle_that_was_not_written_to_its_end_goes_too(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "config.json").write_bytes(text)
    bundles.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_goes_with_its_control_groups(tmp_path: Path) -> None:
    require("root")
    require("cgroups")
    name = f"hardening-test-{os.getpid()}"
    mounts = [hierarchy.mount for hierarchy in cgroups.read_hierarchies() if not hierarchy.unified][:2]
    groups = [Path(mount, name) for mount in mounts]
    for group in groups:
        group.mkdir()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "config.json").write_text(json.dumps({"linux": {"cgroupsPath": f"/{name}"}}))
    bundles.sweep(tmp_path)
    assert not any(group.exists() for group in groups)


def test_two_bundles_cannot_have_one_name(tmp_path: Path) -> None:
    lock = bundles.make(tmp_path / "bundle")
    with pytest.raises(LaunchError, match="File exists"):
        bundles.make(tmp_path / "bundle")
    os.close(lock)
