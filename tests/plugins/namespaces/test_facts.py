"""What is read of this host: the answers are held against other programs'."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import attrs
import pytest

from hardening.mechanism.host import plain
from hardening_namespaces import facts
from hardening_namespaces.settings import TYPES
from tests.support.users import ordinary


def test_the_namespaces_of_this_kernel() -> None:
    found = facts.probe(plain())
    listed = subprocess.run(["lsns", "--noheadings", "--output=TYPE", f"--task={os.getpid()}"],
                            check=True, capture_output=True, text=True).stdout.split()  # fmt: skip
    assert {facts.PROC_NAMES[name] for name in found.supported} == set(listed)


def test_the_ranges_of_an_ordinary_user() -> None:
    user = ordinary()
    found = facts.probe(attrs.evolve(plain(), uid=user.uid, gid=user.gid))
    for ranges, file in ((found.subuids, "/etc/subuid"), (found.subgids, "/etc/subgid")):
        lines = [line.split(":") for line in Path(file).read_text().splitlines()]
        assert list(ranges) == [(int(start), int(size)) for name, start, size in lines if name == user.name]
    assert found.newuidmap


def test_own_ids_are_those_of_proc() -> None:
    found = facts.probe(plain())
    size = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
    assert sum(count for _, count in found.own_uids) == size


def test_a_range_is_the_users_by_name_or_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("me:100:5\n1000:200:6\nother:300:7\nme:x:5\nme:400\n# me:500:5\n\n")
    assert facts._ranges(file, frozenset({"me", "1000"})) == ((100, 5), (200, 6))
    assert facts._ranges(tmp_path / "missing", frozenset({"me"})) == ()
    file.write_bytes(b"me:1:2\n\xff:3:4\n")
    assert facts._ranges(file, frozenset({"me"})) == ((1, 2),)


@pytest.mark.parametrize("name", TYPES)
def test_a_namespace_is_known_by_its_type(name: str) -> None:
    path = f"/proc/self/ns/{facts.PROC_NAMES[name]}"
    assert facts.wrong_namespace(name, path) == ""
    assert facts.link_of(name, path) == os.readlink(path)
    other = "pid" if name == "net" else "net"
    assert facts.wrong_namespace(other, path) == f"{path} is a {name} namespace, not a {other} one"


def test_a_file_is_no_namespace(tmp_path: Path) -> None:
    assert facts.wrong_namespace("net", "/etc/passwd") == "/etc/passwd is not a namespace"
    assert "No such file" in facts.wrong_namespace("net", str(tmp_path / "missing"))
    os.mkfifo(tmp_path / "fifo")
    assert facts.wrong_namespace("net", str(tmp_path / "fifo")).endswith("is not a namespace")
    assert facts.link_of("net", str(tmp_path / "missing")) is None
