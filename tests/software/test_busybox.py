"""busybox is a whole root: its programs work, no file of the host is there, and nothing can be changed."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.software.harness import Place, placed, unneeded
from tests.support import runs
from tests.support.users import User

pytestmark = pytest.mark.system

#: Each line prints something that only a working set of programs can.
SCRIPT = """
set -e
seq 1 1000 | awk '{ sum += $1 } END { print sum }'
mkdir -p /tmp/a/b && cd /tmp/a && seq 500 | awk '{ print >("b/part" int(($1 - 1) / 100)) }'
cat b/part* | sha256sum | cut -d' ' -f1
tar -cf - b | gzip | gunzip | tar -tf - | grep -c part
find . -name 'part*' | sort -r | head -n 1 | xargs basename
echo 'hello' | sed 's/l*o$/p/' | tr a-z A-Z | rev
ln -s b/part0 link && readlink link && test -h link
(sleep 0.01; echo child >/tmp/child) & wait && cat /tmp/child
od -An -tx1 -N2 /dev/zero | tr -d ' '
"""
#: Commands that must not succeed, and what they say. Each would do no harm.
DENIED = {
    "touch /bin/new": "Read-only file system",
    "touch /new": "Read-only file system",
    "mount -t tmpfs none /tmp": "permission denied (are you root?)",
    "umount /tmp": "Operation not permitted",
    "chroot /tmp /bin/busybox": "Operation not permitted",
    "unshare -U true": "Operation not permitted",
    "ping -c1 127.0.0.1": "permission denied (are you root?)",
    "wget -O- http://127.0.0.1/": "Operation not permitted",
    "hostname other": "Operation not permitted",
    "mknod /tmp/disk b 254 0": "Operation not permitted",
    "chown 1:1 /tmp": "Operation not permitted",
    "cp /bin/busybox /tmp/sh && /tmp/sh": "Permission denied",
}


@contextmanager
def root(user: User | None, *, direct: bool = True) -> Iterator[Place]:
    with placed("busybox", user, direct=direct) as place:
        folder = place.folder / "root/bin"
        folder.mkdir(parents=True)
        shutil.copy("/bin/busybox", folder)
        listed = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        for name in {*listed} - {"busybox"}:
            (folder / name).symlink_to("busybox")
        runs.hand_over(place.folder / "root", user)
        yield place


def works(place: Place) -> None:
    numbers = "".join(f"{number}\n" for number in range(1, 501)).encode()
    done = place.run("sh", "-c", SCRIPT)
    assert done.stdout.split("\n") == [
        "500500", hashlib.sha256(numbers).hexdigest(), "5", "part4", "PEH", "b/part0", "child", "0000", "",
    ], done.stderr  # fmt: skip
    assert place.run("find", "/", "-xdev", "-type", "f").stdout == "/bin/busybox\n"


def test_its_programs_work(user: User | None) -> None:
    with root(user, direct=False) as place:
        works(place)


def test_no_file_of_the_host_is_there(user: User | None) -> None:
    """Of what a disk holds, only the root's own folder is mounted, in a skeleton of empty directories."""
    with root(user) as place:
        assert place.run("true").returncode == 0
        lines = json.loads((place.folder / "receipt.json").read_text())["mountinfo"].splitlines()
    memory = {"tmpfs", "proc", "devpts", "mqueue", "devtmpfs"}
    mounts = {line.split()[4]: line.split()[3] for line in lines if line.split(" - ")[1].split()[0] not in memory}
    assert mounts.pop("/").endswith("/rootfs")
    mounts.pop("/dev/.landlock", None)  # the program that confines the command
    # Paths of mountinfo begin at the root of their file system, which need not be the host's.
    assert {target: source for target, source in mounts.items() if not source.endswith(f"/root{target}")} == {}
    assert "/bin" in mounts


def test_nothing_of_it_can_be_changed(user: User | None) -> None:
    script = "".join(f"({command}) 2>&1; echo ==\n" for command in DENIED)
    with root(user) as place:
        said = place.run("sh", "-c", script).stdout.split("==\n")[:-1]
    assert [text for text, reason in zip(said, DENIED.values(), strict=True) if not text.endswith(f"{reason}\n")] == []


def test_nothing_on_the_page_can_be_left_out() -> None:
    with root(None) as place:
        assert unneeded(place, works) == []
