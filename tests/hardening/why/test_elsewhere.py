"""What else than a stack may have refused a call."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from hardening.mechanism.denial import Caller, SystemCall
from hardening.why import elsewhere

DOCUMENT: dict[str, Any] = {
    "root": {"path": "rootfs"},
    "mounts": [
        {"destination": "/usr", "type": "bind", "source": "/usr"},
        {"destination": "/usr/own", "type": "tmpfs", "source": "tmpfs"},
    ],
    "linux": {
        "namespaces": [{"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}],
    },
}


def shown(folder: Path) -> dict[str, Any]:
    """A configuration that shows a folder at /data."""
    return {**DOCUMENT, "mounts": [{"destination": "/data", "options": ["rbind"], "source": str(folder)}]}


def call(name: str, error: int, **more: Any) -> SystemCall:
    """A call that failed."""
    return SystemCall(name, 0, 0, (0,) * 6, **{"caller": Caller(1, uid=4242, gid=4242), "error": error, **more})


def test_a_path_inside_is_found_on_the_host_by_the_mount_that_shows_it() -> None:
    assert elsewhere.outside(DOCUMENT, "/usr/bin/../lib") == "/usr/lib"
    assert elsewhere.outside(DOCUMENT, "/usr") == "/usr"
    assert elsewhere.outside(DOCUMENT, "/usr/own/file") is None
    assert elsewhere.outside(DOCUMENT, "/etc/passwd") == "/etc/passwd"
    assert elsewhere.outside({"root": {"path": "/srv/root"}}, "/etc/passwd") == "/srv/root/etc/passwd"


def test_a_file_that_does_not_exist_is_nobodys_doing(tmp_path: Path) -> None:
    found = elsewhere.reason(call("openat", errno.ENOENT, path="/data/no/file"), shown(tmp_path))
    assert found == f"the file itself: {tmp_path}/no does not exist on the host either"
    (tmp_path / "here").touch()
    assert elsewhere.reason(call("openat", errno.ENOENT, path="/data/here"), shown(tmp_path)) == ""


@pytest.mark.parametrize(
    ("mode", "access", "denied"),
    [(0o600, {"read"}, True), (0o644, {"read"}, False), (0o644, {"write"}, True), (0o644, {"execute"}, True)],
)
def test_the_mode_of_a_file_is_told_where_it_keeps_the_caller_out(
    mode: int, access: set[str], denied: bool, tmp_path: Path
) -> None:
    for place in (tmp_path, *tmp_path.parents[:-2]):
        if os.stat(place).st_uid == os.geteuid():
            place.chmod(0o755)
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    asked = call("openat", errno.EACCES, path="/data/file", access=frozenset(access))
    assert ("the file's own mode: " in elsewhere.reason(asked, shown(tmp_path))) is denied
    root = Caller(1, capabilities=frozenset({"DAC_OVERRIDE"}))
    assert elsewhere.reason(call("openat", errno.EACCES, path="/data/file", caller=root), shown(tmp_path)) == ""


def test_an_id_that_the_namespace_does_not_have_is_the_callers() -> None:
    found = elsewhere.reason(call("setresuid", errno.EINVAL, ids=(33,)), DOCUMENT)
    assert found.startswith("the ids of the caller: 33 is none of the 10 that the container has (/etc/subuid")
    assert elsewhere.reason(call("setresuid", errno.EINVAL, ids=(3,)), DOCUMENT) == ""
    assert elsewhere.mapped(DOCUMENT, "uid", 3) == 100003
    assert elsewhere.mapped(DOCUMENT, "uid", 33) == 33


def test_settings_of_the_hosts_kernel_are_told() -> None:
    port = call("bind", errno.EACCES, address="tcp 0.0.0.0:80")
    assert elsewhere.reason(port, DOCUMENT).startswith("the host: net.ipv4.ip_unprivileged_port_start is ")
    own = {**DOCUMENT, "linux": {"namespaces": [{"type": "network"}]}}
    assert elsewhere.reason(port, own) == ""
    full = call("unshare", errno.ENOSPC, text="unshare CLONE_NEWNET")
    assert elsewhere.reason(full, DOCUMENT).startswith("the host: user.max_net_namespaces is ")


def test_a_filter_of_the_programs_own_is_told_last() -> None:
    inside = call("ptrace", errno.EACCES, caller=Caller(1, filters=2))
    found = elsewhere.reason(inside, DOCUMENT)
    assert "sandbox" in found or "yama" in found
    assert "sandbox" not in elsewhere.reason(inside, DOCUMENT, filters=2)
