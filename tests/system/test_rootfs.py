"""The guarantees of `[rootfs]`, as the kernel reports and enforces them.

Every test has a counterpart in which the setting is loosened, and the kernel is seen to permit what it refused.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble import bundle, pipeline
from hardening.assemble.spec import to_json
from hardening.mechanism.fragment import Spec
from hardening.mechanism.mechanism import Verification
from hardening_rootfs.mounted import MountedTree, read
from tests.support.features import require
from tests.support.reports import verdict
from tests.support.runs import (
    RUNTIMES,
    SHELL,
    Running,
    busybox_root,
    composed,
    host_of,
    installed,
    running,
    running_bundle,
    workplace,
)
from tests.support.users import User, ordinary

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces", "rootfs")


#: runc knows time namespaces from 1.2 on; they have no part in these tests.
COMMON = '[namespaces]\ntime = "host"'


def by(runtime: str) -> Mapping[str, Any]:
    """How to run under a runtime."""
    return {"runtime": runtime, "mechanisms": MECHANISMS}


def mounts(found: Running) -> dict[str, MountedTree]:
    """The mounts of a command by place, as the host reads them."""
    return {item.place: item for item in read(found.read("mountinfo").splitlines())}


def refused(found: Running, line: str) -> bool:
    return found.attempt(line)[0] != 0


def checks(found: Running, *profiles: str) -> list[Verification]:
    """The mechanism's own verdict on what the kernel reports."""
    return verdict(found, "rootfs", MECHANISMS, *profiles)


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory of the host with a file in it, in which every id may make files, and replaces none of others."""
    with workplace() as folder:
        place = folder / "data"
        place.mkdir()
        place.chmod(0o1777)
        (place / "file").write_text("from the host\n")
        program = place / "program"
        program.write_text("#!/bin/sh\necho ran\n")
        program.chmod(0o755)
        yield place


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_hosts_root_is_read_only_with_all_below(runtime: str) -> None:
    with running(COMMON, "[rootfs]", **by(runtime)) as found:
        for place in ("/", "/etc", "/usr", "/var", "/dev"):
            assert refused(found, f"touch {place}/hardening-test")
        known = {"/run", "/tmp", "/var/tmp", "/proc", "/dev/shm", "/dev/mqueue", "/dev/pts"}
        writable = {
            place for place, item in mounts(found).items()
            if item.writable and not item.top.endswith(("/null", "/zero", "/full", "/random", "/urandom", "/tty"))
        }  # fmt: skip
        assert writable <= known
        assert all(check.holds for check in checks(found, "[rootfs]"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_secrets_of_the_host_are_hidden(runtime: str) -> None:
    with running(COMMON, "[rootfs]", **by(runtime)) as found:
        assert found.ask("cat /etc/shadow") == ""
        assert found.ask("ls -A /root") == ""
        assert found.ask("ls -A /home") == ""
        assert found.ask("ls -A /var/log") == ""
        assert found.ask("cat /etc/hostname /etc/passwd")


def test_what_is_no_longer_hidden_is_seen() -> None:
    require("root")
    profile = '[rootfs]\nhidden_paths.drop = ["/etc/shadow", "/var/log"]'
    with running(COMMON + '\nuser = "host"', profile, **by("native")) as found:
        assert found.ask("cat /etc/shadow") == Path("/etc/shadow").read_text().rstrip("\n")
        assert set(found.ask("ls -A /var/log").split()) == set(os.listdir("/var/log"))
        strict = {check.leaf: check.holds for check in checks(found, "[rootfs]")}
        assert not strict["rootfs.hidden_paths.*"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_file_systems_mounted_below_are_read_only_too(runtime: str, data: Path) -> None:
    """A read-only bind mount of a tree leaves the mounts in it writable: they must be made read-only, too."""
    require("root")
    inner = data / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(inner)], check=True)
    try:
        profile = f'[rootfs]\nvolumes = ["{data}:/data:ro"]'
        with running(COMMON, profile, **by(runtime)) as found:
            assert refused(found, "touch /data/inner/new")
            assert {"ro", "nosuid", "nodev"} <= mounts(found)["/data/inner"].options
        with running(COMMON, f'[rootfs]\nvolumes = ["{data}:/data"]', **by(runtime)) as found:
            found.ask("touch /data/inner/new")
    finally:
        subprocess.run(["umount", str(inner)], check=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tmpfs_is_bounded_and_runs_nothing(runtime: str) -> None:
    profile = '[rootfs]\ntmpfs."/tmp" = "1M"'
    with running(COMMON, profile, **by(runtime)) as found:
        item = mounts(found)["/tmp"]
        assert {"nosuid", "nodev", "noexec"} <= item.options
        assert item.data["size"] == "1024k"
        assert refused(found, "dd if=/dev/zero of=/tmp/big bs=64k count=32")
        found.ask("rm /tmp/big; cp /bin/true /tmp/true; chmod +x /tmp/true")
        assert refused(found, "/tmp/true")
        assert all(check.holds for check in checks(found, profile))


def test_a_loosened_tmpfs_takes_more_and_runs_programs() -> None:
    profile = '[rootfs]\ntmpfs."/tmp" = "size=4M,exec"'
    with running(COMMON, profile, **by("native")) as found:
        found.ask("dd if=/dev/zero of=/tmp/big bs=64k count=32")
        found.ask("cp /bin/true /tmp/true; chmod +x /tmp/true; /tmp/true")
        strict = {check.leaf: check.holds for check in checks(found, '[rootfs]\ntmpfs."/tmp" = "1M"')}
        assert not strict["rootfs.tmpfs./tmp"]
        assert strict["rootfs.tmpfs./run"]


def test_empty_files_are_bounded_too() -> None:
    profile = '[rootfs]\ntmpfs."/tmp" = "1M"'
    with running(COMMON, profile, **by("native")) as found:
        assert refused(found, "(i=0; while [ $i -lt 1100 ]; do : > /tmp/$i || exit 1; i=$((i+1)); done)")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_tmpfs_nothing_is_writable(runtime: str) -> None:
    with running(COMMON, '[rootfs]\ntmpfs = "none"\nshm_size = 0', **by(runtime)) as found:
        for place in ("/run", "/tmp", "/var/tmp", "/dev/shm"):
            assert place not in mounts(found)
            assert refused(found, f"touch {place}/new")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_volumes_have_the_rights_that_they_were_given(runtime: str, data: Path) -> None:
    profile = f"""
        [rootfs]
        volumes = [
            "{data}:/data",
            "{data}:/ro:ro",
            "{data}:/quiet:noexec",
            "{data}/file:/opt/one/file:ro",
        ]
    """
    with running(COMMON, profile, **by(runtime)) as found:
        assert found.ask("cat /data/file /opt/one/file") == "from the host\nfrom the host"
        found.ask("touch /data/made; /data/program; sh /quiet/program")
        assert (data / "made").exists()
        assert refused(found, "touch /ro/new")
        assert refused(found, "/quiet/program")
        assert refused(found, "echo >> /opt/one/file")
        seen = mounts(found)
        assert all({"nosuid", "nodev"} <= seen[place].options for place in ("/data", "/ro", "/quiet"))
        assert "noexec" in seen["/quiet"].options
        assert all(check.holds for check in checks(found, profile))
        stricter = {check.leaf: check.holds for check in checks(found, profile.replace('/data"', '/data:ro"'))}
        assert not stricter["rootfs.volumes./data"]


def test_a_volume_with_suid_and_dev_has_them(data: Path) -> None:
    with running(COMMON, f'[rootfs]\nvolumes = ["{data}:/data:suid,dev"]', **by("native")) as found:
        assert not {"nosuid", "nodev"} & mounts(found)["/data"].options


@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_an_id_mapped_volume_has_the_owners_of_the_container(runtime: str, data: Path) -> None:
    require("root")
    require("idmapped")
    profile = f'[rootfs]\nvolumes = ["{data}:/mapped:idmap", "{data}:/plain"]'
    with running(COMMON, profile, **by(runtime)) as found:
        assert found.ask("stat -c %u /mapped/file") == "0"
        assert found.ask("stat -c %u /plain/file") == "65534"
        found.ask("touch /mapped/new")
        assert (data / "new").stat().st_uid == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_proc_shows_processes_only_and_hides_those_of_others(runtime: str) -> None:
    with running(COMMON, "[rootfs]", **by(runtime)) as found:
        data = mounts(found)["/proc"].data
        assert (data["hidepid"], data["subset"]) == ("invisible", "pid")
        assert not set(found.ask("ls /proc").split()) & {"cpuinfo", "kcore", "keys", "sys", "meminfo"}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_whole_of_proc_is_masked_and_read_only_where_it_must_be(runtime: str) -> None:
    profile = '[rootfs]\nproc.subset = ""\nproc.hidepid = "off"\nsys = "read-only"'
    with running(COMMON, profile, **by(runtime)) as found:
        seen = mounts(found)
        assert "hidepid" not in seen["/proc"].data
        assert found.ask("cat /proc/keys /proc/timer_list /proc/interrupts") == ""
        assert "ro" in seen["/proc/sys"].options
        assert refused(found, "echo 1 > /proc/sys/kernel/domainname")
        assert refused(found, "echo b > /proc/sysrq-trigger")
        assert "ro" in seen["/sys"].options
        assert "ro" in seen["/sys/fs/cgroup"].options
        assert refused(found, "mkdir /sys/fs/cgroup/new")
        assert found.ask("ls -A /sys/firmware") == ""
        assert all(check.holds for check in checks(found, profile))


def test_unmasked_paths_are_seen() -> None:
    profile = """
        [rootfs]
        proc.subset = ""
        masked_paths.drop = ["/proc/interrupts"]
        read_only_paths.drop = ["/proc/sys"]
    """
    with running(COMMON, profile, **by("native")) as found:
        assert found.ask("cat /proc/interrupts")
        assert "/proc/sys" not in mounts(found)
        strict = {check.leaf: check.holds for check in checks(found, '[rootfs]\nproc.subset = ""')}
        assert not strict["rootfs.masked_paths.*"]
        assert not strict["rootfs.read_only_paths.*"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_dev_holds_a_few_devices_and_is_read_only(runtime: str) -> None:
    with running(COMMON, "[rootfs]", **by(runtime)) as found:
        names = set(found.ask("ls /dev").split())
        devices = {"null", "zero", "full", "random", "urandom", "tty"}
        links = {"fd", "stdin", "stdout", "stderr", "ptmx", "core"}
        assert devices <= names <= devices | links | {"pts", "shm", "mqueue", "console"}
        found.ask("head -c 1 /dev/urandom > /dev/null; ! echo > /dev/full")


def test_a_device_can_be_added() -> None:
    device = "/dev/loop-control"
    if not os.path.exists(device):
        device = "/dev/kmsg"
    with running(COMMON, "[rootfs]", **by("native")) as found:
        assert refused(found, f"test -e {device}")
    with running(COMMON, f'[rootfs]\ndevices = ["{device}"]', **by("native")) as found:
        found.ask(f"test -c {device}")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_root_of_ones_own(runtime: str) -> None:
    with workplace() as folder:
        root = busybox_root(folder / "image")
        before = sorted(str(path) for path in root.rglob("*"))
        profile = f'[rootfs]\npath = "{root}"'
        with running(COMMON, profile, **by(runtime)) as found:
            assert refused(found, "touch /new")
            assert {"ro", "nosuid", "nodev"} <= mounts(found)["/bin"].options
        assert sorted(str(path) for path in root.rglob("*")) == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_device_nodes_in_a_root_of_ones_own_do_not_work(runtime: str) -> None:
    require("root")
    with workplace() as folder:
        root = busybox_root(folder / "image")
        os.mknod(root / "etc/zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        os.chmod(root / "etc/zero", 0o666)
        with running(COMMON, f'[rootfs]\npath = "{root}"', **by(runtime)) as found:
            assert refused(found, "head -c 1 /etc/zero > /tmp/read")
            found.ask("head -c 1 /dev/zero > /tmp/read")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_hosts_root_by_another_name_shows_no_more_than_the_hosts_root(runtime: str) -> None:
    with running(COMMON, '[rootfs]\npath = "/proc/self/root"', **by(runtime)) as found:
        assert found.ask("ls /root /home").split() == ["/home:", "/root:"]
        assert refused(found, "test -s /etc/shadow")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_is_made_in_a_root_that_lacks_mount_points(runtime: str, data: Path) -> None:
    with workplace() as folder:
        root = busybox_root(folder / "image")
        for name in ("dev", "proc", "sys", "run", "tmp", "var/tmp"):
            (root / name).rmdir()
        before = sorted(str(path) for path in root.rglob("*"))
        profile = f'[rootfs]\npath = "{root}"\nvolumes = ["{data}:/srv/deep/down", "{data}/file:/etc/added"]'
        with running(COMMON, profile, **by(runtime)) as found:
            assert found.ask("cat /srv/deep/down/file /etc/added /etc/passwd").startswith(
                "from the host\nfrom the host"
            )
            assert refused(found, "touch /etc/new")
            found.ask("touch /tmp/new; touch /var/tmp/new")
        assert sorted(str(path) for path in root.rglob("*")) == before


def test_a_writable_root_is_writable() -> None:
    with workplace() as folder:
        root = busybox_root(folder / "image")
        root.chmod(0o777)
        profile = f'[rootfs]\npath = "{root}"\nread_only = false'
        with running(COMMON, profile, **by("native")) as found:
            found.ask("touch /new")
            strict = {check.leaf: check.holds for check in checks(found, f'[rootfs]\npath = "{root}"')}
            assert not strict["rootfs.read_only"]
        assert (root / "new").exists()


def test_run_is_not_the_hosts() -> None:
    """Sockets in the host's /run would give control of it."""
    with running(COMMON, "[rootfs]", **by("native")) as found:
        assert found.ask("ls -A /run") == ""


@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_rootless(runtime: str, data: Path) -> None:
    user: User = ordinary()
    profile = f'[rootfs]\nvolumes = ["{data}:/data"]'
    with running(COMMON, profile, **by(runtime), user=user) as found:
        assert refused(found, "touch /usr/new")
        assert found.ask("ls -A /root /home | grep -v :; true").strip() == ""
        found.ask("touch /data/by-user /tmp/new")
        assert (data / "by-user").stat().st_uid == user.uid
        assert refused(found, "cp /bin/true /tmp/true && /tmp/true")


@pytest.mark.parametrize("runtime", ["native", "crun"])
def test_rootless_in_the_hosts_network_sees_sys_read_only(runtime: str) -> None:
    profile = '[namespaces]\nnet = "host"\n[rootfs]\nsys = "read-only"'
    with running(COMMON, profile, **by(runtime), user=ordinary()) as found:
        trees = {place: item for place, item in mounts(found).items() if place.startswith("/sys")}
        assert trees
        assert not [place for place, item in trees.items() if item.writable]


def test_mounts_of_the_command_stay_its_own() -> None:
    with running(COMMON, "[rootfs]", **by("native")) as found:
        shared = [place for place, item in mounts(found).items() if any("shared:" in field for field in item.fields)]
        assert shared == []


@pytest.mark.parametrize("propagation", ["private", "slave"])
def test_mounts_of_the_host_are_seen_only_where_that_was_said(propagation: str, data: Path) -> None:
    require("root")
    root = busybox_root(data / "image")
    (root / "data/inner").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(root), str(root)], check=True)
    try:
        subprocess.run(["mount", "--make-shared", str(root)], check=True)
        profile = f'[rootfs]\npath = "{root}"\npropagation = "{propagation}"'
        with running(COMMON, profile, **by("native")) as found:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(root / "data/inner")], check=True)
            assert ("/data/inner" in mounts(found)) is (propagation == "slave")
            assert not [item for item in mounts(found).values() if any("shared:" in field for field in item.fields)]
    finally:
        subprocess.run(["umount", "-R", str(root)], check=True)


def foreign(program: str, folder: Path, *extra: dict[str, Any]) -> dict[str, Any]:
    """What a runtime writes as its own example, with mounts that nobody should be given."""
    subprocess.run([program, "spec"], cwd=folder, check=True)
    document: dict[str, Any] = json.loads((folder / "config.json").read_text())
    document["root"] = {"path": str(busybox_root(folder / "image"))}
    document["process"] |= {"args": list(SHELL), "terminal": False}
    document["mounts"] += extra
    # The host's cgroup layout is not what this is about.
    document["mounts"] = [entry for entry in document["mounts"] if entry["type"] != "cgroup"]
    return document


@contextmanager
def applied(program: str, *, profile: str | None, extra: Sequence[dict[str, Any]] = ()) -> Iterator[Running]:
    """Run a foreign configuration, tightened to a profile or as it is."""
    with workplace() as folder:
        document = foreign(program, folder, *extra)
        plugins = installed(("rootfs",))
        host = host_of(None, installed(MECHANISMS))
        if profile is not None:
            plan = pipeline.tighten(plugins, composed([profile], plugins, host, folder), host, document)
            document = plan.spec.document
        bundle.write(Spec(to_json(document), {}, {}), folder / "bundle")
        with running_bundle(folder, document, runtime=program) as found:
            yield found


@pytest.mark.parametrize("program", ["crun", "runc"])
def test_a_foreign_configuration_is_tightened_and_runs(program: str, data: Path) -> None:
    require("root")
    extra = [
        {"destination": "/data", "type": "bind", "source": str(data), "options": ["rbind", "rw", "suid"]},
        {"destination": "/opt", "type": "bind", "source": "/etc", "options": ["rbind"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["exec", "size=1g"]},
    ]
    with applied(program, profile=None, extra=extra) as found:
        found.ask("touch /new; touch /data/new; cat /opt/shadow > /dev/null; cp /data/program /tmp/x; /tmp/x")
    named = f'[rootfs]\nvolumes = ["{data}:/data:ro"]'
    with applied(program, profile=named, extra=extra) as found:
        for line in ("touch /new", "touch /data/new2", "test -e /opt/shadow", "touch /dev/new"):
            assert refused(found, line)
        found.ask("cat /data/file; touch /run/x; cp /data/program /tmp/x; sh /tmp/x")
        assert refused(found, "/tmp/x")
        seen = mounts(found)
        assert (seen["/proc"].data["subset"], seen["/tmp"].data["size"]) == ("pid", "65536k")
        assert {"ro", "nosuid", "nodev"} <= seen["/data"].options
        assert "/opt" not in seen
        profile = f'{named}\npath = "{data}"'
        # Neither the root nor what is below it is the stack's own.
        assert {check.leaf for check in checks(found, profile) if not check.holds} == {"rootfs.path"}
    # A bind that the profile does not name goes.
    with applied(program, profile="[rootfs]", extra=extra) as found:
        assert not {"/data", "/opt"} & set(mounts(found))
        assert refused(found, "test -e /data/file")
