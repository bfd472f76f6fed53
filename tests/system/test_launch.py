"""The native launcher, asked from outside: what the kernel says of the process that it started."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _cffi_backend
import pytest

import hardening
from hardening.base.digest import ANNOTATION, of_filter
from hardening.base.linux import kernel
from hardening.launch.native.session import AFTER_EARLY_FILTER
from hardening.launch.request import START
from tests.escape.launches import with_code
from tests.support import apart, bundles, runs
from tests.support.bundles import Stance
from tests.support.features import require
from tests.support.patience import is_over, until

pytestmark = pytest.mark.system

WAIT = "echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def roots() -> Iterator[Path]:
    """A folder of root's, for what is one stance's alone."""
    require("root")
    with runs.workplace(None) as place:
        yield place


def run(folder: Path, stance: Stance, document: dict[str, Any], **options: Any) -> subprocess.CompletedProcess[str]:
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    return bundles.launch(bundle, user=stance.user, **options)


def printed(folder: Path, stance: Stance, document: dict[str, Any], **options: Any) -> str:
    done = run(folder, stance, document, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def filter_that_refuses_mkdir() -> bytes:
    """Load the number; jump if it is mkdir(2), here 83; EPERM; allow. No check of the architecture: a test's filter."""
    return filter_that_refuses({"x86_64": 83, "aarch64": 34}[os.uname().machine])


def filter_that_refuses(number: int) -> bytes:
    """The same for any call."""
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
    return b"".join(
        op.to_bytes(2, "little") + bytes((true, false)) + value.to_bytes(4, "little") for op, true, false, value in code
    )


def with_filter(folder: Path, document: dict[str, Any], program: bytes) -> None:
    (folder / "bundle").mkdir(exist_ok=True)
    (folder / "bundle" / "seccomp.bpf").write_bytes(program)
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    document["annotations"] = {ANNOTATION: of_filter(document["linux"]["seccomp"], program)}


def test_capabilities_and_no_new_privileges(folder: Path, stance: Stance) -> None:
    document = stance.config("sh", "-c", WAIT)
    kill, chown = "CAP_KILL", "CAP_CHOWN"
    document["process"]["capabilities"] = {
        "bounding": [chown, kill],
        "permitted": [kill],
        "effective": [kill],
        "inheritable": [kill],
        "ambient": [kill],
    }
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    with bundles.started(bundle, user=stance.user) as (_, pid):
        status = bundles.status_of(pid)
    assert int(status["CapBnd"], 16) == 1 << 5 | 1
    # With no_new_privs root's execve(2) lifts nothing.
    assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [1 << 5] * 4
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "0"


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_filter_is_loaded(folder: Path, stance: Stance, no_new_privileges: bool) -> None:
    require("seccomp")
    document = stance.config("sh", "-c", f"mkdir /tmp/x 2>&1; {WAIT}")
    document["process"]["args"][2] = f"mkdir /tmp/x 2>/dev/null && echo made; {WAIT}"
    document["process"]["noNewPrivileges"] = no_new_privileges
    with_filter(folder, document, filter_that_refuses_mkdir())
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    with bundles.started(bundle, user=stance.user) as (_, pid):
        status = bundles.status_of(pid)
    assert status["Seccomp"] == "2"
    assert status["Seccomp_filters"] == "1"
    assert status["NoNewPrivs"] == str(int(no_new_privileges))


def test_a_filter_other_than_the_stated_one_is_refused(folder: Path, stance: Stance) -> None:
    document = stance.config("true")
    with_filter(folder, document, filter_that_refuses_mkdir())
    (folder / "bundle" / "seccomp.bpf").write_bytes(filter_that_refuses_mkdir()[8:])
    done = run(folder, stance, document)
    assert done.returncode == 125
    assert "is not compiled from the linux.seccomp of config.json" in done.stderr


def test_namespaces_and_id_maps(folder: Path, stance: Stance) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", WAIT), user=stance.user)
    with bundles.started(bundle, user=stance.user) as (_, pid):
        for name in ("pid", "net", "ipc", "uts", "mnt", "cgroup"):
            assert os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
        same_user = os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")
        assert same_user == (stance.uid_maps is None)
        assert bundles.status_of(pid)["NSpid"].split()[-1] == "1"
        if stance.uid_maps is not None:
            lines = Path(f"/proc/{pid}/uid_map").read_text().splitlines()
            assert [tuple(map(int, line.split())) for line in lines] == list(stance.uid_maps)


def test_user_group_umask_and_limits(folder: Path, stance: Stance) -> None:
    document = stance.config("sh", "-c", f"umask; {WAIT}".replace("umask; echo", "echo"))
    mapped = stance.name != "user-one-id"
    ids = {"uid": 7, "gid": 8, "additionalGids": [9, 10]} if mapped else {"uid": 0, "gid": 0}
    document["process"]["user"] = {**ids, "umask": 0o27}
    document["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 32, "hard": 64}]
    document["process"]["oomScoreAdj"] = 500
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    outside = {None: 7, "root-mapped": 400_007}.get(stance.name if stance.uid_maps else None)
    with bundles.started(bundle, user=stance.user) as (_, pid):
        status = bundles.status_of(pid)
        assert status["Umask"] == "0027"
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "500"
        limits = {line[:26].strip(): line[26:].split() for line in Path(f"/proc/{pid}/limits").read_text().splitlines()}
        assert limits["Max open files"][:2] == ["32", "64"]
        if outside is not None:
            assert status["Uid"].split() == [str(outside)] * 4
            assert status["Groups"].split() == [str(outside + 2), str(outside + 3)]


def test_the_root_is_read_only_and_the_old_one_gone(folder: Path, stance: Stance) -> None:
    text = printed(folder, stance, stance.config("sh", "-c", "touch /x 2>&1; ls /; cat /proc/self/mountinfo"))
    assert "Read-only file system" in text
    mounts = [line.split() for line in text.splitlines() if " - " in line]
    assert mounts[0][4] == "/"
    assert all(line[4] == "/" or line[4].split("/")[1] in ("proc", "dev", "sys", "tmp") for line in mounts)
    assert all("shared:" not in " ".join(line) and "master:" not in " ".join(line) for line in mounts)


def test_device_nodes_in_the_root_do_not_open(folder: Path, stance: Stance) -> None:
    require("root")
    root = bundles.make_root(folder / "bundle" / "rootfs")
    os.mknod(root / "etc" / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    (root / "etc" / "zero").chmod(0o666)
    script = "cat /etc/zero; cat /dev/null && echo opened; cat /proc/self/mountinfo"
    document = stance.config("sh", "-c", script)
    done = run(folder, stance, document)
    assert "Permission denied" in done.stderr
    assert done.stdout.startswith("opened")
    root_line = next(line.split() for line in done.stdout.splitlines() if line.split()[4:5] == ["/"])
    assert {"nodev", "nosuid"} <= set(root_line[5].split(","))


@pytest.mark.parametrize("stance", ["root"], indirect=True)  # a user namespace makes no devices
def test_devices_of_the_configuration_in_a_root_without_a_file_system_for_them(folder: Path, stance: Stance) -> None:
    document = stance.config("sh", "-c", "cat /dev/kmsg2 && echo opened")
    document["mounts"] = document["mounts"][:1]
    document["linux"]["devices"] = [{"path": "/dev/kmsg2", "type": "c", "major": 1, "minor": 3, "fileMode": 0o020640}]
    document["process"]["args"][2] += "; stat -c '%F %a' /dev/kmsg2"
    assert printed(folder, stance, document).splitlines() == ["opened", "character special file 640"]


def test_masked_and_read_only_paths(folder: Path, stance: Stance) -> None:
    script = "cat /proc/keys; ls /sys/firmware; echo 1 >/proc/sys/kernel/panic; grep ' /proc/sys ' /proc/self/mountinfo"
    done = run(folder, stance, stance.config("sh", "-c", script))
    assert "Read-only file system" in done.stderr
    assert [line.split()[5].split(",")[0] for line in done.stdout.splitlines()] == ["ro"]


def test_a_pattern_of_masked_paths(folder: Path, stance: Stance) -> None:
    document = stance.config("sh", "-c", "cat /proc/key-users /proc/keys")
    document["linux"]["maskedPaths"] = ["/proc/key*"]
    assert printed(folder, stance, document) == ""


def test_links_in_the_root_lead_nowhere_else(folder: Path, stance: Stance) -> None:
    outside = folder / "outside"
    outside.mkdir(mode=0o777)
    root = bundles.make_root(folder / "bundle" / "rootfs")
    (root / "data").rmdir()
    (root / "data").symlink_to(outside)
    document = stance.config("sh", "-c", "true")
    document["mounts"].append({"destination": "/data/x", "type": "tmpfs", "source": "tmpfs"})
    done = run(folder, stance, document)
    assert list(outside.iterdir()) == []
    if stance.name == "root-mapped":  # whose ids make nothing in a root of root's
        assert done.returncode == 125
        assert "config.json:/mounts/7" in done.stderr
    else:
        assert done.returncode == 0
        assert (root / str(outside).lstrip("/") / "x").is_dir()


def test_proc_is_not_mounted_through_a_link(folder: Path, stance: Stance) -> None:
    root = bundles.make_root(folder / "bundle" / "rootfs")
    (root / "proc").rmdir()
    (root / "proc").symlink_to("data")
    done = run(folder, stance, stance.config("true"))
    assert done.returncode == 125
    assert "config.json:/mounts/0" in done.stderr


def test_bind_mounts_from_where_the_ids_inside_cannot_reach(folder: Path, stance: Stance) -> None:
    secret = folder / "secret"
    (secret / "data").mkdir(parents=True)
    (secret / "data" / "file").write_text("seen")
    (secret / "data" / "file").chmod(0o644)
    (secret / "data").chmod(0o755)
    runs.hand_over(secret, stance.user)
    secret.chmod(0o700)
    options = ["rbind", "ro", "nosuid", "nodev", "noexec"]
    if stance.user is None:
        options.append("noatime")  # a user namespace of an ordinary user cannot: the host's mount keeps its mode
    document = stance.config("sh", "-c", "cat /data/file; touch /data/x; grep ' /data ' /proc/self/mountinfo")
    document["mounts"].append(
        {"destination": "/data", "type": "bind", "source": str(secret / "data"), "options": options}
    )
    done = run(folder, stance, document)
    assert done.stdout.startswith("seen")
    assert "Read-only" in done.stderr
    assert set(done.stdout.split(" /data ")[1].split()[0].split(",")) >= {*options[1:]}


NO_DEVICES = {"devices": [{"allow": False, "access": "rwm"}]}


@pytest.mark.parametrize("stance", ["root", "root-mapped"], indirect=True)
def test_rules_for_devices_hold_on_what_is_bound(folder: Path, stance: Stance) -> None:
    given = folder / "given"
    (given / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(given / "below")], check=True)
    try:
        for place in (given, given / "below"):
            os.mknod(place / "kmsg", 0o666 | stat.S_IFCHR, os.makedev(1, 11))
            (place / "kmsg").chmod(0o666)
        script = (
            "for node in /data/kmsg /data/below/kmsg; do (: >$node) && echo opened; done; : </dev/null && echo null"
        )
        document = stance.config("sh", "-c", script)
        document["mounts"].append(
            {"destination": "/data", "type": "bind", "source": str(given), "options": ["rbind", "dev"]}
        )
        # Without rules a device of the caller's own file system opens: that is what they are for.
        assert run(folder, stance, document).stdout.split() == ["opened", "opened", "null"]
        document["linux"]["resources"] = NO_DEVICES
        done = run(folder, stance, document)
        assert done.stdout.split() == ["null"]
        assert done.stderr.count("Permission denied") == 2
    finally:
        subprocess.run(["umount", str(given / "below")], check=True)


def test_a_device_that_is_bound_by_itself_needs_a_rule(folder: Path, stance: Stance) -> None:
    document = stance.config("sh", "-c", ": </data/null && echo opened")
    document["mounts"].append({"destination": "/data/null", "type": "bind", "source": "/dev/null", "options": ["bind"]})
    document["mounts"].insert(-1, {"destination": "/data", "type": "tmpfs", "source": "tmpfs"})
    document["linux"]["resources"] = NO_DEVICES
    assert printed(folder, stance, document) == "opened"
    document["mounts"][-1]["source"] = "/dev/kmsg"
    done = run(folder, stance, document)
    assert done.returncode == 125
    assert "/dev/kmsg is a device that /linux/resources/devices does not permit" in done.stderr


@pytest.mark.parametrize("stance", ["root"], indirect=True)
def test_a_bound_proc_goes_around_rules_for_devices(folder: Path, stance: Stance) -> None:
    document = stance.config("true")
    document["linux"]["resources"] = NO_DEVICES
    document["mounts"].append({"destination": "/data", "type": "bind", "source": "/proc", "options": ["rbind"]})
    for source in ("/proc", "/proc/1", "/"):
        document["mounts"][-1]["source"] = source
        done = run(folder, stance, document)
        assert done.returncode == 125
        assert f"config.json:/mounts/7/source: {source} shows other processes" in done.stderr


@pytest.mark.parametrize("stance", ["root"], indirect=True)
def test_a_device_as_standard_input_needs_a_rule(folder: Path, stance: Stance) -> None:
    document = stance.config("true")
    document["linux"]["resources"] = NO_DEVICES
    argv = bundles.launcher(bundles.write(folder / "bundle", document), stdin=True)
    for device, code in (("/dev/zero", 0), ("/dev/kmsg", 125)):
        with open(device, "rb") as file:
            done = subprocess.run(argv, stdin=file, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == code, done.stderr


def covered(folder: Path, stance: Stance) -> dict[str, Any]:
    """A configuration whose last mount is a tmpfs on /data, which holds something in the root."""
    data = bundles.make_root(folder / "bundle" / "rootfs") / "data"
    (data / "below").mkdir()
    (data / "below" / "file").write_text("seen")
    (data / "link").symlink_to("/etc/passwd")
    (data / "program").write_bytes(b"x" * 100_000)
    os.mkfifo(data / "fifo")
    for name, mode in (("below/file", 0o644), ("below", 0o751), ("program", 0o6755), ("fifo", 0o622), (".", 0o715)):
        (data / name).chmod(mode)
    document = stance.config("sh")
    document["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": []})
    return document


def test_a_tmpfs_has_the_mode_of_what_it_covers(folder: Path, stance: Stance) -> None:
    document = covered(folder, stance)
    document["mounts"].append({"destination": "/tmp/new", "type": "tmpfs", "source": "tmpfs", "options": []})
    document["process"]["args"] += ["-c", "stat -c %a /data /tmp/new; ls /data"]
    assert printed(folder, stance, document).split() == ["715", "1777"]
    document["mounts"][-2]["options"] = ["mode=1770"]
    assert printed(folder, stance, document).split()[0] == "1770"


def test_a_tmpfs_is_filled_with_what_it_covers(folder: Path, stance: Stance) -> None:
    document = covered(folder, stance)
    document["mounts"][-1]["options"] = ["tmpcopyup", "ro"]
    script = (
        "cat /data/below/file; readlink /data/link; wc -c </data/program; cd /data;"
        " stat -c '%F %a %u' below program fifo; stat -f -c %T .; touch x"
    )
    document["process"]["args"] += ["-c", script]
    below = folder / "bundle/rootfs/data/below"
    done = run(folder, stance, document)
    if stance.name == "root-mapped":  # whose ids do not read what is the host's root's alone
        assert done.returncode == 125
        assert "config.json:/mounts/7: cannot mount tmpfs on /data: Permission denied: below" in done.stderr
        below.chmod(0o755)
        done = run(folder, stance, document)
    mode = below.stat().st_mode & 0o777
    owner = "65534" if stance.name == "root-mapped" else "0"
    assert done.stdout.split("\n")[:-1] == [
        *("seen/etc/passwd", "100000"),
        *(f"{kind} {owner}" for kind in (f"directory {mode:o}", "regular file 755", "fifo 622")),
        "tmpfs",
    ]
    assert "Read-only file system" in done.stderr


def test_a_tmpfs_that_what_it_covers_does_not_fit_in(folder: Path, stance: Stance) -> None:
    document = covered(folder, stance)
    (folder / "bundle/rootfs/data/below").chmod(0o755)
    document["mounts"][-1]["options"] = ["tmpcopyup", "size=8k"]
    done = run(folder, stance, document)
    assert done.returncode == 125
    assert "config.json:/mounts/7: cannot mount tmpfs on /data: No space left on device: program" in done.stderr


@pytest.mark.parametrize("stance", ["root"], indirect=True)
def test_a_device_is_not_copied_into_a_tmpfs(folder: Path, stance: Stance) -> None:
    document = covered(folder, stance)
    os.mknod(folder / "bundle/rootfs/data/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    document["mounts"][-1]["options"] = ["tmpcopyup"]
    done = run(folder, stance, document)
    assert done.returncode == 125
    assert "a device cannot be copied: null" in done.stderr


def test_a_relative_source_starts_at_the_bundle(folder: Path, stance: Stance) -> None:
    (folder / "bundle" / "given").mkdir(parents=True)
    (folder / "bundle" / "given" / "file").write_text("seen")
    document = stance.config("cat", "/data/file")
    document["mounts"].append({"destination": "/data", "type": "bind", "source": "given", "options": ["rbind"]})
    assert printed(folder, stance, document) == "seen"


def test_a_recursive_restriction_reaches_the_mounts_below(folder: Path) -> None:
    require("root")
    stance = bundles.stance("root")
    source = folder / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(source / "below")], check=True)
    try:
        document = stance.config("sh", "-c", "touch /data/below/x")
        mount = {"destination": "/data", "type": "bind", "source": str(source), "options": ["rbind", "rro"]}
        document["mounts"].append(mount)
        assert "Read-only" in run(folder, stance, document).stderr
        mount["options"] = ["rbind", "ro"]
        assert run(folder, stance, document).returncode == 0
    finally:
        subprocess.run(["umount", str(source / "below")], check=True)


def test_id_mapped_mounts(folder: Path) -> None:
    require("root")
    require("idmapped")
    source = folder / "source"
    source.mkdir()
    (source / "file").touch()
    for stance in (bundles.stance("root-mapped"), bundles.stance("root")):
        document = stance.config("stat", "-c", "%u", "/data/file")
        mount: dict[str, Any] = {"destination": "/data", "type": "bind", "source": str(source)}
        mount["options"] = ["rbind", "ridmap"]
        if stance.uid_maps is None:
            mount["uidMappings"] = mount["gidMappings"] = bundles.id_maps(5000, 10)
        document["mounts"].append(mount)
        assert printed(folder, stance, document) == ("0" if stance.uid_maps else "5000")


def test_names_loopback_and_kernel_settings(folder: Path, stance: Stance) -> None:
    script = "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward; ip addr show lo"
    document = stance.config("sh", "-c", script)
    document["domainname"] = "example.org"
    document["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    lines = printed(folder, stance, document).splitlines()
    assert lines[:3] == ["bundle", "example.org", "1"]
    assert "LOOPBACK,UP" in lines[3]


def test_clocks_of_a_time_namespace(folder: Path, stance: Stance) -> None:
    require("timens")
    document = stance.config("sh", "-c", "read -r up rest </proc/uptime; echo ${up%.*}")
    document["linux"]["namespaces"].append({"type": "time"})
    document["linux"]["timeOffsets"] = {"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 5, "nanosecs": 1}}
    assert int(printed(folder, stance, document)) >= 1_000_000


SLOW_TO_TELL = """
import time
from hardening.launch.native.channel import Channel
send = Channel.send
def slowly(self, word, *fields, **how):
    if word == "child":
        time.sleep(0.5)
    send(self, word, *fields, **how)
Channel.send = slowly
"""


def test_a_first_process_waits_until_the_launcher_knows_of_it(folder: Path, stance: Stance) -> None:
    """It would otherwise be faster than the process that has made it and tells of it, on a loaded machine."""
    require("timens")
    document = stance.config("echo", "here")
    document["linux"]["namespaces"].append({"type": "time"})
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    argv = with_code(bundles.launcher(bundle, user=stance.user), SLOW_TO_TELL)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False)
    assert (done.returncode, done.stdout) == (0, "here\n"), done.stderr


@pytest.mark.parametrize("stance", ["root"], indirect=True)  # a user namespace may not mount the host's /proc
def test_what_a_host_process_namespace_leaves_is_killed(folder: Path, stance: Stance) -> None:
    sleep = f"sleep 61.{os.getpid()}"
    document = stance.config("sh", "-c", f"{sleep} & {sleep} & exit 3")
    document["linux"]["namespaces"] = [entry for entry in document["linux"]["namespaces"] if entry["type"] != "pid"]
    assert run(folder, stance, document).returncode == 3
    assert subprocess.run(["pgrep", "-f", sleep], check=False).returncode == 1


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 42", 42), ("sleep 0.2 & exit 3", 3)])
def test_the_exit_code_is_kept(folder: Path, stance: Stance, script: str, code: int) -> None:
    assert run(folder, stance, stance.config("sh", "-c", script)).returncode == code


def test_signals_are_forwarded_and_a_death_by_signal_shows(folder: Path, stance: Stance) -> None:
    script = "trap 'exit 33' USR1; trap 'exit 34' TERM; echo ready; while :; do sleep 0.05; done"
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", script), user=stance.user)
    for number, code in ((signal.SIGUSR1, 33), (signal.SIGTERM, 34)):
        with bundles.started(bundle, user=stance.user) as (process, _):
            process.send_signal(number)
            assert process.wait(60) == code
    with bundles.started(bundle, user=stance.user) as (process, pid):
        os.kill(pid, signal.SIGKILL)
        assert process.wait(60) == 128 + signal.SIGKILL


def test_a_signal_ends_a_command_that_does_not_handle_it(folder: Path, stance: Stance) -> None:
    """The first process of a PID namespace is otherwise deaf to it: Ctrl-C would do nothing."""
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", "echo ready; exec sleep 60"), user=stance.user)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with bundles.started(bundle, user=stance.user) as (process, pid):
            # A shell handles SIGINT for the moment until it executes.
            bundles.await_program(pid, "sleep")
            process.send_signal(number)
            assert process.wait(60) == 128 + number


def _python(folder: Path, stance: Stance, script: str) -> Path:
    """A bundle whose command is a script for the host's Python."""
    document = stance.config("/usr/bin/python3", "-c", script)
    for name in ("usr", "lib", "lib64"):
        document["mounts"].append(
            {"destination": f"/{name}", "type": "bind", "source": f"/{name}", "options": ["rbind", "ro"]}
        )
    bundle = bundles.write(folder / "bundle", document, user=stance.user)
    for name in ("usr", "lib", "lib64"):
        (bundle / "rootfs" / name).mkdir()
    return bundle


def test_a_signal_does_not_end_a_command_that_waits_for_it(folder: Path, stance: Stance) -> None:
    """Which the kernel shows as not blocked meanwhile (sigwaitinfo(2))."""
    script = (
        "from signal import *; pthread_sigmask(0, {15}); print('ready', flush=True); raise SystemExit(sigwait({15}))"
    )
    bundle = _python(folder, stance, script)
    with bundles.started(bundle, user=stance.user) as (process, pid):
        waiting = str(kernel.call_number("rt_sigtimedwait"))
        until(lambda: Path(f"/proc/{pid}/syscall").read_text().startswith(waiting))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == signal.SIGTERM


def test_a_signal_does_not_end_a_command_that_ignores_it(folder: Path, stance: Stance) -> None:
    script = "trap '' TERM; trap 'exit 7' WINCH; echo ready; while :; do sleep 0.05; done"
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", script), user=stance.user)
    with bundles.started(bundle, user=stance.user) as (process, _):
        # The one with the lower number is read first (signalfd(2)): once the second is there, the first has been.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGWINCH)
        assert process.wait(60) == 7


def test_the_container_dies_with_its_launcher(folder: Path, stance: Stance) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", WAIT), user=stance.user)
    with bundles.started(bundle, user=stance.user) as (process, pid):
        process.kill()
        process.wait()
        until(lambda: is_over(pid))


def test_the_audit_trail_names_the_person(folder: Path, stance: Stance) -> None:
    require("loginuid")
    require("root")
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", WAIT), user=stance.user)
    argv = [
        "sh",
        "-c",
        'echo 1000 >/proc/self/loginuid && exec "$@"',
        "sh",
        *bundles.launcher(bundle, user=stance.user),
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd="/") as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert Path(f"/proc/{bundles.child_of(process.pid)}/loginuid").read_text() == "1000"
        finally:
            process.kill()


def test_no_descriptor_leaks(folder: Path, stance: Stance) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", "ls /proc/self/fd | wc -l"), user=stance.user)
    argv = bundles.launcher(bundle, user=stance.user)
    leak = os.open("/etc", os.O_RDONLY)
    try:
        done = subprocess.run(argv, pass_fds=[leak], capture_output=True, text=True, check=True, cwd="/")
    finally:
        os.close(leak)
    assert done.stdout.strip() == "4"  # three, and the one that ls reads the directory with


@pytest.mark.parametrize("where", ["/proc/self/fd/7", "/bin/sh", "/bin/sh/x", "/sys/nowhere"])
def test_a_working_directory_outside_is_refused(folder: Path, stance: Stance, where: str) -> None:
    document = stance.config("true")
    document["process"]["cwd"] = where
    done = run(folder, stance, document)
    assert done.returncode == 125
    assert "/process/cwd" in done.stderr


def test_a_working_directory_that_is_missing_is_made(folder: Path, stance: Stance) -> None:
    root = bundles.make_root(folder / "bundle" / "rootfs")
    (root / "link").symlink_to("../../tmp/led")
    (root / "data").chmod(0o777)
    for where, shown in (("/tmp/a/b", "/tmp/a/b"), ("/link/c", "/tmp/led/c"), ("/data/x", "/data/x")):
        document = stance.config("sh", "-c", "pwd -P; stat -c %a .")
        document["process"]["cwd"] = where
        assert printed(folder, stance, document).split() == [shown, "755"]
    assert sorted(path.name for path in (root / "data").iterdir()) == ["x"]


def test_a_launch_that_fails_leaves_no_working_directory(folder: Path, stance: Stance) -> None:
    (bundles.make_root(folder / "bundle" / "rootfs") / "data").chmod(0o777)
    document = stance.config("/bin/nothing")
    document["process"]["cwd"] = "/data/x"
    assert run(folder, stance, document).returncode == 127
    assert list((folder / "bundle/rootfs/data").iterdir()) == []


@pytest.mark.parametrize("stance", ["root-mapped"], indirect=True)
def test_a_root_of_other_ids_is_told_as_that(folder: Path, stance: Stance) -> None:
    mounted, placed = stance.config("true"), stance.config("true")
    mounted["mounts"].append({"destination": "/new", "type": "tmpfs", "source": "tmpfs"})
    placed["process"]["cwd"] = "/new"
    for document, hint in (
        (mounted, "give its files to ids of /linux/uidMappings"),
        (placed, "choose a working directory that is there inside, or show one there (-v /new:/new)\n"),
    ):
        done = run(folder, stance, document)
        assert done.returncode == 125
        assert "Permission denied (the root belongs to an id that the user namespace does not map)" in done.stderr
        assert f"\nhint: {hint}" in done.stderr
    assert "cannot make the working directory /new, which is not there inside: " in done.stderr


@pytest.mark.parametrize("stance", ["root"], indirect=True)
@pytest.mark.parametrize("call", ["close_range", "umask", "rt_sigprocmask"])
def test_a_filter_without_no_new_privileges_that_lacks_a_call_of_the_launcher(
    folder: Path, stance: Stance, call: str
) -> None:
    numbers = {"x86_64": {"close_range": 436, "umask": 95, "rt_sigprocmask": 14}}
    numbers["aarch64"] = {"close_range": 436, "umask": 166, "rt_sigprocmask": 135}
    document = stance.config("true")
    document["process"]["noNewPrivileges"] = False
    with_filter(folder, document, filter_that_refuses(numbers[os.uname().machine][call]))
    done = run(folder, stance, document)
    if call == "rt_sigprocmask":
        assert done.returncode == 125
        assert "config.json:/linux/seccomp: cannot restore the signal mask with rt_sigprocmask: " in done.stderr
        assert "hint: without noNewPrivileges the filter is loaded before this" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


#: Whom the tests' own user can trace: newuidmap(1) has no rights under a tracer that has none (ptrace(2)).
TRACED = bundles.STANCES if os.geteuid() == 0 else ("user-one-id",)


@pytest.mark.parametrize("stance", TRACED, indirect=True)
def test_the_calls_after_an_early_filter_are_those_that_it_is_asked_for(folder: Path, stance: Stance) -> None:
    document = stance.config("true")
    document["process"]["noNewPrivileges"] = False
    with_filter(folder, document, filter_that_refuses_mkdir())
    argv = bundles.launcher(bundles.write(folder / "bundle", document, user=stance.user), user=stance.user)
    trace = folder / "trace"
    subprocess.run(["strace", "-f", "-qq", "-o", trace, *argv], check=True, stdin=subprocess.DEVNULL, cwd="/")
    lines = [line.split(maxsplit=1) for line in trace.read_text().splitlines()]
    (start,) = (at for at, (_, call) in enumerate(lines) if call.startswith("seccomp(SECCOMP_SET_MODE_FILTER"))
    calls = [call.partition("(")[0] for pid, call in lines[start + 1 :] if pid == lines[start][0] and "(" in call]
    made = set(calls[: calls.index("execve") + 1]) - {"brk", "mmap", "munmap"}  # the interpreter's memory
    assert made == set(AFTER_EARLY_FILTER) - ({"setgroups"} if stance.name == "user-one-id" else set())


def test_a_mount_onto_a_link_that_leads_nowhere_stays_inside(folder: Path, stance: Stance) -> None:
    outside = folder / "outside"
    outside.mkdir(mode=0o777)
    root = bundles.make_root(folder / "bundle" / "rootfs")
    (root / "run" / "up").symlink_to("resolve")
    (root / "etc" / "resolv.conf").symlink_to("../run/up/stub")
    (root / "etc" / "far").symlink_to(outside / "file")
    (root / "etc" / "loop").symlink_to("loop")
    (root / "tmp").chmod(0o777)
    (folder / "file").write_text("seen")
    document = stance.config("cat", "/run/resolve/stub", f"{outside}/file")
    document["mounts"] += [
        {"destination": path, "type": "tmpfs", "source": "t"} for path in ("/run/resolve", str(outside))
    ]
    for path in ("/etc/resolv.conf", "/etc/far"):
        mount = {"destination": path, "type": "bind", "source": str(folder / "file"), "options": ["bind"]}
        document["mounts"].append(mount)
    if stance.name == "root-mapped":  # whose ids make nothing in a root of root's
        for path in ("run/resolve", str(outside).lstrip("/")):
            (root / path).mkdir(parents=True)
    assert printed(folder, stance, document) == "seenseen"
    assert list(outside.iterdir()) == []
    document["mounts"][-1]["destination"] = "/etc/loop"
    done = run(folder, stance, document)
    assert done.returncode == 125
    assert "config.json:/mounts/10: cannot mount bind on /etc/loop: Too many levels of symbolic links" in done.stderr


@pytest.mark.parametrize("propagation", ["shared", "rshared", "slave", "rprivate", "unbindable", "runbindable"])
def test_the_propagation_of_the_root(folder: Path, stance: Stance, propagation: str) -> None:
    document = stance.config("cat", "/proc/self/mountinfo")
    document["linux"]["rootfsPropagation"] = propagation
    mounts = [line.split(" - ")[0].split() for line in printed(folder, stance, document).splitlines()]
    kinds = {fields[4]: {tag.partition(":")[0] for tag in fields[6:]} for fields in mounts}
    expected = {"shared": {"shared"}, "unbindable": {"unbindable"}}.get(propagation.removeprefix("r"), set())
    assert kinds["/"] - {"master"} == expected
    assert kinds["/tmp"] == (expected if propagation.startswith("r") else set())


def test_the_interpreter_of_the_launcher_is_out_of_reach(folder: Path, stance: Stance) -> None:
    root = bundles.make_root(folder / "bundle" / "rootfs")
    (root / "data" / "script").write_text("#!/proc/self/exe\n")
    (root / "data" / "script").chmod(0o755)
    (root / "data" / "link").symlink_to("/proc/self/exe")
    for command in ("/proc/self/exe", "/data/script", "/data/link"):
        done = run(folder, stance, stance.config(command))
        assert done.returncode == 126
        assert "magic link" in done.stderr


@pytest.mark.parametrize("stance", ["root-mapped"], indirect=True)
@pytest.mark.parametrize("processes", [1, 2])
def test_the_files_of_the_launcher_may_be_out_of_reach_of_the_command_s_ids(
    folder: Path, stance: Stance, processes: int
) -> None:
    """As where it lies in the home of root, with all that the process which becomes the command has a module for."""
    require("cgroupns")
    private = folder / "private"
    private.mkdir(mode=0o700)
    unfinished = shutil.ignore_patterns("*.pyc.*")  # somebody else compiles it
    for name in ("base", "launch"):
        shutil.copytree(Path(hardening.__file__).with_name(name), private / "hardening" / name, ignore=unfinished)
    for name in ("__init__.py", "errors.py"):
        shutil.copy2(Path(hardening.__file__).with_name(name), private / "hardening")
    shutil.copy2(_cffi_backend.__file__, private)
    document = stance.config("cat", "/etc/a.key", "/data/kept", "/sys/fs/cgroup/cgroup.procs")
    root = bundles.make_root(folder / "bundle" / "rootfs")
    (root / "etc" / "a.key").write_text("hidden")
    (root / "data" / "kept").write_text("copied")
    document["linux"]["maskedPaths"].append("/etc/*.key")
    options = ["tmpcopyup", "nosuid", "nodev", "mode=755"]
    document["mounts"] += [
        {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    ]
    if processes == 2:
        require("timens")
        document["linux"]["namespaces"].append({"type": "time"})
    argv = bundles.launcher(bundles.write(folder / "bundle", document))
    argv[argv.index(START) + 1] = str(private)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/")
    assert "the launch failed" not in done.stderr
    assert done.stdout.startswith("copied"), done.stderr


def test_standard_input_is_kept_only_when_asked(folder: Path, stance: Stance) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("cat"), user=stance.user)
    assert bundles.launch(bundle, user=stance.user, text="hello").stdout == "hello"
    done = subprocess.run(
        bundles.launcher(bundle, user=stance.user), input="hello", capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout == ""


def test_the_command_gets_the_signals_of_a_login(folder: Path, stance: Stance) -> None:
    text = printed(folder, stance, stance.config("grep", "Sig", "/proc/self/status"))
    status = dict(line.split(":\t") for line in text.splitlines())
    python_ignores = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert int(status["SigIgn"], 16) & python_ignores == 0
    assert int(status["SigBlk"], 16) == 0


def test_a_cgroup_limits_processes_and_is_removed(roots: Path) -> None:
    stance = bundles.stance("root")
    document = stance.config("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 60 & done; wait")
    document["linux"]["resources"] = {"pids": {"limit": 4}, "memory": {"limit": 64 << 20}, "cpu": {"shares": 512}}
    document["linux"]["cgroupsPath"] = f"/{roots.name}"
    done = run(roots, stance, document)
    assert "can't fork" in done.stderr
    assert apart.groups(roots.name) == []


def test_huge_pages_and_files_of_version_two_are_what_the_kernel_has(roots: Path) -> None:
    stance = bundles.stance("root")
    require("hugetlb")
    document = stance.config("sh", "-c", "echo ready; read -r line; exit 7")
    pages = [{"pageSize": size, "limit": 0} for size in ("2MB",)]
    document["linux"]["resources"] = {"hugepageLimits": pages, "unified": {"cgroup.max.depth": "3"}}
    # As engines write it for systemd.
    document["linux"]["cgroupsPath"] = f"system.slice:hardening:{roots.name}"
    bundle = bundles.write(roots / "bundle", document)
    with subprocess.Popen(
        bundles.launcher(bundle, stdin=True), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        found = apart.groups(document["linux"]["cgroupsPath"])
        read = {path.name: path.read_text().strip() for group in found for path in group.glob("*.max*")}
        launcher.communicate("\n", timeout=60)
    assert launcher.returncode == 7
    assert read["cgroup.max.depth"] == "3"
    assert {read[name] for name in read if name.startswith("hugetlb.2MB.") and name.endswith("max")} == {"0"}
    assert apart.groups(document["linux"]["cgroupsPath"]) == []


def test_a_limit_that_the_kernel_has_no_file_for_stops_the_launch(roots: Path) -> None:
    stance = bundles.stance("root")
    require("hugetlb")
    document = stance.config("true")
    document["linux"]["cgroupsPath"] = f"/{roots.name}"
    document["linux"]["resources"] = {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}
    done = bundles.launch(bundles.write(roots / "bundle", document))
    assert done.returncode == 125
    said = "config.json:/linux/resources/hugepageLimits: control groups of this host have no hugetlb.3MB."
    assert said in done.stderr
    assert apart.groups(roots.name) == []


def test_groups_that_were_made_below_go_with_their_processes_and_cost_no_exit_code(roots: Path) -> None:
    """As systemd and nested engines make them, and deeper than a path may be long."""
    stance = bundles.stance("root")
    document = stance.config("sh", "-c", "sleep 600 & echo $!; read -r line; exit 7")
    document["linux"]["resources"] = {"pids": {"limit": 64}, "memory": {"limit": 64 << 20}}
    document["linux"]["cgroupsPath"] = f"/{roots.name}"
    bundle = bundles.write(roots / "bundle", document)
    words = bundles.launcher(bundle, stdin=True)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline()
        for group in apart.groups(roots.name):
            members = (group / "cgroup.procs").read_text().split()
            (group / "first/second").mkdir(parents=True)
            here = os.open(group / "first", os.O_RDONLY)
            for _ in range(40):
                os.mkdir("x" * 120, dir_fd=here)
                below = os.open("x" * 120, os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = below
            os.close(here)
            (group / "first/second/cgroup.procs").write_text(members[-1])
            (group / "threads").mkdir()
            if (group / "threads/cgroup.type").exists():
                (group / "threads/cgroup.type").write_text("threaded")
        assert launcher.communicate("\n", timeout=60)[0] == ""
    assert launcher.returncode == 7
    assert apart.groups(roots.name) == []
    assert all(not Path(f"/proc/{member}").exists() for member in members)


@pytest.mark.parametrize("runtime", ["native", "crun", "runc"])
def test_what_cannot_be_taken_away_is_told_and_costs_no_exit_code(runtime: str, roots: Path) -> None:
    stance = bundles.stance("root")
    bundle = bundles.write(roots / "bundle", stance.config("sh", "-c", "exit 7"))
    (bundle / "kept").touch()
    subprocess.run(["chattr", "+i", bundle / "kept"], check=True)
    try:
        words = bundles.launcher(bundle, runtime, remove=True)
        done = subprocess.run(words, check=False, capture_output=True, text=True, cwd="/", timeout=60)
    finally:
        subprocess.run(["chattr", "-i", bundle / "kept"], check=True)
    assert (done.returncode, done.stdout) == (7, "")
    assert re.fullmatch(r"hardening: left behind: .*Operation not permitted.*\n", done.stderr)


def test_closed_standard_descriptors_are_no_trap(folder: Path, stance: Stance) -> None:
    bundle = bundles.write(folder / "bundle", stance.config("sh", "-c", "exit 5"), user=stance.user)
    argv = bundles.launcher(bundle, user=stance.user, stdin=True)
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *argv], check=False, cwd="/")
    assert done.returncode == 5
