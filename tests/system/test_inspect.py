"""`hardening inspect` and `score --pid`: what they say of a process is the kernel's, changes with each mechanism, and leaves
the process as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hardening.base.linux import abi, ptrace
from hardening.errors import EndedError
from hardening.report import process
from hardening.runs import inspection
from hardening.score import scoring
from hardening.score.scoring import of_report
from tests.support import bundles, podman, shipped
from tests.support.detached import Caller, caller
from tests.support.features import available, require
from tests.support.patience import state, until
from tests.support.users import ordinary

pytestmark = pytest.mark.system
SLEEP = ["sleep", "60"]
#: Where else something may be written and executed, as below /run/netns once podman has run as root.
WRITABLE = r"""awk '$5 !~ "^/($|dev|proc|sys)" && $6 ~ "^rw" {print $5}' /proc/self/mountinfo"""
#: A new network forwards as the host does.
OTHER = "sysctl -w net.ipv4.ip_forward=$((1 - $(sysctl -n net.ipv4.ip_forward)))"
#: What is taken from all of them: nothing encloses who may mount.
ENCLOSED = ["setpriv", "--bounding-set=-sys_admin"]


@contextmanager
def started(*words: str, by: Sequence[str] = ENCLOSED) -> Iterator[int]:
    """A process that has become the last of its words' programs, ``by`` what takes something from it."""
    argv = [*words, *by] if words[:1] == ("unshare",) else [*by, *words]  # which takes what it loses last
    with subprocess.Popen([*argv, *SLEEP], stdin=subprocess.DEVNULL) as child:
        until(lambda: Path(f"/proc/{child.pid}/cmdline").read_bytes() == b"sleep\x0060\0")
        try:
            yield child.pid
        finally:
            child.kill()


def shares(pid: int) -> dict[str, float]:
    """How exposed a process is, item by item."""
    plugins, host = shipped.here()
    document = of_report(plugins.mechanisms, inspection.report(pid, filters=True), host)
    return {item.leaf: item.share for item in scoring.of_document(plugins.mechanisms, document, host).items}


def in_mounts(script: str) -> list[str]:
    return ["unshare", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"]


#: What starts a process with one thing taken from it -> the items that are tight, or tighter, then.
TAKEN = {
    ("setpriv", "--no-new-privs"): {"capabilities.no_new_privileges"},
    ("setpriv", "--bounding-set=-net_raw,-sys_time", "--inh-caps=-all"): {"capabilities.NET_RAW", "capabilities.SYS_TIME"},
    ("setpriv", "--reuid=1000", "--clear-groups"): {"process.user"},
    ("unshare", "--net"): {"namespaces.net"},
    ("unshare", "--ipc"): {"namespaces.ipc"},
    ("unshare", "--uts"): {"namespaces.uts"},
    ("unshare", "--cgroup"): {"namespaces.cgroup"},
    ("prlimit", "--core=0:0"): {"process.rlimits.core"},
    ("sh", "-c", 'umask 077 && exec "$@"', "sh"): {"process.umask"},
    tuple(in_mounts(f"{WRITABLE} | tac | xargs -r umount -l && mount -o remount,bind,ro /")): {
        "namespaces.mount", "rootfs.read_only", "rootfs.tmpfs",
    },
    tuple(in_mounts("mount -t proc -o ro,hidepid=2 proc /proc")): {
        "namespaces.mount", "rootfs.read_only_paths", "rootfs.proc.hidepid",
    },
    tuple(in_mounts("mount --bind /dev/null /proc/keys")): {"namespaces.mount", "rootfs.masked_paths"},
}  # fmt: skip
#: What comes with a mount namespace, for the mounts of the host are no longer all there is.
WITH_MOUNTS = {"rootfs.volume_sockets", "rootfs.propagation", "rootfs.volumes", "rootfs.devices", "rootfs.sys"}


def test_each_thing_that_is_taken_from_a_process_is_seen_and_no_other() -> None:
    require("root")
    with started("setpriv", "--groups=5", "sh", "-c", 'umask 0; exec "$@"', "sh") as pid:
        bare = shares(pid)
    assert bare["process.groups"] == bare["namespaces.net"] == bare["seccomp.@bpf"] == 1
    for words, tighter in TAKEN.items():
        with started(*words) as pid:
            found = shares(pid)
        changed = {leaf for leaf, share in found.items() if share < bare[leaf]} - {"process.groups"}
        given = {"process.umask"} - tighter  # which the bare one was given
        assert changed - WITH_MOUNTS - given == tighter, words
        assert bool(changed & WITH_MOUNTS) == ("namespaces.mount" in tighter), words


def test_nothing_encloses_who_may_mount() -> None:
    require("root")
    with started("unshare", "--net", "--mount", by=()) as pid:
        found = shares(pid)
    assert {share for leaf, share in found.items() if leaf.startswith(("namespaces.", "rootfs."))} == {1}


def test_a_process_scores_as_the_stack_that_it_runs_under() -> None:
    require("root")
    plugins, host = shipped.here()
    with caller() as own:
        for profile in ("strict", "debug"):
            identity = own.start("sleep", "60", options=("-p", profile))
            found = shares(own.one(identity)["pid"])
            stack = scoring.of_stack(plugins, shipped.composed((profile,)), host)
            assert found == {item.leaf: item.share for item in stack.items}, profile
            own.say("rm", "-f", identity)


def verdict(own: Caller, *words: str) -> dict[str, Any]:
    done = own.call("inspect", *words, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if found["drift"] else 0), done.stderr
    return found


def within(pid: int, *words: str) -> Callable[[], object]:
    """Do something in the namespaces of a process, as root of the host may."""
    argv = ["nsenter", "--target", str(pid), *words]
    return lambda: subprocess.run(argv, check=True, capture_output=True)


def test_drift_is_seen_leaf_by_leaf() -> None:
    """A container is as its stack composes, until somebody who may changes it from outside: one thing after the other."""
    require("root")
    with caller() as own:
        identity = own.start("sleep", "60", options=("-p", "strict"))
        pid = own.one(identity)["pid"]
        stack = (identity, "-p", "strict", "--set", "selinux.requirement=best-effort")
        first = verdict(own, *stack)
        assert first["drift"] == []
        if available("landlock"):  # of which a process shows nothing
            assert {"landlock.mounts", "landlock.write", "landlock.signals"} <= {*first["not_seen"]}
        assert verdict(own, *stack, *KILL)["drift"] == []  # it may give up what it was given
        plugins, host = shipped.here()
        document = scoring.document_of(plugins, shipped.composed(("strict",)), host)
        held = inspection.launcher(document)
        first = inspection.report(pid, held)["observed"]
        assert (first["sysctls"], len(held.references)) == ({}, 1)
        changes: dict[str, Callable[[], object]] = {
            "namespaces.hostname": within(pid, "--uts", "hostname", "other"),
            "namespaces.sysctls.*": within(pid, "--net", "sh", "-c", OTHER),
            "rootfs.volumes.*": within(pid, "--mount", "mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/srv"),
            "rootfs.read_only": within(pid, "--mount", "mount", "-o", "remount,bind,rw", "/usr"),
        }
        drift: set[str] = set()
        for leaf, change in changes.items():
            change()
            found = {*verdict(own, *stack)["drift"]}
            assert leaf in found - drift, (leaf, found)
            assert drift <= found
            drift = found
        # New namespaces are not made again for another process, and what differs from them is seen all the same.
        known = {kind: dict(values) for kind, (values, _) in held.references.items()}
        then = inspection.report(pid, held)["observed"]
        assert then["sysctls"]["net.ipv4.ip_forward"] != then["new_sysctls"]["net.ipv4.ip_forward"]
        assert then == inspection.report(pid, inspection.launcher(document))["observed"]
        assert known == {kind: values for kind, (values, _) in held.references.items()}
        own.say("rm", "-f", identity)


KILL = ("--cap-add", "KILL", "--exception", "capabilities.KILL=a test")
ANSWERING = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"got it\\n"))
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def test_who_is_looked_at_loses_no_signal_and_stays_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(number: int, pid: int, data: int = 0) -> None:
        ptrace.request(number, pid, data)
        if number == abi.PTRACE_SEIZE and signalled:  # what it then stops for is this signal
            os.kill(pid, signalled.pop())
            until(lambda: state(pid) == "t")

    signalled: list[int] = []
    monkeypatch.setattr(inspection, "ptrace", SimpleNamespace(request=request))
    argv = [sys.executable, "-c", ANSWERING]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            signalled.append(signal.SIGUSR1)
            inspection.report(child.pid, filters=True)
            assert child.stdout.readline() == "got it\n"
            child.send_signal(signal.SIGSTOP)
            until(lambda: state(child.pid) == "T")
            inspection.report(child.pid, filters=True)
            until(lambda: state(child.pid) == "T")  # it wakes for a moment, to stop again
            child.send_signal(signal.SIGUSR1)
            child.send_signal(signal.SIGCONT)
            assert child.stdout.readline() == "got it\n"
        finally:
            child.kill()


def test_what_cannot_be_looked_at_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with caller(ordinary() if os.geteuid() == 0 else None) as own:
        done = own.call("inspect", "--pid", "1")
        assert (done.returncode, "as root" in done.stderr) == (2, True)
        for words, hint in ((["--pid", "4194303"], "there is no process"), ([], "--all"), (["--pid", "1", "--all"], "--all"),
                            (["none-of-ours"], "none-of-ours")):  # fmt: skip
            done = own.call("inspect", *words)
            assert (done.returncode in (1, 2), hint in done.stderr) == (True, True), done.stderr


def test_a_process_that_nobody_has_waited_for_has_ended() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(EndedError, match="has ended"):
            inspection.report(child.pid)


PODMAN = """
mount -t tmpfs tmpfs /var/lib/containers
mount -t tmpfs tmpfs /etc/containers
podman --log-level error --cgroup-manager cgroupfs --runtime crun run -d --name db --cgroups=disabled --network none \
    --security-opt no-new-privileges --cap-drop ALL --read-only --rootfs "$1" sleep 60 >/dev/null
"$2" inspect --podman db --json
"$2" inspect --podman db -p strict --json || echo "code $?"
"$2" inspect --all
"$2" inspect --podman none || echo "code $?"
podman --log-level error rm -f -t 0 db >/dev/null
printf 'wrong' >/etc/containers/storage.conf
"$2" inspect --all || echo "code $?"
"""


def test_containers_of_podman_are_looked_at(tmp_path: Path) -> None:
    require("root")
    root = bundles.make_root(tmp_path / "root")
    with caller() as own:
        argv = podman.apart(tmp_path, ["sh", "-e", "-c", PODMAN, "sh", str(root), own.program])
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=own.environment, cwd="/")
    assert done.returncode == 0, done.stderr
    facts, at = json.JSONDecoder().raw_decode(done.stdout)
    checks, end = json.JSONDecoder().raw_decode(done.stdout[at:].lstrip())
    rest = done.stdout[at:].lstrip()[end:].splitlines()
    assert (facts["capabilities"], facts["no new privileges"], facts["seccomp"]) == ("none", "yes", "filter")
    assert (facts["root"], "net" in facts["namespaces"].split()) == ("read-only", True)
    assert checks["result"] == "drift"
    assert {"seccomp.*", "rootfs.path"} <= {*checks["drift"]}
    assert not {"capabilities.*", "capabilities.no_new_privileges"} & {*checks["drift"]}
    assert rest[:2] == ["", "code 1"]
    assert [line.split()[:2] for line in rest[2:4]] == [["NAME", "ENGINE"], ["db", "podman"]]
    assert "podman says" in done.stderr
    assert rest[4] == "code 2"
    assert rest[-1] == "code 1"  # podman does not answer any more


def test_a_hundred_processes_take_less_than_two_seconds() -> None:
    plugins, host = shipped.here()
    begun = time.process_time()
    with started() as pid:
        for _ in range(100):
            report: Mapping[str, Any] = inspection.report(pid)
            process.data(report, of_report(plugins.mechanisms, report, host))
    assert time.process_time() - begun < 1.5
