"""A program and its libraries inside of a root, as the dynamic linker would find them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.elf.closure import LinkingRoot
from tests.support import elves

LIBRARY = "int given(void) { return 1; }"
PROGRAM = "int given(void);\nint main(void) { return given(); }"


def library(root: Path, place: str) -> None:
    elves.compiled(root, LIBRARY, "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libgiven.so.1", name=place)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a program that names a library, which is nowhere yet, and a search path of its own."""
    library(tmp_path, "build/libgiven.so")
    for flag, name in (("--enable-new-dtags", "new"), ("--disable-new-dtags", "old")):
        flags = (f"-L{tmp_path}/build", "-lgiven", f"-Wl,{flag},-rpath,$ORIGIN/../own", "-nostartfiles", "-nostdlib")
        elves.compiled(tmp_path, PROGRAM, *flags, "-Wl,-e,main", name=f"root/usr/bin/{name}")
    return tmp_path / "root"


def found(root: Path, program: str = "/usr/bin/new", *more: Path) -> tuple[list[str], list[str]]:
    linked = LinkingRoot((str(root), *map(str, more))).linked(program)
    return [binary.path for binary in linked.binaries[1:]], [name for name in linked.missing if "ld-" not in name]


def test_what_is_nowhere_is_told(root: Path) -> None:
    assert found(root) == ([], ["libgiven.so.1"])


@pytest.mark.parametrize("program", ["/usr/bin/new", "/usr/bin/old"])
def test_the_program_s_own_path_is_seen_from_where_it_lies(root: Path, program: str) -> None:
    library(root, "usr/own/libgiven.so.1")
    library(root, "usr/lib/libgiven.so.1")
    assert found(root, program) == (["/usr/own/libgiven.so.1"], [])


def test_the_configuration_of_the_dynamic_linker_and_what_it_includes_are_heeded(root: Path) -> None:
    library(root, "opt/lib/libgiven.so.1")
    (root / "etc/conf.d").mkdir(parents=True)
    (root / "etc/ld.so.conf").write_text("# ours\ninclude /etc/conf.d/*.conf\n")
    (root / "etc/conf.d/ours.conf").write_text("/opt/lib\n")
    assert found(root) == (["/opt/lib/libgiven.so.1"], [])


def test_links_stay_inside_of_the_root(root: Path) -> None:
    library(root.parent, "outside/libgiven.so.1")
    (root / "usr/own").mkdir()
    (root / "usr/own/libgiven.so.1").symlink_to("../../../outside/libgiven.so.1")
    assert found(root) == ([], ["libgiven.so.1"])
    library(root, "outside/libgiven.so.1")
    assert found(root) == (["/outside/libgiven.so.1"], [])


def test_what_is_no_library_of_the_machine_is_passed_over(root: Path) -> None:
    (root / "usr/own").mkdir()
    (root / "usr/own/libgiven.so.1").write_text("/* a script of the linker */")
    library(root, "usr/lib/libgiven.so.1")
    assert found(root) == (["/usr/lib/libgiven.so.1"], [])


def test_a_directory_above_another_one_is_looked_at_first(root: Path) -> None:
    below = root.parent / "below"
    library(below, "usr/lib/libgiven.so.1")
    assert found(root, "/usr/bin/new", below) == (["/usr/lib/libgiven.so.1"], [])


def test_a_file_that_two_roots_share_is_read_once(tmp_path: Path) -> None:
    program = elves.compiled(tmp_path / "old", "int main(void) { return 0; }", name="usr/bin/demo")
    (tmp_path / "new/usr/bin").mkdir(parents=True)
    (tmp_path / "new/usr/bin/demo").hardlink_to(program)
    elves.compiled(tmp_path / "new", "int main(void) { return 1; }", name="usr/bin/other")
    new = LinkingRoot([str(tmp_path / "new")])
    old = LinkingRoot([str(tmp_path / "old")], new)
    assert new.binary("/usr/bin/demo") is old.binary("/usr/bin/demo")
    (tmp_path / "old/usr/bin/other").hardlink_to(program)
    assert new.binary("/usr/bin/other") is not old.binary("/usr/bin/other")
