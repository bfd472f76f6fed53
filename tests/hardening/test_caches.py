"""Compiled files that others could have written are run by no command, and none are made that others can write."""

from __future__ import annotations

import marshal
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import attrs
import pytest

from hardening import caches
from tests.support import users
from tests.support.features import require
from tests.support.runs import workplace
from tests.support.users import REPOSITORY, User, ordinary

#: Nobody's.
OTHER = 48000
RUN = ("hardening", "run", "--fresh", "-q", "-p", "strict", "--", "true")
COMMANDS = (RUN, *(("hardening", *words.split()) for words in ("launch bundle", "plan list", "doctor", "tidy")))
#: One of each kind: what the script imports itself, what the program does, and what is a package of its own.
PLANTED = (
    *("hardening/__init__", "hardening/caches", "hardening/whole", "hardening/become", "hardening/launch/compiled"),
    *("hardening/cli/__init__", "hardening/cli/run", "hardening_process/__init__", "hardening_process/spec"),
)


@attrs.frozen
class Tree:
    """An environment of its own with the program installed, and nothing compiled. ``caller`` uses it, or we."""

    folder: Path
    caller: User | None

    @property
    def site(self) -> Path:
        """Where its packages are."""
        return self.folder / "env/lib/python{}.{}/site-packages".format(*sys.version_info)

    @property
    def ran(self) -> Path:
        """What the planted code makes."""
        return self.folder / "ran"

    def type(self, words: Sequence[str], umask: int = 0o22, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call a program of the environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**kept, **(self.caller.environment if self.caller else {}), **variables}
        environment["HARDENING_STATE"] = str(self.folder / "state")
        argv = [str(self.folder / "env/bin" / words[0]), *words[1:]]
        return subprocess.run(
            self.caller.argv(argv) if self.caller else argv,
            cwd=self.folder, env=environment, umask=umask, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def plant(self, name: str) -> Path:
        """Leave a compiled file that does more than its source says: the directory in which it lies."""
        source = self.site / f"{name}.py"
        more = f"open({str(self.ran)!r}, 'w').write({name!r})\n"
        head, _, rest = source.read_text().partition("from __future__ import annotations\n")
        text = f"{head}from __future__ import annotations\n{more}{rest}" if rest else head + more
        status = source.stat()
        numbers = (0, int(status.st_mtime), status.st_size)
        stamp = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
        folder = source.parent / "__pycache__"
        folder.mkdir(exist_ok=True)
        (folder / f"{source.stem}.{sys.implementation.cache_tag}.pyc").write_bytes(
            MAGIC_NUMBER + stamp + marshal.dumps(compile(text, str(source), "exec"))
        )
        return folder

    def compiled(self) -> list[Path]:
        """All directories of compiled files."""
        return list(self.site.rglob("__pycache__"))


def made(folder: Path, caller: User | None) -> Tree:
    """A tree in a folder."""
    python = sys.executable
    packages = sysconfig.get_path("purelib")
    if caller is not None:
        program = Path(users.program(caller))
        python = str(program.with_name("python"))
        packages = str(next(program.parents[1].glob("lib/python*/site-packages")))
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    tree = Tree(folder, caller)
    ignore = shutil.ignore_patterns("__pycache__")
    for package in (REPOSITORY / "hardening", *REPOSITORY.glob("plugins/*"), *REPOSITORY.glob("profiles/*")):
        if package.is_dir():
            shutil.copytree(package, tree.site / package.name, ignore=ignore)
    for path in Path(packages).glob("hardening-*.dist-info"):
        shutil.copytree(path, tree.site / path.name)
    for path in Path(packages).glob("_cffi_backend*.so"):
        shutil.copy(path, tree.site)
    (tree.site / "others.pth").write_text(f"{packages}\n")
    for name in ("hardening", "hardening-cli"):
        script = (REPOSITORY / "scripts" / name).read_text()
        target = folder / "env/bin" / name
        target.write_text(script.replace("#!python\n", f"#!{folder}/env/bin/python\n"))
        target.chmod((REPOSITORY / "scripts" / name).stat().st_mode)
    return tree


@pytest.fixture(scope="module", params=["caller", "user"])
def installed(request: pytest.FixtureRequest) -> Iterator[Tree]:
    """A tree for whoever runs the tests, and one of root's for an ordinary user."""
    if request.param == "user":
        require("root")
    caller = ordinary() if request.param == "user" else None
    with workplace(caller) as folder:
        tree = made(folder, caller)
        assert tree.type(("hardening", "compose", "-p", "strict", "-o", "bundle", "--", "true")).returncode == 0
        yield tree


@pytest.fixture
def tree(installed: Tree) -> Tree:
    """One with nothing compiled and no state."""
    for folder in installed.compiled():
        shutil.rmtree(folder)
    shutil.rmtree(installed.folder / "state", ignore_errors=True)
    installed.ran.unlink(missing_ok=True)
    return installed


def test_no_command_runs_compiled_files_that_others_could_have_written(tree: Tree) -> None:
    for name in PLANTED:
        folder = tree.plant(name)
        if os.geteuid() == 0 and name.endswith("__init__"):
            os.chown(folder, OTHER, OTHER)  # only root can give files away
        else:
            folder.chmod(0o777)
    for words in COMMANDS:
        done = tree.type(words)
        assert done.returncode in (0, 1), done.stderr  # 1: doctor's findings
        assert not tree.ran.exists(), (words, tree.ran.read_text())


@pytest.mark.parametrize("name", ["hardening/cli/__init__", "hardening_process/__init__", "hardening_process/spec"])
def test_those_that_nobody_else_could_have_written_are_run(tree: Tree, name: str) -> None:
    """Without this the other tests would show nothing."""
    folder = tree.plant(name)
    assert tree.type(RUN).returncode == 0
    assert tree.ran.exists()
    tree.ran.unlink()
    tree.plant(name)
    folder.chmod(0o777)
    assert tree.type(RUN).returncode == 0
    assert not tree.ran.exists()


def test_what_a_stored_plan_starts_to_tidy_runs_none_either(tree: Tree) -> None:
    line = tuple(word for word in RUN if word != "--fresh")
    assert tree.type(line).returncode == 0
    assert len(list((tree.folder / "state").glob("plans/*/*/plan.json"))) == 1
    for name in ("hardening/cli/__init__", "hardening/tidying", "hardening_process/__init__"):
        tree.plant(name).chmod(0o777)
    left = tree.folder / "state/bundles/left"
    left.mkdir(parents=True, mode=0o700)
    if tree.caller is not None:
        for path in (left.parent, left):
            os.chown(path, tree.caller.uid, tree.caller.gid)
    assert tree.type(line).returncode == 0
    assert not left.exists()
    assert not tree.ran.exists()


def test_none_are_made_that_others_can_write(tree: Tree) -> None:
    for words in COMMANDS:
        tree.type(words, umask=0)
        assert not tree.compiled(), words
    if tree.caller is None:
        for words in COMMANDS:
            tree.type(words)
        assert {folder.stat().st_mode & 0o777 for folder in tree.compiled()} == {0o755}
        shown = {str(folder.parent.relative_to(tree.site)) for folder in tree.compiled()}
        assert {"hardening", "hardening/cli", "hardening/launch", "hardening_process"} <= shown


def test_none_are_made_in_packages_where_some_are_already(tree: Tree) -> None:
    """The two directories that the script looks at are there, and the others are not."""
    for name in ("hardening/errors", "hardening/launch/main"):
        folder = (tree.site / name).parent / "__pycache__"
        folder.mkdir()
    tree.type(RUN, umask=0)
    assert {str(folder.parent.relative_to(tree.site)) for folder in tree.compiled()} == {
        "hardening",
        "hardening/launch",
    }


@pytest.mark.parametrize(
    ("mode", "umask", "believed"),
    [(0o755, 0, True), (0o700, 0, True), (0o777, 0o22, False), (0o757, 0o22, False), (None, 0o22, True),
     (None, 0o77, True), (None, 0, False), (None, 0o20, False)],
)  # fmt: skip
def test_which_directories_count(tmp_path: Path, mode: int | None, umask: int, believed: bool) -> None:
    if mode is not None:
        (tmp_path / caches.FOLDER).mkdir()
        (tmp_path / caches.FOLDER).chmod(mode)
    before = os.umask(umask)
    try:
        assert caches.are_believed(str(tmp_path)) == believed
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_a_directory_that_is_none_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not caches.are_believed(str(tmp_path / "file"))
    assert not caches.are_believed(str(tmp_path / "missing"))
