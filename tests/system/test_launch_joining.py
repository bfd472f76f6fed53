"""Namespaces that are joined by path: those of the host, those of somebody else's user namespace, with any of our own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import bundles, runs, users
from tests.support.bundles import Stance
from tests.support.features import require

pytestmark = pytest.mark.system

# How /proc/PID/ns names a namespace -> how the runtime spec does.
TYPES = {"net": "network", "ipc": "ipc", "uts": "uts", "pid": "pid", "cgroup": "cgroup"}
WAIT = "echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def root() -> None:
    require("root")


@contextmanager
def other_namespaces() -> Iterator[int]:
    """A process of root with one namespace of each type to itself, all owned by the host's user namespace."""
    options = ("--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork", "--kill-child")
    script = "ip link set lo name joined; mount -t mqueue mqueue /mnt && touch /mnt/queue; echo ready; exec sleep 60"
    with subprocess.Popen(["unshare", *options, "sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield bundles.child_of(process.pid)
        finally:
            process.kill()


def joining(document: dict[str, Any], pid: int, *names: str) -> dict[str, Any]:
    """The configuration with namespaces of a process in the place of its own."""
    entries = {entry["type"]: entry for entry in document["linux"]["namespaces"]}
    for name in names:
        entries[TYPES.get(name, name)]["path"] = f"/proc/{pid}/ns/{name}"
    if "uts" in names:
        del document["hostname"]
    if "user" in names:
        del document["linux"]["uidMappings"], document["linux"]["gidMappings"]
    return document


def namespaces(pid: int, *names: str) -> list[str]:
    return [os.readlink(f"/proc/{pid}/ns/{name}") for name in names]


@contextmanager
def started(stance: Stance, document: dict[str, Any]) -> Iterator[tuple[Path, int]]:
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        with bundles.started(bundle, user=stance.user) as (_, pid):
            yield bundle, pid


def printed(stance: Stance, document: dict[str, Any]) -> list[str]:
    with runs.workplace(stance.user) as folder:
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        done = bundles.launch(bundle, user=stance.user)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("who", ["root", "root-mapped"])
def test_a_namespace_of_the_host_is_joined_with_and_without_a_user_namespace(who: str, name: str) -> None:
    stance = bundles.stance(who)
    with (
        other_namespaces() as holder,
        started(stance, joining(stance.config("sh", "-c", WAIT), holder, name)) as (_, pid),
    ):
        every = (*TYPES, "mnt", "user")
        shared = [one for one in every if namespaces(pid, one) == namespaces(holder, one)]
        assert shared == [name] + ([] if who == "root-mapped" else ["user"])
        assert [one for one in TYPES if namespaces(pid, one) == namespaces(os.getpid(), one)] == []


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("who", ["root", "root-mapped"])
def test_proc_sys_and_message_queues_show_the_joined_namespaces(who: str) -> None:
    """Inside of a user namespace the kernel refuses these file systems: they are made before it."""
    stance = bundles.stance(who)
    with other_namespaces() as holder:
        script = "cat /proc/1/comm; readlink /proc/self/ns/pid; ls /sys/class/net /dev/mqueue"
        words = printed(stance, joining(stance.config("sh", "-c", script), holder, "pid", "net", "ipc"))
        assert words[:2] == ["sleep", *namespaces(holder, "pid")]
        assert words[2:] == ["/dev/mqueue:", "queue", "/sys/class/net:", "joined"]
        # They are as read-only as their entries say.
        script = "echo 1 >/proc/sys/net/ipv4/ip_forward || touch /sys/x /dev/mqueue/x || echo refused"
        assert printed(stance, joining(stance.config("sh", "-c", script), holder, "pid", "net")) == ["refused"]


@pytest.mark.parametrize("who", ["user-one-id", "user-range"])
@pytest.mark.parametrize("names", [("user", "net"), ("user", "net", "ipc", "pid")], ids="-".join)
def test_an_ordinary_user_joins_the_namespaces_of_a_container_of_theirs(who: str, names: tuple[str, ...]) -> None:
    stance = bundles.stance(who)
    with started(stance, stance.config("sh", "-c", WAIT)) as (_, holder):
        document = joining(stance.config("sh", "-c", WAIT), holder, *names)
        with started(stance, document) as (_, pid):
            assert namespaces(pid, *names) == namespaces(holder, *names)
            others = [name for name in ("net", "ipc", "uts", "pid", "cgroup", "mnt") if name not in names]
            assert all(namespaces(pid, name) != namespaces(holder, name) for name in others)


@pytest.mark.parametrize("names", ["user", "user net ipc uts cgroup", "user pid"])
@pytest.mark.parametrize("runtime", runs.RUNTIMES)
def test_under_each_runtime_an_ordinary_user_joins_or_is_told_before_anything_runs(runtime: str, names: str) -> None:
    """Through the whole command line. What crun and runc cannot join is refused with the runtime that can."""
    require("userns")
    user = users.ordinary()
    stance = bundles.stance("user-range")
    with started(stance, stance.config("sh", "-c", WAIT)) as (_, holder), runs.workplace(user) as folder:
        lines = "".join(f'{name} = "/proc/{holder}/ns/{name}"\n' for name in names.split())
        lines += "".join(
            f'[[exceptions]]\nsetting = "namespaces.{name}"\nreason = "it is mine"\n' for name in names.split()
        )
        (folder / "mine.toml").write_text(f'extends = ["default"]\n[namespaces]\n{lines}')
        (folder / "mine.toml").chmod(0o644)
        script = f"for name in {names}; do readlink /proc/self/ns/$name; done"
        words = ["run", "-q", "-p", str(folder / "mine.toml"), "--runtime", runtime, "--", "sh", "-c", script]
        argv = user.argv([users.program(user), *words])
        done = subprocess.run(
            argv if runtime == "native" else bundles.cgroup2_alone(argv),
            env={**user.environment, "HARDENING_STATE": str(folder / "state")},
            cwd="/",
            stdin=subprocess.DEVNULL,
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
        joins = runtime == "native" or (runtime == "crun" and "pid" not in names)
        if joins:
            assert (done.returncode, done.stdout.split()) == (0, namespaces(holder, *names.split())), done.stderr
        else:
            assert done.returncode == 2
            assert f"{runtime} cannot join a " in done.stderr
            assert "hint: use --runtime native" in done.stderr


@pytest.mark.usefixtures("root")
def test_root_joins_a_users_namespace_and_one_of_the_host_at_once() -> None:
    stance = bundles.stance("user-range")
    with started(stance, stance.config("sh", "-c", WAIT)) as (_, theirs), other_namespaces() as hosts:
        script = "for name in user ipc net; do readlink /proc/self/ns/$name; done"
        document = joining(stance.config("sh", "-c", script), theirs, "user", "ipc")
        for entry in document["linux"]["namespaces"]:
            if entry["type"] == "network":
                entry["path"] = f"/proc/{hosts}/ns/net"
        expected = [*namespaces(theirs, "user", "ipc"), *namespaces(hosts, "net")]
        assert printed(bundles.stance("root"), document) == expected


def test_an_ordinary_user_cannot_join_what_the_host_owns() -> None:
    stance = bundles.stance("user-range")
    with runs.workplace(stance.user) as folder:
        document = joining(stance.config("true"), os.getpid(), "net")
        document["linux"]["namespaces"][1]["path"] = "/proc/self/ns/net"
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        done = bundles.launch(bundle, user=stance.user)
        assert done.returncode == 125
        assert "config.json:/linux/namespaces/1: cannot join the namespace: Operation not permitted" in done.stderr


@pytest.mark.usefixtures("root")
def test_a_network_that_no_entry_names_is_the_callers() -> None:
    stance = bundles.stance("root")
    document = stance.config("readlink", "/proc/self/ns/net")
    document["linux"]["namespaces"] = [entry for entry in document["linux"]["namespaces"] if entry["type"] != "network"]
    assert printed(stance, document) == namespaces(os.getpid(), "net")
