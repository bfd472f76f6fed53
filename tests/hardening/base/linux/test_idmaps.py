"""Id maps of user namespaces, written for real."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hardening.base import places
from hardening.base.linux import abi, idmaps, kernel
from hardening.base.linux.idmaps import IdMap
from hardening.base.linux.userns import identity_maps
from hardening.errors import LaunchError
from tests.support.features import require
from tests.support.runs import children


def one(inside: int, outside: int, count: int) -> tuple[IdMap, ...]:
    return (IdMap(inside=inside, outside=outside, count=count),)


def test_the_callers_own_id_needs_no_helper() -> None:
    require("userns")
    pid = kernel.clone(abi.CLONE_NEWUSER)
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        idmaps.write_maps(pid, one(0, os.geteuid(), 1), one(0, os.getegid(), 1))
        assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", str(os.geteuid()), "1"]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_overlapping_ranges_are_refused_in_words() -> None:
    require("root")
    pid = kernel.clone(abi.CLONE_NEWUSER)
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        with pytest.raises(LaunchError, match="uid_map"):
            idmaps.write_maps(pid, one(0, 0, 10) + one(5, 100, 10), one(0, 0, 1))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_namespace_for_an_id_mapped_mount() -> None:
    require("root")
    fd = idmaps.new_user_namespace(one(0, 5000, 10), one(0, 5000, 10))
    assert os.fstat(fd).st_ino != os.stat("/proc/self/ns/user").st_ino
    os.close(fd)


def test_identity_maps_cover_what_a_configuration_names() -> None:
    document = {"linux": {"uidMappings": [{"hostID": 1000, "size": 1}, {"hostID": 1001, "size": 9}]}}
    assert identity_maps(document, "uidMappings", 1000) == one(1000, 1000, 10)
    assert identity_maps({}, "uidMappings", 7) == one(7, 7, 1)
    with pytest.raises(LaunchError, match="/linux/gidMappings"):
        identity_maps({"linux": {"gidMappings": [1]}}, "gidMappings", 7)


def test_a_helper_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "newuidmap"
    helper.write_text("#!/bin/sh\nexec sleep 600\n")
    helper.chmod(0o755)
    monkeypatch.setattr(places, "OF_HELPERS", (str(tmp_path),))
    monkeypatch.setattr(idmaps, "HELPER_SECONDS", 0)
    before = children()
    with pytest.raises(LaunchError, match="newuidmap has not ended within 0 seconds"):
        idmaps._run_helper("newuidmap", 1, ())
    assert children() == before


def test_what_a_helper_says_is_in_the_error_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    helper = tmp_path / "newuidmap"
    helper.write_text("#!/bin/sh\necho newuidmap: not allowed >&2\nexit 1\n")
    helper.chmod(0o755)
    monkeypatch.setattr(places, "OF_HELPERS", (str(tmp_path),))
    with pytest.raises(LaunchError, match=r"refuses the map 0 5 1 \(exit code 1\): newuidmap: not allowed"):
        idmaps._run_helper("newuidmap", 1, one(0, 5, 1))
    assert capfd.readouterr() == ("", "")
