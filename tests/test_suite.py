"""The suite itself: what it looks at, and how it ends."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.features import require
from tests.support.forking import ForkServer
from tests.support.patience import until
from tests.support.users import REPOSITORY


def test_mounts_of_others_do_not_appear_and_ours_appear_to_nobody() -> None:
    require("root")
    assert os.readlink("/proc/self/ns/mnt") != os.readlink(f"/proc/{os.getppid()}/ns/mnt")
    mounts = [line.partition(" - ")[0].split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert [words for words in mounts if words[6:]] == []  # neither shared nor anybody's slave


def test_a_test_that_hangs_is_ended_and_shows_where(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert 0 < float(pytestconfig.getini("timeout")) <= 300
    test = tmp_path / "test_hangs.py"
    test.write_text(
        "import threading, time\n"
        "def somewhere_else():\n    time.sleep(30)\n"
        "def test_hangs():\n    threading.Thread(target=somewhere_else, daemon=True).start()\n    time.sleep(60)\n"
        "def test_after_it():\n    pass\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(tmp_path)]
    argv += ["-p", "no:cacheprovider", "--timeout", "1", str(test)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Timeout" in done.stdout
    assert "in somewhere_else" in done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout


MATRIX = """
import pytest
@pytest.mark.sampled
@pytest.mark.parametrize("one", range(9))
@pytest.mark.parametrize("other", "abc")
def test_matrix(one, other): pass
@pytest.mark.sampled(kinds=lambda row: [row["one"] % 5])
@pytest.mark.parametrize("one", range(50))
def test_kinds(one): pass
@pytest.mark.system
@pytest.mark.parametrize("one", range(20))
@pytest.mark.parametrize("runtime", "abc")
def test_system(one, runtime): pass
@pytest.mark.complete
def test_whole(): pass
@pytest.mark.every_row
@pytest.mark.parametrize("one", "ab")
def test_every(one): pass
"""
#: Collects for each of several command lines.
COLLECT = """
import json, sys, pytest
for words in json.loads(sys.argv[1]):
    print("asked", flush=True)
    assert pytest.main([*sys.argv[2:], *words]) == 0
"""


def test_a_sample_has_each_kind_of_row_or_one_row(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_addoption, pytest_collection_modifyitems, pytest_generate_tests\n"
    )
    (tmp_path / "test_rows.py").write_text(MATRIX)
    asked = [["test_rows.py"], ["--all", "test_rows.py"], ["test_rows.py::test_matrix"], ["--one-row", "test_rows.py"]]
    ini = str(REPOSITORY / "pyproject.toml")
    argv = [
        sys.executable,
        "-c",
        COLLECT,
        json.dumps(asked),
        "-q",
        "--collect-only",
        "-c",
        ini,
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    parts = done.stdout.split("asked\n")[1:]
    some, every, named, few = (
        [line.partition("::")[2] for line in part.splitlines() if "::" in line] for part in parts
    )
    assert {*some} <= {*every}
    rows = [name[12:-1].split("-") for name in some if name.startswith("test_matrix")]
    assert [len({row[place] for row in rows}) for place in (0, 1)] == [3, 9]
    assert len(rows) == 9
    kinds = [int(name[11:-1]) % 5 for name in some if name.startswith("test_kinds")]
    assert {*kinds} == {*range(5)}
    assert len(kinds) == 5
    system = [name[12:-1].split("-") for name in some if name.startswith("test_system")]
    assert sorted(int(one) for _, one in system) == [*range(20)]
    assert {runtime for runtime, _ in system} == {*"abc"}
    assert len(every) == 27 + 50 + 60 + 1 + 2
    assert len(named) == 27
    assert sorted(name.partition("[")[0] for name in few) == [
        *["test_every"] * 2,
        "test_kinds",
        "test_matrix",
        "test_system",
    ]
    assert {*few} <= {*every}


#: Where test files mirror the code: `tests/plugins/x/test_y.py` is that of `plugins/hardening_x/y.py`.
MIRRORS = {"tests/hardening/": "hardening/", "tests/plugins/": "plugins/hardening_"}


def _stands_for(file: str) -> Iterator[Path]:
    """The module or package of the same name and place, a package's `__init__` for `test_init`, and what the first line of a
    test file names."""
    for tests, code in MIRRORS.items():
        if file.startswith(tests):
            mirrored = code + file.removeprefix(tests).removesuffix(".py").replace("test_", "")
            yield from (REPOSITORY / f"{mirrored}.py", REPOSITORY / mirrored)
            yield REPOSITORY / re.sub("init$", "__init__.py", mirrored)
    yield from (REPOSITORY / name for name in re.findall(r"`([\w./-]+)`", _docstring(file).partition("\n")[0]))


def _docstring(file: str) -> str:
    return ast.get_docstring(ast.parse((REPOSITORY / file).read_text())) or ""


FILES = [str(path.relative_to(REPOSITORY)) for path in sorted(REPOSITORY.glob("tests/**/test_*.py"))]


def test_a_test_file_mirrors_a_module_or_says_in_its_first_line_what_it_stands_for() -> None:
    mirrors = [file for file in FILES if file.startswith((*MIRRORS,))]
    assert [file for file in mirrors if not any(path.exists() for path in _stands_for(file))] == []
    assert [file for file in FILES if file not in mirrors and not _docstring(file)] == []


#: What lies at the root of the repository: what people and tools look for there, and the folders.
ROOT = {
    *(
        ".ci",
        ".gitignore",
        ".pre-commit-config.yaml",
        ".pre-commit-hooks.yaml",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
    ),
    *(
        "Makefile",
        "README.md",
        "SECURITY.md",
        "docs",
        "hardening",
        "man",
        "plugins",
        "profiles",
        "pyproject.toml",
        "scripts",
    ),
    *("tests", "tools"),
}


def test_nothing_lies_at_the_root_that_a_command_has_left_there() -> None:
    argv = ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files"]
    listed = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {path.partition("/")[0] for path in listed} == ROOT


#: Makes what outlives who has made it: an agent of GnuPG, in a folder of its own.
LEAVING = """
import signal
from tests.support import apart, gpg
apart.folder()
with gpg.home() as home:
    home.generate("it")
    print(apart.folder(), home.path, flush=True)
    signal.pause()
"""


def test_what_is_killed_leaves_no_folder_and_no_agent() -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HARDENING_TESTS")}
    argv = [sys.executable, "-c", LEAVING]
    with subprocess.Popen(argv, cwd=REPOSITORY, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folders = process.stdout.readline().split()
        assert processes(folders[1])
        process.send_signal(signal.SIGTERM)
    until(lambda: not any(map(os.path.exists, folders)) and not processes(folders[1]))


def processes(word: str) -> list[str]:
    """The command lines that a word stands in."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if word in line]


class Interrupted(BaseException):
    """What pytest-timeout raises, and Ctrl-C, are no `Exception`, either."""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with closing(ForkServer([sys.executable], os.environ)) as found:
        yield found


def test_a_command_line_that_was_interrupted_answers_to_nobody_else(server: ForkServer) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def run(code: str) -> str:
        return server.run([], code=f"import os, signal\ndef main():\n {code}\n return 0", cwd="/", env={}).stdout

    assert run("print('first', flush=True)") == "first\n"
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            run(f"print('second', flush=True); os.kill({os.getpid()}, signal.SIGUSR1); signal.pause()")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert run("print('third', flush=True)") == "third\n"


def test_a_command_line_may_print_what_is_no_utf8(server: ForkServer) -> None:
    done = server.run([], code="import os\ndef main(): return os.write(1, b'\\xff\\n')", cwd="/", env={})
    assert (done.returncode, done.stdout) == (2, "\\xff\n")
    assert server.run([], code="def main(): return 3", cwd="/", env={}).returncode == 3
