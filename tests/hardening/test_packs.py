"""Packs are made where compiled files are, by whoever may, and nowhere else."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.launch import compiled

PACKAGE = Path(compiled.__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the package, with a directory for compiled files."""
    shutil.copytree(PACKAGE, tmp_path / "hardening", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "hardening/launch/__pycache__").mkdir()
    return tmp_path


def make(place: Path, *options: str, before: str = "") -> set[str]:
    """Make the packs of the copy, and something else ``before``: the tables that have one then."""
    path = f"sys.path[:0] = [{str(place)!r}]; sys.path += {sys.path!r}"
    code = f"{before}import sys; {path}; from hardening.packs import make; make()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, *options, "-c", code], check=True, env=environment, cwd="/")
    return {path.name.split(".")[0] for path in (place / "hardening/launch/__pycache__").glob("*.pack")}


def test_each_table_gets_one_and_an_old_one_is_replaced(place: Path) -> None:
    assert make(place) == set(compiled.TABLES)
    packs = {path: path.read_bytes() for path in (place / "hardening/launch/__pycache__").glob("*.pack")}
    assert make(place) == set(compiled.TABLES)
    assert {path: path.read_bytes() for path in packs} == packs
    assert {path.stat().st_mode & 0o777 for path in packs} == {0o644}
    os.utime(place / "hardening/launch/kernel.py", (1, 1))
    make(place)
    assert {path.name.split(".")[0] for path, data in packs.items() if path.read_bytes() != data} == {"stage"}


def test_nothing_is_written_through_a_hard_link_in_the_place_of_one_that_is_written(place: Path) -> None:
    make(place)
    (place / "victim").write_text("mine")
    for path in (place / "hardening/launch/__pycache__").glob("*.pack"):
        path.with_name(f"{path.name}.part").hardlink_to(place / "victim")
        path.unlink()
    make(place)
    assert (place / "victim").read_text() == "mine"


def test_a_damaged_one_is_replaced_and_whatever_a_killed_writer_has_left(place: Path) -> None:
    make(place)
    folder = place / "hardening/launch/__pycache__"
    packs = {path: path.read_bytes() for path in folder.glob("*.pack")}
    before = set(folder.iterdir())
    for path, data in packs.items():
        path.write_bytes(data[: len(data) // 2].ljust(len(data), b"\0"))
    for path in sorted(packs)[:2]:
        path.with_name(f"{path.name}.part").write_bytes(bytes(1 << 20))
    make(place)
    assert {path: path.read_bytes() for path in packs} == packs
    assert set(folder.iterdir()) == before


def test_a_writer_that_is_killed_leaves_one_file_until_the_next_and_never_two(place: Path) -> None:
    folder = place / "hardening/launch/__pycache__"
    killed = "import os, signal; os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); "
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            make(place, before=killed)
        assert [path.name.split(".")[0] for path in folder.glob("*.pack*")] == ["base"]
    assert make(place) == set(compiled.TABLES)
    assert not list(folder.glob("*.part"))


def test_what_another_is_writing_is_left_to_them(place: Path) -> None:
    make(place)
    folder = place / "hardening/launch/__pycache__"
    (base,) = folder.glob("base.*.pack")
    data = base.read_bytes()
    base.unlink()
    with base.with_name(f"{base.name}.part").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "base" not in make(place)
        assert list(folder.glob("*.part"))
    make(place)
    assert base.read_bytes() == data


@pytest.mark.parametrize("options", [("-B",), ("-X", "pycache_prefix=/dev/null")])
def test_none_is_made_where_no_code_is_to_be_kept(place: Path, options: tuple[str, ...]) -> None:
    assert make(place, *options) == set()


@pytest.mark.parametrize("spoilt", ["open", "group", "foreign", "gone", "source"])
def test_none_is_made_where_it_would_not_count(place: Path, spoilt: str) -> None:
    folder = place / "hardening/launch/__pycache__"
    if spoilt == "open":
        folder.chmod(0o777)
    elif spoilt == "group":
        if os.geteuid() != 0:
            return  # only root has no group that may
        folder.chmod(0o775)
    elif spoilt == "foreign":
        if os.geteuid() != 0:
            return  # only root can give files away
        os.chown(folder, 48000, 48000)
    elif spoilt == "gone":
        shutil.rmtree(folder)
        folder.symlink_to("nowhere")
    else:
        (place / "hardening/launch/held.py").write_text("def half(")
    # A table is made or not: the ones before a source that is just being written are.
    assert make(place) == ({"base"} if spoilt == "source" else set())
