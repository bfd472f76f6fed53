"""A limit holds, or nothing runs: what a host, or a caller who arranges it so, cannot enforce of it is waived by nothing.

Each limit has its counterpart: the same line without it runs, and the kernel shows what would have got through.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.features import require
from tests.support.runs import workplace
from tests.support.users import User, ordinary, program

pytestmark = pytest.mark.system

PID = ("--set", "namespaces.pid=host", "--exception", "namespaces.pid=x", "--set", "rootfs.requirement=best-effort")


def _line(folder: Path, profile: str, options: tuple[str, ...], command: str) -> list[str]:
    return [program(ordinary()), "run", "-q", "-p", str(folder / profile), *options, "--", "sh", "-c", command]


def _pair(folder: Path, table: str, limit: str) -> None:
    """The same stack with a limit and without."""
    folder.chmod(0o755)
    for name, text in (("limited.toml", f'extends = ["default"]\n[limits.{table}]\n{limit}\n'), ("free.toml", "")):
        (folder / name).write_text(text or 'extends = ["default"]\n')


def _ended(line: list[str], user: User | None, folder: Path, groups: str = "") -> subprocess.CompletedProcess[str]:
    """The end of a line that was typed by root or an ordinary user, that one with more groups where they are named."""
    state = {"HARDENING_STATE": str(folder / f"state-{user.name if user else 'root'}")}
    if user is None:
        return subprocess.run(line, env={**os.environ, **state}, capture_output=True, text=True, check=False)
    state["HARDENING_STATE"] = str(user.home / ".state-of-limits")
    if not groups:
        return user.run(line, env=state)
    ids = [f"--reuid={user.uid}", f"--regid={user.gid}", f"--groups={user.gid},{groups}", "--inh-caps=-all"]
    return subprocess.run(
        ["setpriv", *ids, *line], env={**user.environment, **state}, capture_output=True, text=True, check=False
    )


def _held(done: subprocess.CompletedProcess[str], leaf: str, place: str) -> None:
    assert (done.returncode, done.stdout) == (125, "")
    assert f"{leaf} cannot be enforced here" in done.stderr
    assert f"{place}/limited.toml:3" in done.stderr


@pytest.mark.parametrize("who", ["root", "ordinary"])
def test_the_network_namespace_of_a_host_that_has_none_to_give(who: str) -> None:
    require("userns")
    user = None if who == "root" else ordinary()
    if user is None:
        require("root")
    with workplace() as folder:
        _pair(folder, "namespaces", 'net = "private"')
        for profile in ("limited.toml", "free.toml"):
            options = ("--set", "namespaces.requirement=best-effort")
            inner = _line(folder, profile, options, "readlink /proc/self/ns/net")
            script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
            done = _ended(["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *inner], user, folder)
            if profile == "limited.toml":
                _held(done, "namespaces.net", str(folder))
            else:
                assert done.stdout.strip() == os.readlink("/proc/self/ns/net")


@pytest.mark.parametrize("who", ["root", "ordinary"])
def test_the_processes_of_the_host(who: str) -> None:
    require("userns")
    user = None if who == "root" else ordinary()
    if user is None:
        require("root")
    with workplace() as folder:
        _pair(folder, "rootfs.proc", 'hidepid = "invisible"')
        look = f"cat /proc/{os.getpid()}/stat"
        _held(_ended(_line(folder, "limited.toml", PID, look), user, folder), "rootfs.proc.hidepid", str(folder))
        assert _ended(_line(folder, "free.toml", PID, look), user, folder).stdout.startswith(f"{os.getpid()} ")


def test_memory_without_a_cgroup() -> None:
    require("root")
    require("userns")
    options = ("--set", "process.resources.requirement=best-effort", "--set", "process.resources.pids=9")
    with workplace() as folder:
        _pair(folder, "process.resources", 'memory = "64M"')
        command = "head -c 80000000 /dev/zero | tail -n 1 | wc -c"  # tail keeps all of a line
        done = _ended(_line(folder, "limited.toml", options, command), ordinary(), folder)
        _held(done, "process.resources.memory", str(folder))
        done = _ended(_line(folder, "free.toml", options, command), ordinary(), folder)
        assert done.stdout == "80000000\n"


def test_groups_that_cannot_be_dropped() -> None:
    require("root")
    require("userns")
    loosened = ("--set", "namespaces.id_map=one-id", "--exception", "namespaces.id_map=x")
    options = (*loosened, "--set", "process.requirement=best-effort")
    with workplace() as folder:
        _pair(folder, "process", "groups = []")
        command = "grep Groups /proc/self/status"
        done = _ended(_line(folder, "limited.toml", options, command), ordinary(), folder, "4")
        _held(done, "process.groups", str(folder))
        done = _ended(_line(folder, "free.toml", options, command), ordinary(), folder, "4")
        assert "65534" in done.stdout.split(), "the group is still there, under the name of no id"
