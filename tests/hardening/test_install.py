"""`pyproject.toml`: `pip install .` into a clean environment gives program, mechanisms, runtimes and profiles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import apart

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.iterdir()
    return path


def test_the_wheel_holds_what_the_tree_holds(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for root, pattern in (("hardening", "**/*"), ("plugins", "*/**/*"), ("profiles", "*/**/*")):
        base = ROOT if root == "hardening" else ROOT / root
        for path in (ROOT / root).glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(base)) in names, path
    assert "hardening/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("/data/share/man/man1/hardening.1") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "tools/", "docs/"))]


@pytest.fixture(scope="module")
def program(wheel: Path) -> Iterator[Path]:
    """The program in an environment of its own, outside the tree."""
    folder = apart.directory("hardening-install-", "/var/tmp")
    folder.chmod(0o755)
    python = folder / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    command = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *command], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    depend(site)
    add_backend(site)
    time.sleep(0.1)  # code that is younger than the process that loads it is not vouched for
    yield folder / "bin/hardening"
    shutil.rmtree(folder)


def depend(site: Path) -> None:
    """Have what the program depends on where its packages are: links to that of the tests, but for what a stored plan needs,
    since a plan is run by what lies in the program's own environment alone."""
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        ours = path.name.startswith(("hardening", "_hardening", "_cffi_backend")) or path.suffix == ".pth"
        if not ours and not (site / path.name).exists():
            (site / path.name).symlink_to(path)


def add_backend(site: Path) -> None:
    """Have what a stored plan needs there."""
    for path in Path(sysconfig.get_path("platlib")).glob("_cffi_backend*.so"):
        shutil.copy(path, site)


def run(program: Path, *arguments: str, **variables: str) -> str:
    env = {
        **variables,
        "PATH": os.environ["PATH"],
        "HOME": str(program.parents[1]),
        **{name: os.environ[name] for name in ("XDG_RUNTIME_DIR",) if name in os.environ},
    }
    done = subprocess.run([program, *arguments], cwd="/", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_program_finds_its_own_profiles(program: Path) -> None:
    text = run(program, "profile", "list", "--json")
    for name in ("base", "strict", "default", "web", "batch", "build", "debug", "agent"):
        assert f"hardening_profiles/{name}.toml" in text
    assert str(program.parents[1]) in text
    assert str(ROOT) not in text


def test_what_the_installed_program_has_composed_it_runs_again(program: Path) -> None:
    state = program.parents[1] / "state"
    line = ("run", "-q", "-p", "strict", "--", "id", "-u")
    first = run(program, *line, HARDENING_STATE=str(state))
    plans = {path: path.stat().st_ino for path in state.glob("cache/*/*/entry.json")}
    assert len(plans) == 1
    assert run(program, *line, HARDENING_STATE=str(state)) == first
    assert {path: path.stat().st_ino for path in state.glob("cache/*/*/entry.json")} == plans


@pytest.fixture(scope="module")
def beside(wheel: Path) -> Iterator[tuple[Path, Path]]:
    """The program in an environment that sees the packages of its interpreter, an installation of its own, and the folder
    where that one has what a stored plan needs, as a distribution's package would put it."""
    folder = apart.directory("hardening-install-", "/var/tmp")
    folder.chmod(0o755)
    standard = Path(sysconfig.get_path("stdlib"))
    library = folder / "base/lib" / standard.name
    library.mkdir(parents=True)
    (folder / "base/bin").mkdir()
    interpreter = folder / "base/bin" / standard.name
    shutil.copy(os.path.realpath(sys.executable), interpreter)
    for path in standard.iterdir():
        if not path.name.endswith("-packages"):
            (library / path.name).symlink_to(path)
    code = "import site; print(site.getsitepackages()[-1])"
    packages = Path(
        subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )
    assert packages.is_relative_to(folder)
    packages.mkdir(parents=True, exist_ok=True)
    add_backend(packages)
    options = ["--without-pip", "--system-site-packages", str(folder / "env")]
    subprocess.run([interpreter, "-m", "venv", *options], check=True)
    python = folder / "env/bin/python"
    command = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *command], check=True)
    depend(next((folder / "env").glob("lib/python*/site-packages")))
    time.sleep(0.1)  # as above
    yield folder / "env/bin/hardening", packages
    shutil.rmtree(folder)


@pytest.mark.parametrize(("mode", "again"), [(0o755, True), (0o777, False)])
def test_a_plan_is_run_with_a_package_of_the_system_where_nobody_else_can_write_to_it(
    beside: tuple[Path, Path], mode: int, again: bool
) -> None:
    program, packages = beside
    packages.chmod(mode)
    state = program.parents[2] / f"state-{mode:o}"
    line = ("run", "-q", "-p", "strict", "--", "id", "-u")
    first = run(program, *line, HARDENING_STATE=str(state))
    before = set(state.glob("cache/*/*/entry.json"))
    assert run(program, *line, HARDENING_STATE=str(state)) == first
    after = set(state.glob("cache/*/*/entry.json"))
    assert (after == before) == again
    assert len(after) == 1


def test_the_installed_program_runs_a_command(program: Path) -> None:
    assert run(program, "run", "-q", "-p", "strict", "--", "id", "-u") == f"{os.geteuid()}\n"
