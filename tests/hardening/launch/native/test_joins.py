"""Which namespaces are joined as the caller, and which in the user namespace that is joined."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from hardening.launch.native import joins
from tests.support.features import require


@pytest.fixture
def holder() -> Iterator[int]:
    """A process in a user namespace, with one below that, and a network namespace owned by the lower one."""
    require("userns")
    script = "exec unshare --user --map-root-user --net sh -c 'echo $$; exec sleep 60'"
    argv = ["unshare", "--user", "--map-root-user", "--ipc", "sh", "-c", f"echo $$; sleep 60 & {script}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            assert process.stdout.readline()
            yield process.pid
        finally:
            for child in (*_children(process.pid), process.pid):
                os.kill(child, 9)


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def kinds(**paths: str) -> tuple[list[str], list[str]]:
    """Which namespaces are joined as the caller, and which in the user namespace."""
    opened = {kind: os.open(path, os.O_RDONLY) for kind, path in paths.items()}
    try:
        owned = {kind: kind == "user" or joins.is_owned(opened, kind) for kind in opened}
    finally:
        for fd in opened.values():
            os.close(fd)
    return [kind for kind in owned if not owned[kind]], [kind for kind in owned if owned[kind]]


def test_without_a_user_namespace_all_are_joined_as_the_caller() -> None:
    assert kinds(network="/proc/self/ns/net", ipc="/proc/self/ns/ipc") == (["network", "ipc"], [])


def test_what_a_joined_user_namespace_owns_comes_after_it(holder: int) -> None:
    upper = _children(holder)[0]  # the `sleep` of the upper namespaces
    paths = {"network": f"/proc/{holder}/ns/net", "ipc": f"/proc/{upper}/ns/ipc", "uts": "/proc/self/ns/uts"}
    # The network is owned by a descendant of the upper user namespace.
    assert kinds(user=f"/proc/{upper}/ns/user", **paths) == (["uts"], ["user", "network", "ipc"])
    assert kinds(user=f"/proc/{holder}/ns/user", **paths) == (["ipc", "uts"], ["user", "network"])


def test_a_file_that_is_no_namespace_belongs_to_none(holder: int) -> None:
    assert kinds(user=f"/proc/{holder}/ns/user", network="/dev/null") == (["network"], ["user"])
