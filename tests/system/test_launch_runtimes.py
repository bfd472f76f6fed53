"""The same bundle under native, crun and runc: what the kernel says is equal, and so are the promises of a launch."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardening.base.digest import ANNOTATION, of_filter
from hardening.base.linux import mountinfo
from hardening.launch.config.bundle import NODES, PROFILES
from hardening.launch.oci.cgroup2_only import CGROUP2_MAGIC_FILE
from tests.support import bundles, runs
from tests.support.bundles import Stance
from tests.support.features import require
from tests.support.patience import is_over, until

pytestmark = pytest.mark.system

RUNTIMES = ("native", "crun", "runc")
STATUS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Umask")


def receipt_of(folder: Path, stance: Stance, document: dict[str, Any], runtime: str) -> dict[str, Any]:
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    target = folder / f"receipt-{runtime}"
    done = bundles.launch(bundle, runtime, stance.user, receipt=target)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(target.read_text()))


def mounts(receipt: dict[str, Any]) -> dict[str, tuple[str, frozenset[str]]]:
    """Mount point -> (type, options) without access times."""
    found = {}
    for line in receipt["mountinfo"].splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        options = {option for option in words[5].split(",") if "atime" not in option}
        found[words[4]] = (after.split()[0], frozenset(options))
    return found


def test_the_kernel_says_the_same_under_each_runtime(folder: Path, stance: Stance) -> None:
    document = stance.config("true")
    kill = ["CAP_KILL"]
    document["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), kill)
    document["process"]["user"] |= {"umask": 0o27}
    document["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    document["process"]["oomScoreAdj"] = 300
    receipts = {runtime: receipt_of(folder, stance, document, runtime) for runtime in RUNTIMES}
    native = receipts["native"]
    for runtime in ("crun", "runc"):
        other = receipts[runtime]
        assert {key: native["status"][key] for key in STATUS} == {key: other["status"][key] for key in STATUS}
        for key in ("uid_map", "gid_map", "loginuid", "oom_score_adj", "exe", "setgroups"):
            assert native[key] == other[key]
        assert [line for line in native["limits"].splitlines() if "open files" in line] == [
            line for line in other["limits"].splitlines() if "open files" in line
        ]
        for name, link in native["caller_namespaces"].items():
            assert (native["namespaces"][name] == link) == (
                other["namespaces"][name] == other["caller_namespaces"][name]
                or (name in ("cgroup", "user", "mnt") and other["namespaces"][name] == link)
            ), name
        ours, theirs = mounts(native), mounts(other)
        assert ours.keys() - theirs.keys() == set()
        extra = theirs.keys() - ours.keys()
        # crun binds the devices that the launcher makes as nodes; runc masks directories that are empty, too.
        assert all(place.startswith(("/dev/", "/proc/", "/sys/")) for place in extra), extra
        # The other runtimes leave devices and set-user-ID bits of the root's own files to whoever composes.
        assert (ours["/"][0], ours["/"][1] - {"nodev", "nosuid"}) == (
            theirs["/"][0],
            theirs["/"][1] - {"nodev", "nosuid"},
        )
        for place in ("/proc", "/dev/shm", "/tmp", "/proc/sys", "/proc/bus", "/sys"):
            assert ours[place] == theirs[place], place


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_exit_codes_and_signals(folder: Path, stance: Stance, runtime: str) -> None:
    for args, code in ((["sh", "-c", "exit 42"], 42), (["nothing"], 127), (["/etc"], 126), (["/etc/plain"], 126)):
        (bundles.make_root(folder / "bundle" / "rootfs") / "etc" / "plain").touch(0o644)
        bundle = bundles.write(folder / "bundle", stance.config(*args), user=stance.user)
        assert bundles.launch(bundle, runtime, stance.user).returncode == code
    script = "trap 'exit 33' TERM; echo ready; while :; do sleep 0.05; done"
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", script), user=stance.user)
    with bundles.started(bundle, runtime, stance.user) as (process, pid):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 33
        assert not os.path.exists(f"/proc/{pid}")
    assert not [*(folder / "state").glob("*/*")]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_group_that_somebody_uses_is_left_alone(runtime: str) -> None:
    require("root")
    require("cgroups")
    unified = next(Path(mount.place) for mount in mountinfo.read() if mount.kind == "cgroup2")
    with runs.workplace(None) as folder, subprocess.Popen(["sleep", "600"]) as other:
        place = unified / folder.name
        document = bundles.stance("root").config("true")
        document["linux"]["cgroupsPath"] = f"/{folder.name}"
        document["linux"]["resources"] = {"unified": {"cgroup.max.depth": "7"}}
        bundle = bundles.write(folder / "bundle", document)
        (place / "below").mkdir(parents=True)
        try:
            (place / "below/cgroup.procs").write_text(str(other.pid))
            done = bundles.launch(bundle, runtime)
            assert (done.returncode, "another container uses it" in done.stderr) == (125, True)
            assert other.poll() is None
            assert (place / "cgroup.max.depth").read_text() == "max\n"
        finally:
            other.kill()
            other.wait()
            until(lambda: "populated 0" in (place / "cgroup.events").read_text())
            (place / "below").rmdir()
            place.rmdir()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_nothing_is_left_of_a_killed_container(folder: Path, stance: Stance, runtime: str) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", "echo ready; sleep 60"), user=stance.user)
    with bundles.started(bundle, runtime, stance.user) as (process, pid):
        os.kill(pid, signal.SIGKILL)
        assert process.wait(60) == 128 + signal.SIGKILL
    assert not [*(folder / "state").glob("*/*")]
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("stance", ["root"], indirect=True)
@pytest.mark.parametrize("damage", ["another program", "no program", "another filter", "no filter", "no annotation"])
def test_a_filter_and_its_configuration_belong_together(
    folder: Path, runtime: str, damage: str, stance: Stance
) -> None:
    document = stance.config("true")
    seccomp = document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": []}
    program = bytes.fromhex("060000000000ff7f")
    document["annotations"] = {ANNOTATION: of_filter(seccomp, program)}
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    (bundle / "seccomp.bpf").write_bytes(program)
    assert bundles.launch(bundle, runtime).returncode == 0
    match damage:
        case "another program":
            (bundle / "seccomp.bpf").write_bytes(program * 2)
        case "no program":
            (bundle / "seccomp.bpf").unlink()
        case "another filter":
            seccomp["defaultAction"] = "SCMP_ACT_LOG"
        case "no filter":
            del document["linux"]["seccomp"]
        case "no annotation":
            del document["annotations"]
    bundles.write(bundle, document)
    done = bundles.launch(bundle, runtime)
    assert done.returncode == 125
    assert "seccomp" in done.stderr


def left(folder: Path) -> list[str]:
    """Processes, state and mounts that belong to a launch from this folder."""
    words = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
    state = [str(path) for path in (folder / "state").glob("*/*")]
    return (
        words + state + [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    )


def nothing_is_left(folder: Path) -> None:
    until(lambda: not left(folder), lambda: left(folder))


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_the_container_dies_with_a_launcher_that_is_killed(
    folder: Path, stance: Stance, runtime: str, whole_group: bool
) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", "echo ready; sleep 60"), user=stance.user)
    argv = bundles.launcher(bundle, runtime, stance.user)
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(argv, stdin=null, stdout=pipe, cwd="/", process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        pid = bundles.child_of(process.pid)
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        nothing_is_left(folder)
        assert is_over(pid)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_signal_that_comes_again_does_not_end_the_cleaning_up(folder: Path, stance: Stance, runtime: str) -> None:
    """A terminal that is hung up sends SIGHUP twice: by its shell, and by the kernel once that has ended."""
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", "echo ready; sleep 60"), user=stance.user)
    with bundles.started(bundle, runtime, stance.user) as (process, _):
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        assert process.returncode == 128 + signal.SIGHUP
        assert left(folder) == []


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.04, 0.06, 0.1])
@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_launch_that_is_killed_on_its_way_leaves_nothing(
    folder: Path, stance: Stance, runtime: str, delay: float
) -> None:
    seconds = f"61.{os.getpid()}"
    bundle = bundles.write(folder / "bundle", stance.config("sleep", seconds), user=stance.user)
    argv = bundles.launcher(bundle, runtime, stance.user)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/") as process:
        time.sleep(delay)
        process.kill()
        process.wait()
    nothing_is_left(folder)
    assert subprocess.run(["pgrep", "-f", f"sleep {seconds}"], check=False).returncode == 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_standard_input(folder: Path, stance: Stance, runtime: str) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("cat"), user=stance.user)
    assert bundles.launch(bundle, runtime, stance.user).stdout == ""
    argv = bundles.launcher(bundle, runtime, stance.user, stdin=True)
    with (folder / "input").open("w+") as file:
        file.write("hello")
        file.seek(0)
        runs.hand_over(folder, stance.user)
        done = subprocess.run(argv, stdin=file, capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "hello"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_audit_trail_names_the_person(folder: Path, stance: Stance, runtime: str) -> None:
    require("loginuid")
    require("root")
    document = stance.config("sh", "-c", "echo ready; while :; do sleep 0.1; done")
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    argv = bundles.launcher(bundle, runtime, stance.user)
    script = 'echo 1000 >/proc/self/loginuid && exec "$@"'
    with subprocess.Popen(["sh", "-c", script, "sh", *argv], stdout=subprocess.PIPE, cwd="/") as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            pid = bundles.child_of(process.pid)
            assert Path(f"/proc/{pid}/loginuid").read_text() == "1000"
            os.kill(pid, signal.SIGKILL)
            process.wait(60)
        finally:
            process.kill()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_devices_of_the_host_keep_their_owner(folder: Path, stance: Stance, runtime: str) -> None:
    """crun gives its standard descriptors to the container's user: /dev/null must not be among them."""
    before = os.stat("/dev/null")
    bundle = bundles.write(folder / "bundle", stance.config("true"), user=stance.user)
    argv = bundles.launcher(bundle, runtime, stance.user)
    null = subprocess.DEVNULL
    subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=True, cwd="/")
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert stat.S_ISCHR(after.st_mode)


STRANGER = 48000


def _reads_a_source(folder: Path, source: Path, runtime: str) -> subprocess.CompletedProcess[str]:
    """A launch that reads what is bound at /mnt."""
    document = bundles.stance("root").config("cat", "/mnt/name")
    options = ["bind", "ro"]
    document["mounts"].append({"destination": "/mnt", "type": "none", "source": str(source), "options": options})
    return bundles.launch(bundles.write(folder / "bundle", document), runtime)


def _theirs(folder: Path) -> None:
    os.chown(folder / "way", STRANGER, STRANGER)


def _open(folder: Path) -> None:
    (folder / "way").chmod(0o777)


def _their_name_in_a_sticky_directory(folder: Path) -> None:
    (folder / "way").chmod(0o1777)
    os.chown(folder / "way/source", STRANGER, STRANGER)


def _their_link(folder: Path) -> None:
    (folder / "way").rename(folder / "real")
    (folder / "way").symlink_to("real")
    os.chown(folder / "way", STRANGER, STRANGER, follow_symlinks=False)


@pytest.mark.parametrize("change", [_theirs, _open, _their_name_in_a_sticky_directory, _their_link])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_source_that_others_can_replace_is_opened_once_or_not_at_all(
    runtime: str, change: Callable[[Path], None]
) -> None:
    """crun and runc look a source up after it was judged: meanwhile its place may be a link's (renameat2(2))."""
    require("root")
    with runs.workplace() as folder:
        (folder / "way/source").mkdir(parents=True)
        (folder / "way/source/name").write_text("judged\n")
        done = _reads_a_source(folder, folder / "way/source", runtime)
        assert (done.returncode, done.stdout) == (0, "judged\n"), done.stderr
        change(folder)
        done = _reads_a_source(folder, folder / "way/source", runtime)
        if runtime == "native" and change is not _their_link:
            assert (done.returncode, done.stdout) == (0, "judged\n"), done.stderr
            return
        assert (done.returncode, done.stdout) == (125, ""), done.stderr
        assert runtime == "native" or "can be replaced by others" in done.stderr
        assert "config.json:/mounts/" in done.stderr
        assert "hint: " in done.stderr


@pytest.mark.parametrize("stance", ["user-range"], indirect=True)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_link_is_seen_where_only_an_id_of_the_container_can_look(folder: Path, stance: Stance, runtime: str) -> None:
    require("root")
    document = stance.config("sh", "-c", "echo RAN")
    document["annotations"] = {PROFILES: "[]"}
    document["mounts"].append({"destination": "/private/place/data", "type": "tmpfs", "source": "tmpfs"})
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    private = bundle / "rootfs/private"
    (private / "place/data").mkdir(parents=True)
    assert stance.uid_maps is not None
    assert stance.gid_maps is not None
    inside = (stance.uid_maps[1][1], stance.gid_maps[1][1])
    os.chown(private, *inside)
    private.chmod(0o700)
    done = bundles.launch(bundle, runtime, stance.user)
    if runtime == "crun" and os.path.exists(CGROUP2_MAGIC_FILE):  # nobody looks in a user namespace
        assert (done.returncode, done.stdout) == (125, "")
        assert "cannot mount tmpfs on /private/place/data: Permission denied" in done.stderr
        return
    assert (done.returncode, done.stdout) == (0, "RAN\n"), done.stderr
    (private / "place").rename(private / "before")
    (private / "place").symlink_to("before")
    for owners, reason in ((inside, "a link created since this was composed"), ((0, 0), "Permission denied")):
        os.chown(private, *owners)
        done = bundles.launch(bundle, runtime, stance.user)
        assert (done.returncode, done.stdout) == (125, ""), done.stderr
        assert f"cannot mount tmpfs on /private/place/data: {reason}" in done.stderr


def test_a_source_that_is_not_there_is_not_left_for_somebody_to_put_there(folder: Path, stance: Stance) -> None:
    document = stance.config("true")
    document["mounts"].append({"destination": "/mnt", "type": "bind", "source": f"{folder}/none", "options": ["rbind"]})
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    for runtime in ("crun", "runc"):
        done = bundles.launch(bundle, runtime, stance.user)
        assert done.returncode == 125
        assert f"{folder}/none cannot be opened: No such file or directory" in done.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("shown", ["rootfs", "rootfs/data"])
def test_no_root_is_started_whose_nodes_would_work_where_they_must_not(runtime: str, shown: str) -> None:
    require("root")
    with runs.workplace() as folder:
        document = bundles.stance("root").config("true")
        bundle = bundles.write(folder / "bundle", document)
        assert bundles.launch(bundle, runtime).returncode == 0
        bundles.write(bundle, document | {"annotations": {NODES: "withheld"}})
        (bundle / "rootfs/data").mkdir(exist_ok=True)
        for name, options in (("rootfs", "bind,remount,nodev"), (shown, "remount,bind,dev")):
            if not os.path.ismount(bundle / name):
                subprocess.run(["mount", "--bind", bundle / name, bundle / name], check=True)
            subprocess.run(["mount", "-o", options, bundle / name], check=True)
        done = bundles.launch(bundle, runtime)
        if runtime == "native":
            assert done.returncode == 0, done.stderr
        else:
            assert (done.returncode, done.stdout) == (125, "")
            assert f"device nodes in {bundle}/{shown} would work under {runtime}" in done.stderr
            assert "hint: --runtime native mounts it without" in done.stderr
        subprocess.run(["mount", "-o", "remount,bind,nodev", bundle / shown], check=True)
        done = bundles.launch(bundle, runtime)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_hook_runs_as_the_caller_and_is_waited_for(folder: Path, stance: Stance, runtime: str) -> None:
    document = stance.config("sh", "-c", "echo RAN")
    script = f"sleep 1; echo > {folder}/hook"
    document["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    done = bundles.launch(bundle, runtime, stance.user)
    assert (done.returncode, done.stdout) == (0, "RAN\n"), done.stderr
    assert (folder / "hook").stat().st_uid == (stance.user.uid if stance.user is not None else os.geteuid())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_hook_ends_at_its_timeout_or_is_not_run_at_all(folder: Path, stance: Stance, runtime: str) -> None:
    """``timeout`` is in seconds (runtime-spec, config.md, "POSIX-platform Hooks"); native runs none."""
    document = stance.config("sh", "-c", "echo RAN")
    script = f"echo $$ > {folder}/hook; exec sleep 1000"
    document["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1}]}
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    runs.hand_over(folder, stance.user)
    done = bundles.launch(bundle, runtime, stance.user)
    assert (done.returncode, done.stdout) == (125, ""), done.stderr
    if runtime == "native":
        assert "config.json:/hooks: the native launcher runs no hooks" in done.stderr
        assert not (folder / "hook").exists()
    else:
        assert "time" in done.stderr
        assert is_over(int((folder / "hook").read_text()))
