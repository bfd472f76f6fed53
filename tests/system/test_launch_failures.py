"""A launch that fails says why with the right exit code, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hardening.base.digest import ANNOTATION, of_filter
from hardening.launch.config.bundle import HELPERS
from hardening.launch.config.confinement import joined
from tests.support import apart, bundles, runs
from tests.support.bundles import Stance
from tests.support.cached import WHOLE
from tests.support.features import FREEZER, available, require
from tests.support.patience import is_over, until

pytestmark = pytest.mark.system

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(params=("root", "root-mapped", "user-range"))
def stance(request: pytest.FixtureRequest) -> Stance:
    return bundles.stance(request.param)


def traces(folder: Path) -> tuple[Any, ...]:
    """What a launch could leave: mounts, processes of the launcher, control groups, files of the bundle."""
    launchers = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout
    groups = apart.groups(folder.name)
    files = sorted(str(path) for path in folder.rglob("*") if "state" not in (path.name, path.parent.name))
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if folder.name in line]
    return mounts, launchers, groups, files


def grouped(folder: Path, stance: Stance, document: dict[str, Any]) -> dict[str, Any]:
    """The document with a control group of the folder's name, where the caller may have one."""
    if stance.user is None and available("cgroups"):
        document["linux"] |= {"resources": {"pids": {"limit": 100}}, "cgroupsPath": f"/{folder.name}"}
    return document


def bind(source: str, destination: str = "/data", *options: str) -> Change:
    entry = {"destination": destination, "type": "bind", "source": source, "options": ["rbind", *options]}
    return lambda document: document["mounts"].append(entry)


def mount(kind: str, destination: str, *options: str) -> Change:
    entry = {"destination": destination, "type": kind, "source": kind, "options": list(options)}
    return lambda document: document["mounts"].append(entry)


CASES: dict[str, tuple[Change, int, str]] = {
    "no such command": (
        lambda document: document["process"].update(args=["nothing"]),
        127,
        "hardening: config.json:/process/args/0: nothing: command not found",
    ),
    "no such path": (lambda document: document["process"].update(args=["/nothing"]), 127, "no such file"),
    "a directory": (lambda document: document["process"].update(args=["/etc"]), 126, "is a directory"),
    "not executable": (lambda document: document["process"].update(args=["/etc/plain"]), 126, "cannot be executed"),
    "no loader": (lambda document: document["process"].update(args=["/etc/script"]), 127, "interpreter"),
    "no such root": (lambda document: document["root"].update(path="nowhere"), 125, "/root/path"),
    "the root is a file": (lambda document: document["root"].update(path="config.json"), 125, "/root/path"),
    "no such source": (bind("/nowhere/at/all"), 125, "/mounts/7/source"),
    "a file on a directory": (bind("/etc/hostname"), 125, "/mounts/7"),
    "a mount point that cannot be made": (bind("/etc", "/proc/nothing/here"), 125, "/mounts/7"),
    "a mount over the root": (mount("proc", "/"), 125, "/mounts/7"),
    "a mount over the root by a link": (
        mount("tmpfs", "/etc/to-root"),
        125,
        "/etc/to-root resolves to the root itself",
    ),
    "bad option for the kernel": (mount("tmpfs", "/data", "size=nonsense"), 125, "/mounts/7"),
    "made before the failure": (
        lambda document: (bind("/etc", "/made/here")(document), bind("/nowhere", "/x")(document)),
        125,
        "/mounts/8/source",
    ),
    "made, then failed inside": (
        lambda document: (bind("/etc", "/made/here")(document), mount("tmpfs", "/data", "mode=9")(document)),
        125,
        "/mounts/8",
    ),
    "no such directory": (lambda document: document["process"].update(cwd="/bin/sh"), 125, "/process/cwd"),
    "a limit that cannot be raised": (
        lambda document: document["process"].update(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 2**40, "hard": 2**40}]),
        125,
        "/process/rlimits/0",
    ),
    "no such namespace": (
        lambda document: document["linux"]["namespaces"][1].update(path="/proc/1/ns/nothing"),
        125,
        "/linux/namespaces/1/path",
    ),
    "a namespace of another kind": (
        lambda document: document["linux"]["namespaces"][1].update(path="/proc/self/ns/uts"),
        125,
        "/linux/namespaces/1",
    ),
    "a setting that is not there": (
        lambda document: document["linux"].update(sysctl={"net.nothing.here": "1"}),
        125,
        "net.nothing.here",
    ),
    "a filter that is not one": (lambda document: bad_filter(document), 125, "/linux/seccomp"),
    "a label without SELinux": (
        lambda document: document["process"].update(selinuxLabel="a:b:c:s0"),
        125,
        "/process/selinuxLabel",
    ),
}


def bad_filter(document: dict[str, Any]) -> None:
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    document["annotations"] = {ANNOTATION: of_filter(document["linux"]["seccomp"], b"\xff" * 8)}


def test_a_failure_that_nobody_reads_keeps_no_process_that_no_signal_ends(folder: Path) -> None:
    document = bundles.config("true")
    mount("tmpfs", "/data", "size=nonsense")(document)
    bundles.make_root(folder / "bundle" / "rootfs")
    argv = bundles.launcher(bundles.write(folder / "bundle", document))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=writer) as process:
        until(lambda: "pipe_write" in Path(f"/proc/{process.pid}/wchan").read_text())
        process.send_signal(signal.SIGTERM)
        try:
            until(lambda: process.poll() is not None)
        finally:
            process.kill()
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("name", CASES)
def test_a_failure_leaves_nothing(folder: Path, stance: Stance, name: str) -> None:
    change, code, words = CASES[name]
    if name == "a label without SELinux":
        require("selinux-off")
    document = grouped(folder, stance, stance.config("true"))
    change(document)
    root = bundles.make_root(folder / "bundle" / "rootfs")
    root.chmod(0o777)  # whoever launches may make mount points
    (root / "etc" / "to-root").symlink_to("/")
    (root / "etc" / "plain").write_text("text")
    (root / "etc" / "script").write_text("#!/nowhere\n")
    (root / "etc" / "script").chmod(0o755)
    (folder / "bundle" / "seccomp.bpf").write_bytes(b"\xff" * 8)
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    argv = bundles.launcher(bundle, user=stance.user)
    before = traces(folder)
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/", check=False)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert traces(folder) == before


@pytest.mark.parametrize("failing", ["inside", "no such command"])
@pytest.mark.parametrize("options", [(), ("unbindable",)])
def test_a_failure_leaves_no_mount_point_in_a_volume(
    folder: Path, stance: Stance, failing: str, options: tuple[str, ...]
) -> None:
    document = stance.config("nothing")
    for path in ("volume", "volume/tmp"):
        (folder / path).mkdir()
        (folder / path).chmod(0o777)  # whoever launches may make mount points
    bind(str(folder / "volume"), "/data", *options)(document)
    bind("/etc", "/data/made/here")(document)
    bind(str(folder / "volume/tmp"), "/tmp/there")(document)  # not in the new file system above it
    bind("/etc/hostname", "/tmp/there/name")(document)
    if failing == "inside":
        mount("tmpfs", "/data/last", "mode=9")(document)
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    done = bundles.launch(bundle, user=stance.user)
    assert done.returncode == (125 if failing == "inside" else 127), done.stderr
    assert sorted(path.name for path in (folder / "volume").rglob("*")) == ["tmp"]


RET_ALLOW, RET_EPERM, RET_ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
RET_TRAP, RET_KILL_PROCESS = 0x00030000, 0x80000000
NUMBERS = {"x86_64": {"execve": 59, "sendmsg": 46, "write": 1}, "aarch64": {"execve": 221, "sendmsg": 211, "write": 64}}


def filter_of(answers: dict[str, int]) -> bytes:
    """A program that gives some calls of this machine their answer and allows all others, unless ``else`` says otherwise."""
    numbers = NUMBERS[os.uname().machine]
    code = [(0x20, 0, 0, 0)]
    for name in answers.keys() & numbers:
        code += [(0x15, 0, 1, numbers[name]), (0x06, 0, 0, answers[name])]
    code.append((0x06, 0, 0, answers.get("else", RET_ALLOW)))
    return b"".join(
        op.to_bytes(2, "little") + bytes((true, false)) + value.to_bytes(4, "little") for op, true, false, value in code
    )


SILENT = {"sendmsg": RET_KILL_PROCESS, "write": RET_KILL_PROCESS}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("command", "answers", "code", "words"),
    [
        ("/etc/plain", SILENT, 126, "/etc/plain: cannot be executed: permission denied: nobody may, by its mode 0644"),
        ("/etc/script", SILENT, 127, "/etc/script: exists, but its interpreter or dynamic loader does not"),
        ("/etc/garbage", SILENT, 126, "/etc/garbage: cannot be executed: Exec format error"),
        ("true", {"execve": RET_EPERM}, 126, "/bin/true: cannot be executed: Operation not permitted"),
        ("true", {"execve": RET_KILL_PROCESS}, 125, "was killed by signal 31 before it executed /bin/true"),
        ("true", {"execve": RET_TRAP}, 125, "was killed by signal 31 before it executed /bin/true"),
        ("true", {"else": RET_ENOSYS}, 125, "before it executed /bin/true"),  # not even exit_group is answered
    ],
)
def test_an_execution_that_fails_behind_the_filter_is_told(
    folder: Path, stance: Stance, command: str, answers: dict[str, int], code: int, words: str, traced: bool
) -> None:
    require("seccomp")
    root = bundles.make_root(folder / "bundle" / "rootfs")
    for name, text, mode in (("plain", "text", 0o644), ("script", "#!/nowhere\n", 0o755), ("garbage", "\1\2", 0o755)):
        (root / "etc" / name).write_text(text)
        (root / "etc" / name).chmod(mode)
    document = stance.config(command)
    program = filter_of(answers)
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    document["annotations"] = {ANNOTATION: of_filter(document["linux"]["seccomp"], program)}
    (folder / "bundle" / "seccomp.bpf").write_bytes(program)
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    done = bundles.launch(bundle, user=stance.user, receipt=folder / "receipt" if traced else None)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert not (folder / "receipt").exists()


#: struct vfs_cap_data of linux/capability.h, of the second revision: CAP_NET_RAW, permitted, and effective or not.
LENT = {effective: struct.pack("<5I", 0x02000000 | effective, 1 << 13, 0, 0, 0) for effective in (0, 1)}


@pytest.mark.parametrize(
    ("effective", "options", "says"),
    [
        (
            1,
            (),
            "Operation not permitted: the file lends CAP_NET_RAW, which the bounding set lacks\nhint: `hardening explain",
        ),
        (0, (), ""),
        (1, ("nosuid",), ""),
        (1, ("noexec",), "permission denied: it lies on a mount with noexec\nhint: `hardening explain /data/true`"),
    ],
)
def test_a_file_that_lends_more_than_there_may_be_is_told_from_others(
    folder: Path, stance: Stance, effective: int, options: tuple[str, ...], says: str
) -> None:
    require("root")
    (folder / "data").mkdir()
    program = Path(shutil.copy(bundles.BUSYBOX, folder / "data" / "true"))
    document = stance.config("/data/true")
    document["process"]["capabilities"] = {}
    bind(str(folder / "data"), "/data", *options)(document)
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    program.chmod(0o755)
    os.setxattr(program, "security.capability", LENT[effective])
    done = bundles.launch(bundle, user=stance.user)
    assert (done.returncode, says in done.stderr) == (126 if says else 0, True), done.stderr
    # A helper before it changes nothing of this.
    words = ["/bin/env"]
    document["annotations"] = {**document.get("annotations", {}), HELPERS: json.dumps([words])}
    document["process"]["args"] = joined([words], ["/data/true"])
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    again = bundles.launch(bundle, user=stance.user)
    assert (again.returncode, again.stderr) == (done.returncode, done.stderr)


def test_the_bundle_and_its_lease_are_removed(folder: Path, stance: Stance) -> None:
    for command, code in (("true", 0), ("nothing", 127)):
        lease = folder / "lease"
        lease.touch()
        document = stance.config(command)
        document["annotations"] = {"org.hardening.leases": json.dumps([str(lease)])}
        bundle = bundles.write(folder / "bundle", document, user=stance.user)
        runs.hand_over(folder, stance.user)
        assert bundles.launch(bundle, user=stance.user, state=folder, remove=True).returncode == code
        assert not bundle.exists()
        assert not lease.exists()


@pytest.mark.parametrize("leased", ["precious", "state/records/precious", "state/../precious"])
def test_a_bundle_from_elsewhere_does_not_have_a_file_that_is_no_lease_removed(
    folder: Path, stance: Stance, leased: str
) -> None:
    precious = Path(os.path.normpath(folder / leased))
    (folder / "state/records").mkdir(parents=True)
    precious.touch()
    document = stance.config("true")
    document["annotations"] = {"org.hardening.leases": json.dumps([f"{folder}/{leased}"])}
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    done = bundles.launch(bundle, user=stance.user, state=folder / "state", remove=True)
    assert done.returncode == 125
    assert "config.json:/annotations/org.hardening.leases: " in done.stderr
    assert "is not a lease of the state directory" in done.stderr
    assert precious.exists()


@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_the_bundle_of_a_killed_launcher_is_gone(folder: Path, stance: Stance, runtime: str) -> None:
    require("root")
    document = stance.config("sh", "-c", "echo ready; while :; do sleep 0.1; done")
    bundle = bundles.write(folder / "bundles" / "one", document, user=stance.user)
    (folder / "bundles").chmod(0o755)
    runs.hand_over(folder / "bundles", stance.user)
    with bundles.started(bundle, runtime, stance.user, remove=True) as (process, pid):
        assert bundle.exists()
        process.kill()
        process.wait()
        until(lambda: not bundle.exists() and is_over(pid))  # the guard is at work


@pytest.mark.parametrize("limit", [5, 7, 12])
def test_too_few_descriptors_leave_no_bundle(tmp_path: Path, limit: int) -> None:
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))"
    argv = [*WHOLE, "run", "-p", "strict", "--", "true"]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])", *argv],
        env={**os.environ, "HARDENING_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (125, False), done.stderr
    assert list(tmp_path.glob("state/launches/*")) == []


def test_a_lease_is_held_for_the_life_of_a_container(folder: Path, stance: Stance) -> None:
    lease = folder / "lease"
    lease.touch()
    document = stance.config("sh", "-c", "echo ready; while :; do sleep 0.1; done")
    document["annotations"] = {"org.hardening.leases": json.dumps([str(lease)])}
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    with bundles.started(bundle, user=stance.user, state=folder):
        done = bundles.launch(bundle, user=stance.user, state=folder)
        assert done.returncode == 125
        assert "holds this lease" in done.stderr


@pytest.mark.parametrize("name", ["bundle", "bundle/config.json", "bundle/seccomp.bpf"])
def test_what_others_can_write_is_refused(folder: Path, stance: Stance, name: str) -> None:
    document = stance.config("true")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "seccomp.bpf").write_bytes(b"\xff" * 8)
    bad_filter(document)
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    root = os.geteuid() == 0
    for mode in (0o020, 0o002) if root else (0o002,):
        path = folder / name
        os.chown(path, -1, 0 if root else -1)  # a user's own group is nobody else
        kept = path.stat().st_mode
        path.chmod(kept | mode)
        done = bundles.launch(bundle, user=stance.user)
        assert done.returncode == 125
        assert "can be written by others" in done.stderr
        path.chmod(kept)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.03, 0.05])
def test_a_launch_that_is_killed_on_its_way_leaves_no_process(folder: Path, stance: Stance, delay: float) -> None:
    document = grouped(folder, stance, stance.config("sh", "-c", "while :; do sleep 0.1; done"))
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    argv = bundles.launcher(bundle, user=stance.user)
    before = traces(folder)
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/", stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(number)
        if number == signal.SIGTERM:  # a shell without a trap does not hear it as process 1, once it runs
            time.sleep(0.2)
            process.kill()
        process.wait(60)
        until(lambda: traces(folder) == before, lambda: traces(folder))


def limited(script: str, path: str) -> dict[str, Any]:
    require("root")
    require("cgroups")
    document = bundles.stance("root").config("sh", "-c", script)
    document["linux"]["resources"] = {"pids": {"limit": 4}, "memory": {"limit": 64 << 20}}
    document["linux"]["cgroupsPath"] = path
    return document


def kill_with_guard(process: subprocess.Popen[str]) -> None:
    """Kill a launcher, and the guard that would clean up after it."""
    launcher = Path(f"/proc/{process.pid}")
    children = (launcher / "task" / str(process.pid) / "children").read_text().split()
    cmdline = (launcher / "cmdline").read_bytes()
    (guard,) = (child for child in children if Path(f"/proc/{child}/cmdline").read_bytes() == cmdline)
    os.kill(int(guard), signal.SIGKILL)
    process.kill()
    process.wait()


def test_the_group_that_a_killed_launch_has_left_is_used_again() -> None:
    name = f"hardening-test-{os.getpid()}"
    with runs.workplace(None) as folder:
        bundle = bundles.write(folder / "bundle", limited("echo ready; while :; do sleep 0.1; done", f"/{name}"))
        with bundles.started(bundle) as (process, _):
            # As long as it lives, nobody else gets the group.
            done = bundles.launch(bundle)
            assert done.returncode == 125
            assert "another container uses it" in done.stderr
            kill_with_guard(process)
        assert apart.groups(name)
        bundle = bundles.write(folder / "bundle", limited("exit 7", f"/{name}"))
        assert bundles.launch(bundle).returncode == 7
        assert apart.groups(name) == []


def test_a_group_that_somebody_holds_is_left_alone_though_it_is_empty() -> None:
    name = f"hardening-test-{os.getpid()}"
    with runs.workplace(None) as folder:
        bundle = bundles.write(folder / "bundle", limited("exit 7", f"/{name}"))
        with bundles.started(bundles.write(folder / "other", limited("echo ready; sleep 60", f"/{name}"))) as (
            process,
            _,
        ):
            kill_with_guard(process)
        held = [os.open(path, os.O_RDONLY) for path in apart.groups(name)]
        try:
            for fd in held:
                fcntl.flock(fd, fcntl.LOCK_EX)
            done = bundles.launch(bundle)
            assert (done.returncode, "another container uses it" in done.stderr) == (125, True)
            assert apart.groups(name)
        finally:
            for fd in held:
                os.close(fd)
        assert bundles.launch(bundle).returncode == 7


def test_a_group_whose_process_dies_late_is_removed_then() -> None:
    require("freezer")
    name = f"hardening-test-{os.getpid()}"
    ice = FREEZER / f"{name}-ice"
    with runs.workplace(None) as folder:
        bundle = bundles.write(folder / "bundle", limited("echo ready; while :; do sleep 0.1; done", f"/{name}"))
        with bundles.started(bundle) as (process, inside):
            ice.mkdir()
            try:
                (ice / "cgroup.procs").write_text(str(inside))
                (ice / "freezer.state").write_text("FROZEN")
                process.kill()
                process.wait()
                time.sleep(3)
                assert apart.groups(name)
                (ice / "freezer.state").write_text("THAWED")
                until(lambda: apart.groups(name) == [], lambda: apart.groups(name))
            finally:
                (ice / "freezer.state").write_text("THAWED")
                until(lambda: (ice / "cgroup.procs").read_text() == "")
                ice.rmdir()


def test_the_parent_of_a_group_is_shared() -> None:
    parent = f"hardening-test-{os.getpid()}"
    script = "echo ready; while :; do sleep 0.1; done"
    with runs.workplace(None) as folder:
        one = bundles.write(folder / "one", limited(script, f"/{parent}/one"))
        two = bundles.write(folder / "two", limited(script, f"/{parent}/two"))
        with bundles.started(one) as (first, inside), bundles.started(two) as (second, other):
            os.kill(inside, signal.SIGKILL)
            assert first.wait(60) == 128 + signal.SIGKILL
            assert apart.groups(f"{parent}/one") == []
            assert second.poll() is None
            os.kill(other, signal.SIGKILL)
            assert second.wait(60) == 128 + signal.SIGKILL
        assert apart.groups(f"{parent}/two") == []
        for path in apart.groups(parent):  # nobody knows who is the last
            path.rmdir()
