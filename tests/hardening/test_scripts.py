"""`scripts/hardening`, `scripts/hardening-cli` and `hardening/start.py`: which code a start of the program runs, and who
could have written it."""

from __future__ import annotations

import marshal
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening import start
from tests.support import users
from tests.support.cached import PROGRAM, Place
from tests.support.features import require
from tests.support.runs import workplace
from tests.support.sample import is_whole
from tests.support.users import REPOSITORY, User, ordinary

SCRIPTS = REPOSITORY / "scripts"
VERSION = "python{}.{}".format(*sys.version_info)
#: A whole program that says how it was called.
ECHO = "#!{python}\nimport sys\nprint('whole', *sys.argv[1:])\n"
#: Nobody's.
OTHER = 48000


def said(*argv: str | Path, **options: Any) -> str:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


# --- the shell script -------------------------------------------------------------------------------------------------


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with the script, and a whole program that says how it was called."""
    (tmp_path / "bin").mkdir()
    shutil.copy(SCRIPTS / "hardening", tmp_path / "bin")
    (tmp_path / "bin/hardening-cli").write_text(ECHO.format(python=sys.executable))
    return tmp_path


@pytest.mark.parametrize("words", [("run", "--", "a b", ""), ("launch", "./b"), ("ps",), ("--help",), ()])
def test_the_words_are_passed_on(prefix: Path, words: tuple[str, ...]) -> None:
    assert said(prefix / "bin/hardening", *words) == " ".join(("whole", *words)) + "\n"


@pytest.mark.parametrize(("words", "lean"), [(("run", "x"), True), (("launch", "x"), True), (("ps", "run"), False)])
def test_python_starts_isolated_and_writes_no_bytecode(prefix: Path, words: tuple[str, ...], lean: bool) -> None:
    flags = "sys.flags.isolated, sys.flags.dont_write_bytecode, bool(sys.flags.no_site)"
    (prefix / "bin/hardening-cli").write_text(f"#!{sys.executable}\nimport sys\nprint({flags})\n")
    assert said(prefix / "bin/hardening", *words) == f"1 1 {lean}\n"


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_a_directory_for_a_standard_stream_is_bad_usage_and_no_finding(prefix: Path, fd: int) -> None:
    """Python does not start with one, and ends with 1."""
    line = f"exec {fd}< /; exec {prefix}/bin/hardening doctor"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert fd == 2 or done.stderr.startswith(f"hardening: descriptor {fd} is a directory\nhint: ")


def test_the_script_finds_itself_under_every_name(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("else where")
    (elsewhere / "hardening").symlink_to(prefix / "bin/hardening")
    (elsewhere / "second").symlink_to("hardening")
    bins = elsewhere / "bin"
    bins.symlink_to(prefix / "bin")
    expected = "whole run x\n"
    path = f"{elsewhere}:{os.environ['PATH']}"
    assert said(elsewhere / "hardening", "run", "x") == expected
    assert said(elsewhere / "second", "run", "x") == expected
    assert said(bins / "hardening", "run", "x") == expected
    assert said("sh", "-c", "hardening run x", env={**os.environ, "PATH": path}) == expected
    assert said("sh", prefix / "bin/hardening", "run", "x") == expected
    assert said("sh", "hardening", "run", "x", cwd=prefix / "bin") == expected
    assert said("sh", "-c", "cd / && exec ./usr/bin/env hardening run x", env={**os.environ, "PATH": path}) == expected


def test_the_script_runs_no_program_of_the_callers_path(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    planted = tmp_path_factory.mktemp("planted")
    (planted / "readlink").write_text(f"#!/bin/sh\ntouch {planted}/ran\necho /bin/true\n")
    (planted / "readlink").chmod(0o755)
    (planted / "link").symlink_to(prefix / "bin/hardening")
    path = {**os.environ, "PATH": f"{planted}:{os.environ['PATH']}"}
    assert said(planted / "link", "run", "x", env=path) == "whole run x\n"
    assert not (planted / "ran").exists()


@pytest.mark.parametrize(
    "first",
    ["#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n", "#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\n",
     "#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n", "#!{python} -I\n"],
    ids=["double", "single", "bare", "options"],
)  # fmt: skip
def test_an_interpreter_that_the_first_line_does_not_name_alone(prefix: Path, first: str) -> None:
    whole = prefix / "bin/hardening-cli"
    whole.write_text(first.format(python=sys.executable) + ECHO.format(python=sys.executable))
    assert said(prefix / "bin/hardening", "run", "x y") == "whole run x y\n"


@pytest.mark.parametrize("words", [("run", "x"), ("ps",)])
@pytest.mark.parametrize("name", ["a b", "n" * 130])
def test_an_interpreter_that_the_kernel_would_not_find_by_the_first_line(
    prefix: Path, name: str, words: tuple[str, ...]
) -> None:
    (prefix / name).symlink_to(Path(sys.executable).parents[1])
    (prefix / "bin/hardening-cli").write_text(ECHO.format(python=prefix / name / "bin" / Path(sys.executable).name))
    assert said(prefix / "bin/hardening", *words) == " ".join(("whole", *words)) + "\n"


def test_no_program_whose_name_is_the_beginning_of_an_interpreter_s_that_is_gone_is_run(prefix: Path) -> None:
    (prefix / "a").write_text(f"#!/bin/sh\ntouch {prefix}/ran\n")
    (prefix / "a").chmod(0o755)
    (prefix / "bin/hardening-cli").write_text(f"#!{prefix}/a b/bin/python\n")
    done = subprocess.run([prefix / "bin/hardening", "run", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert not (prefix / "ran").exists()


@pytest.mark.parametrize(
    "first", ["#!/usr/bin/env python3\n", "print()\n", "#!/nowhere/python\n", "#!/no\nwhere/python\n"]
)
def test_without_an_interpreter_of_its_own_nothing_runs(prefix: Path, first: str) -> None:
    (prefix / "bin/hardening-cli").write_text(first)
    done = subprocess.run([prefix / "bin/hardening", "run", "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    assert "names no interpreter that is here\nhint: install hardening again\n" in done.stderr


# --- what is found ----------------------------------------------------------------------------------------------------


def install(prefix: Path, python: str = sys._base_executable) -> None:  # type: ignore[attr-defined]
    """Put both scripts there, for an interpreter that has no such package itself."""
    (prefix / "bin").mkdir(exist_ok=True)
    for name in ("hardening", "hardening-cli"):
        text = (SCRIPTS / name).read_text()
        (prefix / "bin" / name).write_text(text.replace("#!python\n", f"#!{python}\n", 1))
        (prefix / "bin" / name).chmod((SCRIPTS / name).stat().st_mode)


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
@pytest.mark.parametrize("linked", [False, True])
def test_the_package_is_found_in_each_layout_and_the_whole_program_on_any_miss(
    tmp_path: Path, folder: str, linked: bool
) -> None:
    """A package of that name says that it was the one."""
    install(tmp_path)
    site = tmp_path / "lib" / VERSION / folder
    site.mkdir(parents=True)
    package = (tmp_path / "source" if linked else site) / "hardening"
    (package / "launch").mkdir(parents=True)
    if linked:
        (site / "_hardening.pth").write_text(f"{tmp_path / 'source'}\n/another")
    for path in (package, package / "launch"):
        (path / "__init__.py").write_text("")
    quick, program = package / "launch/quick.py", tmp_path / "bin/hardening"
    shutil.copy(start.__file__, package)
    (package / "whole.py").write_text("import sys\ndef main():\n print('whole', *sys.argv[1:])\n return 4\n")

    def run(*words: str, of: Path | str = program) -> tuple[int, str]:
        done = subprocess.run([of, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    quick.write_text("import sys\ndef main(program):\n print('quick', *sys.argv[1:], flush=True)\n return 3\n")
    assert run("run", "x") == run("run", "x", of="bin/hardening") == (3, "quick run x\n")
    assert run("ps", "x") == (4, "whole ps x\n")
    # Called through a link to its directory, the packages lie where that leads.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/bin").symlink_to(tmp_path / "bin")
    assert run("run", "x", of="elsewhere/bin/hardening") == (3, "quick run x\n")
    assert run("ps", "x", of=tmp_path / "elsewhere/bin/hardening") == (4, "whole ps x\n")
    texts = ("def main(program):\n return None\n", "import no_such_module\n", "def main(", "raise ValueError\n")
    for text in (*texts, "raise MemoryError\n", "raise SystemError\n"):
        quick.write_text(text)
        assert run("run", "x") == (4, "whole run x\n"), text
    # What has begun is never begun again.
    quick.write_text("def main(program):\n raise MemoryError\n")
    assert run("run", "x") == (125, "")
    quick.unlink()
    assert run("launch", "x y") == (4, "whole launch x y\n")


def test_where_nothing_may_be_executed_the_whole_program_is_still_started_isolated(prefix: Path) -> None:
    install(prefix)
    (prefix / "bin/hardening").chmod(0o644)
    done = subprocess.run(
        [sys.executable, prefix / "bin/hardening-cli", "ps"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert "No module named 'hardening'\nhint: " in done.stderr


@pytest.mark.parametrize("words", [("run", "x"), ("ps",)])
def test_an_installation_that_is_not_whole_is_one_message(tmp_path: Path, words: tuple[str, ...]) -> None:
    install(tmp_path)
    package = tmp_path / "lib" / VERSION / "site-packages/hardening"
    for text in (None, "import no_such_module\n", "def main():\n    import no_such_module\n"):
        if text is not None:
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").write_text("")
            shutil.copy(start.__file__, package)
            (package / "whole.py").write_text(text)
        done = subprocess.run([tmp_path / "bin/hardening", *words], capture_output=True, text=True, check=False)
        missing = "hardening" if text is None else "no_such_module"
        assert (done.returncode, done.stdout) == (125, "")
        message, hint = done.stderr.splitlines()
        assert message == f"hardening: a part of the program cannot be loaded: No module named '{missing}'"
        assert hint.startswith("hint: ")


def test_a_link_file_without_a_path_adds_no_place(tmp_path: Path) -> None:
    install(tmp_path)
    site = tmp_path / "lib" / VERSION / "site-packages"
    site.mkdir(parents=True)
    (tmp_path / "hardening/launch").mkdir(parents=True)
    (tmp_path / "hardening/launch/quick.py").write_text("print('TRAPPED')\n")
    for line in ("", ".", "\n/nowhere"):
        (site / "_hardening.pth").write_text(line)
        done = subprocess.run(["bin/hardening", "run"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (125, ""), line


# --- what decides which code runs -------------------------------------------------------------------------------------


@pytest.fixture
def untouched(tmp_path: Path) -> dict[str, str]:
    """The environment of a caller who says nothing to Python."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**variables, "HOME": str(tmp_path)}


def test_no_variable_and_no_package_of_the_caller_s_decides_which_code_runs(untouched: dict[str, str]) -> None:
    with workplace() as folder:
        trap = "import os\nos.write(2, b'TRAPPED')\n"
        own = folder / f"home/.local/lib/{VERSION}/site-packages"
        own.mkdir(parents=True)
        for name in ("click", "attr", "sitecustomize", "usercustomize", "site", "hardening", "grp"):
            (folder / f"{name}.py").write_text(trap)
            (own / f"{name}.py").write_text(trap)
        variables = {"PYTHONPATH": f":{folder}", "PYTHONHOME": "/nowhere", "PYTHONSTARTUP": f"{folder}/click.py",
                     "PYTHONUSERBASE": str(folder / "home/.local"), "HOME": str(folder / "home"), "PYTHONINSPECT": "1",
                     "PYTHONPLATLIBDIR": "x", "PYTHONWARNINGS": "error", "PYTHONEXECUTABLE": "x",
                     **{f"BASH_FUNC_{name}%%": "() { echo TRAPPED; }" for name in ("[", "command", "read")}}  # fmt: skip
        line = ("run", "-q", "-p", "strict", "--", "echo", "good")
        here = Place(folder, environment={**untouched, **variables})
        for words in (line, line, ("run", "--fresh", *line[1:])):
            done = here.type(*words)
            assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", ""), words
        assert here.type("--version").stdout.startswith("hardening ")
        assert "TRAPPED" not in here.type("doctor").stderr


def test_what_is_called_by_another_name_starts_again_isolated(untouched: dict[str, str], tmp_path: Path) -> None:
    for name in ("click", "attr"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('TRAPPED')\n")
    whole = PROGRAM.with_name("hardening-cli")
    assert not whole.stat().st_mode & 0o111
    assert said(sys.executable, whole, "--version", env={**untouched, "PYTHONPATH": ":"}, cwd=tmp_path).startswith(
        "hardening "
    )


def test_no_package_of_the_working_directory_is_run_by_a_name_of_ours(
    untouched: dict[str, str], tmp_path: Path
) -> None:
    """Of `python -m hardening` it would be."""
    done = subprocess.run([sys.executable, "-I", "-m", "hardening", "--version"], env=untouched, cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "cannot be directly executed" in done.stderr


def test_no_variable_chooses_what_openssl_loads_however_the_program_is_called(untouched: dict[str, str]) -> None:
    with workplace() as folder:
        (folder / "openssl.cnf").write_text("")
        profile = folder / "mine.toml"
        profile.write_text('extends = ["default"]\n[trust.docker]\n"127.0.0.1:1/x/y" = "accept"\n')
        pull = ("pull", "-p", str(profile), "127.0.0.1:1/x/y")
        variables = {**untouched, "OPENSSL_CONF": str(folder / "openssl.cnf")}

        def opens(*argv: str) -> bool:
            trace = folder / "trace"
            here = Place(folder, ("strace", "-f", "-qq", "-e", "trace=open,openat", "-o", str(trace)), variables)
            error = here.type(*argv).stderr
            assert "127.0.0.1:1" in error or argv[-1] not in pull, error
            return variables["OPENSSL_CONF"] in trace.read_text()

        assert opens(sys.executable, "-I", "-c", "import ssl; ssl.create_default_context()")
        for start in ((str(PROGRAM),), (sys.executable, str(PROGRAM.with_name("hardening-cli")))):
            assert not opens(*start, *pull), start


def test_no_variable_chooses_a_locale_or_a_conversion_of_the_c_library(untouched: dict[str, str]) -> None:
    with workplace() as folder:
        trace = folder / "trace"
        variables = {**untouched, "LOCPATH": str(folder / "loc"), "GCONV_PATH": str(folder / "g"), "LC_ALL": "evil"}

        def opens(*argv: str) -> bool:
            strace = ("strace", "-f", "-qq", "-e", "trace=open,openat", "-o", str(trace))
            Place(folder, strace, variables).type(*argv)
            return str(folder / "loc") in trace.read_text()

        assert opens(sys.executable, "-I", "-c", "")
        for words in (("ps",), ("run", "-q", "--", "true")):
            assert not opens(str(PROGRAM), *words), words


# --- who could have written the bytecode ------------------------------------------------------------------------------

RUN = ("hardening", "run", "--fresh", "-q", "-p", "strict", "--", "true")
COMMANDS = (RUN, *(("hardening", *words.split()) for words in ("launch bundle", "cache list", "doctor", "prune")))
#: One of each kind: what the short way imports, what the whole program does, and what is a package of its own.
PLANTED = (
    *(
        "hardening/__init__",
        "hardening/start",
        "hardening/whole",
        "hardening/launch/quick",
        "hardening/cli/__init__",
        "hardening/cli/commands/run",
    ),
    *("hardening_process/__init__", "hardening_process/spec"),
)


@attrs.frozen
class Tree:
    """An environment of its own with the program installed, and nothing compiled. ``caller`` uses it, or we."""

    folder: Path
    caller: User | None

    @property
    def site(self) -> Path:
        """Where its packages are."""
        return self.folder / "env/lib" / VERSION / "site-packages"

    @property
    def ran(self) -> Path:
        """What the planted code makes."""
        return self.folder / "ran"

    def type(self, words: Sequence[str], umask: int = 0o22) -> subprocess.CompletedProcess[str]:
        """Call a program of the environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**kept, **(self.caller.environment if self.caller else {})}
        environment["HARDENING_STATE"] = str(self.folder / "state")
        argv = [str(self.folder / "env/bin" / words[0]), *words[1:]]
        return subprocess.run(
            self.caller.argv(argv) if self.caller else argv,
            cwd=self.folder, env=environment, umask=umask, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def plant(self, name: str) -> Path:
        """Leave a compiled file that does more than its source says: the directory in which it lies."""
        source = self.site / f"{name}.py"
        more = f"print({name!r}, file=open({str(self.ran)!r}, 'a'))\n"
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
    install(folder / "env", f"{folder}/env/bin/python")
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


@pytest.mark.sampled(kinds=lambda row: [])
def test_no_command_runs_bytecode_that_others_could_have_written(tree: Tree) -> None:
    for name in PLANTED:
        folder = tree.plant(name)
        if os.geteuid() == 0 and name.endswith("__init__"):
            os.chown(folder, OTHER, OTHER)  # only root can give files away
        else:
            folder.chmod(0o777)
        for words in COMMANDS:
            done = tree.type(words)
            assert (done.returncode, done.stdout) == (125, ""), (name, words, done.stderr)
            message, hint = done.stderr.splitlines()
            assert message == f"hardening: {folder}: bytecode that others can write than the sources"
            assert hint == f"hint: remove it: rm -r '{folder}'"
            assert not tree.ran.exists(), (words, tree.ran.read_text())
        shutil.rmtree(folder)
    assert tree.type(RUN).returncode == 0


@pytest.mark.sampled(kinds=lambda row: [])
def test_what_nobody_else_could_have_written_is_run(tree: Tree) -> None:
    """Without this the other tests would show nothing."""
    for name in PLANTED:
        tree.plant(name)
    assert tree.type(RUN).returncode == 0
    assert {*tree.ran.read_text().splitlines()} == {*PLANTED}


@pytest.mark.sampled(kinds=lambda row: [])
@pytest.mark.parametrize("umask", [0, 0o22])
def test_no_command_writes_bytecode(tree: Tree, umask: int, pytestconfig: pytest.Config) -> None:
    line = tuple(word for word in RUN if word != "--fresh")
    for words in (*(COMMANDS if is_whole(pytestconfig) else COMMANDS[:1]), line, line):
        assert tree.type(words, umask).returncode in (0, 1)  # 1: doctor's findings
        assert not tree.compiled(), words


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that somebody has compiled."""
    (tmp_path / "package/__pycache__").mkdir(parents=True)
    return tmp_path / "package"


def is_own(package: Path) -> bool:
    """Whether its bytecode is run, and not refused."""
    script = runpy.run_path(str(SCRIPTS / "hardening-cli"), run_name="looked_at")
    found: list[str] = []
    try:
        script["refuse_others"]([str(package.with_name("missing")), str(package)])
    except script["OthersBytecodeError"] as error:
        found.append(str(error))
    assert found in ([], [f"{package}/__pycache__"])
    return not found


@pytest.mark.parametrize(
    ("sources", "compiled", "own"),
    [(0o755, 0o755, True), (0o755, 0o775, False), (0o755, 0o757, False), (0o775, 0o775, True), (0o777, 0o777, True),
     (0o775, 0o777, False), (0o757, 0o775, False), (0o700, 0o700, True), (0o700, 0o720, False)],
)  # fmt: skip
def test_who_writes_the_sources_may_write_their_bytecode(package: Path, sources: int, compiled: int, own: bool) -> None:
    """Umask 002, with which ordinary users have a group of their own, opens both alike."""
    package.chmod(sources)
    (package / "__pycache__").chmod(compiled)
    assert is_own(package) is own


@pytest.mark.parametrize(
    ("sources", "compiled", "own"),
    [((0, 0), (OTHER, 0), False), ((OTHER, 0), (OTHER, 0), True), ((OTHER, 0), (0, 0), True),
     ((OTHER, OTHER), (OTHER, 0), False), ((0, 0), (0, OTHER), False), ((0, OTHER), (0, OTHER), True)],
)  # fmt: skip
def test_it_belongs_to_root_the_caller_or_whose_the_sources_are(
    package: Path, sources: tuple[int, int], compiled: tuple[int, int], own: bool
) -> None:
    require("root")
    for path, (uid, gid) in ((package, sources), (package / "__pycache__", compiled)):
        os.chown(path, uid, gid)
        path.chmod(0o775)
    assert is_own(package) is own
