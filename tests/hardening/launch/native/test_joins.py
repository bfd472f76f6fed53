"""Which namespaces are joined as the caller, and which in the user namespace that is joined."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from hardening.errors import LaunchError
from hardening.launch.config.config_linux import NAMESPACES
from hardening.launch.config.wanted import Namespace, Wanted
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


def wanted(**paths: str) -> Wanted:
    """As much of what is wanted as has to do with joining."""
    entries = [
        Namespace(kind=kind, flag=NAMESPACES[kind], path=path, pointer=f"/linux/namespaces/{index}")
        for index, (kind, path) in enumerate(paths.items())
    ]
    return cast("Wanted", SimpleNamespace(namespaces=entries))


def kinds(found: joins.Joins) -> tuple[list[str], list[str]]:
    found.close()
    return [one.kind for one in found.before], [one.kind for one in found.after]


def test_without_a_user_namespace_all_are_joined_as_the_caller() -> None:
    made = wanted(network="/proc/self/ns/net", ipc="/proc/self/ns/ipc", uts="")
    assert kinds(joins.open_all(made)) == (["network", "ipc"], [])


def test_what_a_joined_user_namespace_owns_comes_after_it(holder: int) -> None:
    upper = _children(holder)[0]  # the `sleep` of the upper namespaces
    paths = {"network": f"/proc/{holder}/ns/net", "ipc": f"/proc/{upper}/ns/ipc", "uts": "/proc/self/ns/uts"}
    # The network is owned by a descendant of the upper user namespace.
    assert kinds(joins.open_all(wanted(**paths, user=f"/proc/{upper}/ns/user"))) == (
        ["uts"],
        ["user", "network", "ipc"],
    )
    assert kinds(joins.open_all(wanted(**paths, user=f"/proc/{holder}/ns/user"))) == (
        ["ipc", "uts"],
        ["user", "network"],
    )


def test_a_failure_closes_what_was_open() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(LaunchError, match="open the ipc namespace /nowhere"):
        joins.open_all(wanted(network="/proc/self/ns/net", ipc="/nowhere"))
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_is_no_namespace_belongs_to_none(holder: int) -> None:
    made = wanted(user=f"/proc/{holder}/ns/user", network="/dev/null")
    assert kinds(joins.open_all(made)) == (["network"], ["user"])
