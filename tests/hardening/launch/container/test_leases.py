"""Leases under flock(2)."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch.config.bundle import LEASES
from hardening.launch.container import leases


def document(value: object) -> dict[str, object]:
    return {"annotations": {LEASES: value}}


def test_the_annotation() -> None:
    assert leases.paths({}, "c") == ()
    assert leases.paths(document(json.dumps(["/a", "/b"])), "c") == ("/a", "/b")


@pytest.mark.parametrize("value", [1, "", "{}", '["relative"]', "[1]", '"/a"'])
def test_a_malformed_annotation(value: object) -> None:
    with pytest.raises(LaunchError, match=r"c:/annotations/org\.hardening\.leases"):
        leases.paths(document(value), "c")


@pytest.mark.parametrize(
    "name",
    ["/home/a/.ssh/id", "/state", "/state-of-others/a", "/state/../etc/a", "/state//a", "/state/records/records.jsonl"]
    + [f"/state/{folder}/a" for folder in ("launches", "cache")],
)  # fmt: skip
def test_what_does_not_lie_among_the_leases_of_a_state_directory_is_none(name: str) -> None:
    with pytest.raises(LaunchError, match=r"^c:/annotations/org\.hardening\.leases: .* is not a lease of the state"):
        leases.require_ours(("/state/selinux/mcs/c1,c2.0", name), "/state", "c")


def test_leases_of_a_state_directory() -> None:
    leases.require_ours(("/state/selinux/mcs/c1,c2.0", "/state/other"), "/state", "c")


def test_a_lease_is_held_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.touch()
    held = leases.hold((str(path),))
    with pytest.raises(LaunchError, match="holds this lease"):
        leases.hold((str(path),))
    leases.release(held)
    held = leases.hold((str(path),))
    leases.remove(held)
    assert not path.exists()
    leases.remove(held)
    leases.release(held)


def test_what_somebody_else_has_reserved_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.touch()
    held = leases.hold((str(path),))
    leases.remove(held)
    path.touch()
    leases.remove(held)
    assert path.exists()
    leases.release(held)


def test_only_what_nobody_holds_is_removed_by_name(tmp_path: Path) -> None:
    names = tuple(str(tmp_path / name) for name in ("free", "held", "gone"))
    for name in names[:2]:
        Path(name).touch()
    held = leases.hold(names[1:2])
    leases.remove_free(names)
    assert [path.name for path in tmp_path.iterdir()] == ["held"]
    leases.release(held)


def test_one_that_fails_releases_those_before(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.touch()
    with pytest.raises(LaunchError, match="cannot be opened"):
        leases.hold((str(first), str(tmp_path / "missing")))
    with first.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_links_and_directories_are_no_leases(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("link", "."):
        with pytest.raises(LaunchError):
            leases.hold((str(tmp_path / name),))


@pytest.mark.parametrize("kind", ["fifo", "device", "written by others", "somebody else's"])
def test_what_is_no_lease_is_not_even_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lease"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/ptmx")
    else:
        path.touch()
        path.chmod(0o666)
    if kind == "somebody else's":
        path = Path("/etc/passwd")
        if os.geteuid() == 0:
            path = tmp_path / "lease"
            path.chmod(0o600)
            os.chown(path, 48000, 48000)
    trace = tmp_path / "trace"
    code = f"from hardening.launch.container import leases; leases.hold(({str(path)!r},))"
    argv = ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", str(trace), sys.executable, "-c", code]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert "LaunchError: " in done.stderr
    opened = [line for line in trace.read_text().splitlines() if f'"{path}"' in line]
    assert opened
    assert all("O_PATH" in line for line in opened)
