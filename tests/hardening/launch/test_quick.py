"""The lean start: what it imports, and that whatever is not as expected is left to the whole program."""

from __future__ import annotations

import os
import pty
import py_compile
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening import containers
from hardening.launch import main, quick
from hardening.launch.command import stage_command
from hardening.launch.container_state import Entry, describe, identify
from tests.support import users
from tests.support.features import require
from tests.support.plans import PROGRAM, Place
from tests.support.runs import workplace
from tests.support.users import ordinary

#: A group of nobody's.
OTHER = 48000
LINE = ("run", "-q", "-p", "strict", "--", "echo", "good")
SCRIPT = Path(__file__).parents[3] / "scripts/hardening"
#: A whole program that says how it was called.
ECHO = "#!{python}\nimport sys\nprint('whole', *sys.argv[1:])\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with workplace() as folder:
        here = Place(folder)
        assert here.type(*LINE).stdout == "good\n"
        assert here.finds(*LINE)
        yield here


def test_a_plan_is_run_with_the_standard_library_and_this_package_s_launch_stage_alone(place: Place) -> None:
    here = f"import sys; sys.path.append({str(Path(quick.__file__).parents[2])!r})"
    code = f"{here}; from hardening.launch.quick import main; import posix; posix._exit(main({f'{PROGRAM}-cli'!r}))"
    python = (sys.executable, "-I", "-S", "-X", "importtime", "-c", code)
    done = Place(place.folder, python).type(*LINE)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    loaded = set(re.findall(r"^import time:.*\| *(\S+)$", done.stderr, re.MULTILINE)) - {"package"}
    assert "hardening.launch.native" in loaded
    foreign = {name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[0] for name in foreign} <= {"hardening", "_cffi_backend"}
    ours = {name for name in foreign if name.startswith("hardening.")}
    assert {name for name in ours if not name.startswith("hardening.launch")} == {"hardening.errors"}
    assert loaded.isdisjoint({"os", "re", "json", "hashlib", "site", "typing", "enum", "functools", "subprocess"})


@pytest.mark.parametrize("words", [LINE, ("run", "-q", "--fresh", "--", "true"), ("launch", "bundle")])
def test_a_launch_that_could_open_too_few_files_is_refused_before_it_begins(
    place: Place, words: tuple[str, ...], tmp_path: Path
) -> None:
    if words[0] == "launch":
        words = ("launch", str(tmp_path / "bundle"))
        assert place.type("compose", "-q", "-p", "strict", "-o", words[1], "--", "true").returncode == 0
        assert place.type(*words).returncode == 0
    few = Place(place.folder, ("sh", "-c", 'ulimit -n 34; exec "$0" "$@"', str(PROGRAM)))
    done = few.type(*words)
    assert (done.returncode, done.stdout) == (125, "")
    assert "a launch needs 32 more open files" in done.stderr


def test_without_a_plan_nothing_is_done(place: Place) -> None:
    here = f"import sys; sys.path.append({str(Path(quick.__file__).parents[2])!r})"
    code = f"{here}; from hardening.launch.quick import main; print(main('/nowhere'))"
    done = Place(place.folder, (sys.executable, "-I", "-S", "-c", code)).type("run", "--fresh", *LINE[1:])
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")


def test_what_a_killed_launch_has_left_is_tidied_first(place: Place) -> None:
    def abandon(identity: str, *options: str) -> None:
        record = place.state / "containers" / identity
        arguments = main.parse(["--record", str(record), "--detach", *options, "/b"])
        made = Entry(arguments.record, describe(arguments, {}))
        made.create("")
        made.update(process=identify(os.getpid()))
        os.close(made._fd)

    abandon("stays")
    abandon("goes", "--auto-remove")
    assert place.finds(*LINE)
    assert place.type(*LINE).stdout == "good\n"
    (found,) = containers.known(place.state / "containers")
    assert (found.id, found.status) == ("stays", "killed")
    assert found.end is not None
    assert not (place.state / "containers/goes").exists()


def test_a_terminal_without_a_keyboard_is_refused_with_and_without_a_plan() -> None:
    line = ("run", "-q", "-it", "--", "sh", "-c", "test -t 0; exit $((3 + $?))")
    with workplace() as folder:
        here = Place(folder)
        master, slave = pty.openpty()
        try:
            refused = here.type(*line)
            assert here.type(*line, stdin=slave).returncode == 3
            assert here.finds(*line, stdin=slave)
            for done in (refused, here.type(*line), here.type("run", *line[2:], stdin=subprocess.PIPE)):
                assert (done.returncode, done.stdout) == (2, "")
                assert "hint: standard input is no terminal: leave out -t, or -i" in done.stderr
        finally:
            os.close(master)
            os.close(slave)
        begun = here.type("run", "-d", *line[1:])
        assert begun.returncode == 0, begun.stderr
        assert here.type("rm", "-f", begun.stdout.strip()).returncode == 0


def test_a_terminal_of_a_profile_without_a_keyboard_is_refused_as_one_of_an_option_is(place: Place) -> None:
    (place.folder / "app.toml").write_text('extends = ["default"]\n[process]\nterminal = true\n')
    line = ("run", "-q", "-p", "./app.toml", "--", "sh", "-c", "test -t 0; exit $((3 + $?))")
    master, slave = pty.openpty()
    try:
        assert place.type(*line[:1], "-i", *line[1:], stdin=slave).returncode == 3
        assert place.finds(*line[:1], "-i", *line[1:], stdin=slave)
        for _ in range(2):
            done = place.type(*line[:1], "-i", *line[1:])
            assert (done.returncode, done.stdout) == (2, "")
            assert "app.toml:3: nobody can type into the command's terminal\n" in done.stderr
            assert (
                "hint: standard input is no terminal: leave out -i, or add --set process.terminal=false" in done.stderr
            )
        assert place.type(*line).returncode == 3
    finally:
        os.close(master)
        os.close(slave)


def test_a_shell_that_asks_how_to_complete_a_line_is_answered_by_the_whole_program(place: Place) -> None:
    asked = {"_HARDENING_COMPLETE": "bash_complete", "COMP_WORDS": "hardening run --re", "COMP_CWORD": "2"}
    done = place.type("run", "--re", changes=asked)
    assert "--receipt" in done.stdout


def test_closed_standard_descriptors_are_opened_first(place: Place) -> None:
    done = Place(place.folder, ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", str(PROGRAM))).type(*LINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_signal_that_was_ignored_stays_so_and_the_others_end_the_command(place: Place) -> None:
    line = ("run", "-q", "-p", "strict", "--", "sh", "-c", "grep SigIgn /proc/self/status")

    def ignore() -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    first, second = (place.type(*line, preexec_fn=ignore) for _ in range(2))
    assert second.stdout == first.stdout
    ignored = int(second.stdout.split()[1], 16)
    # Python itself ignores two more, and the launch stage gives them back.
    assert ignored == sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))
    assert place.type(*line).stdout.split()[1].strip("0") == ""


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with the script, and a whole program that says how it was called."""
    (tmp_path / "bin").mkdir()
    shutil.copy(SCRIPT, tmp_path / "bin/hardening")
    whole = tmp_path / "bin/hardening-cli"
    whole.write_text(ECHO.format(python=sys.executable))
    whole.chmod(0o755)
    return tmp_path


def said(*argv: str | Path, **options: object) -> str:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("words", [("run", "--", "a b", ""), ("launch", "./b"), ("ps",), ("--help",), ()])
def test_without_a_package_to_be_found_the_whole_program_gets_the_words(prefix: Path, words: tuple[str, ...]) -> None:
    assert said(prefix / "bin/hardening", *words) == " ".join(("whole", *words)) + "\n"


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
    assert (
        said(planted / "link", "run", "x", env={**os.environ, "PATH": f"{planted}:{os.environ['PATH']}"})
        == "whole run x\n"
    )
    assert not (planted / "ran").exists()


@pytest.mark.parametrize("folder", ["lib/python{}/site-packages", "lib/python{}/dist-packages"])
@pytest.mark.parametrize("linked", [False, True])
def test_the_package_is_found_in_each_layout(prefix: Path, folder: str, linked: bool) -> None:
    """A package of that name says that it was the one."""
    site = prefix / folder.format(f"{sys.version_info[0]}.{sys.version_info[1]}")
    site.mkdir(parents=True)
    package = (prefix / "source" if linked else site) / "hardening/launch"
    package.mkdir(parents=True)
    if linked:
        (site / "_hardening.pth").write_text(f"{prefix / 'source'}\n/another")
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "compiled.py").write_text("def use(*names):\n pass\n")
    (package / "quick.py").write_text(
        "import sys\ndef main(program):\n print('quick', *sys.argv[1:], flush=True)\n return 3\n"
    )
    done = subprocess.run([prefix / "bin/hardening", "run", "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "quick run x\n"), done.stderr
    (package / "quick.py").write_text("def main(program):\n return None\n")
    assert said(prefix / "bin/hardening", "run", "x") == "whole run x\n"
    (package.parent / "become.py").write_text(
        "import sys\ndef main(program):\n print('become', *sys.argv[1:])\n return 0\n"
    )
    assert said(prefix / "bin/hardening", "run", "x") == "become run x\n"
    assert said("bin/hardening", "run", "x", cwd=prefix) == "become run x\n"
    (package / "quick.py").write_text("import no_such_module\n")
    assert said(prefix / "bin/hardening", "run", "x") == "whole run x\n"


@pytest.mark.parametrize("opened", ["", "hardening", "hardening/launch", "owner"])
def test_compiled_files_that_others_could_have_written_are_not_run(prefix: Path, opened: str) -> None:
    site = planted(prefix)
    if opened == "owner":
        if os.geteuid() != 0:
            return  # only root can give files away
        os.chown(site / "hardening/launch/__pycache__", 48000, 48000)
    elif opened:
        (site / opened / "__pycache__").chmod(0o777)
    assert said(prefix / "bin/hardening", "run", "x").strip() == ("good" if opened else "bad")


def planted(prefix: Path) -> Path:
    """A package whose compiled files are not what its sources say, as somebody could leave them there: where it lies."""
    site = prefix / "lib/python{}.{}/site-packages".format(*sys.version_info)
    package = site / "hardening/launch"
    package.mkdir(parents=True)
    texts = {package.parent / "__init__.py": "", package / "__init__.py": ""}
    texts[package / "compiled.py"] = "def use(*names):\n pass\n"
    texts[package / "quick.py"] = "def main(program):\n print('bad ', flush=True)\n return 0\n"
    for path, text in texts.items():
        path.write_text(text)
        py_compile.compile(str(path), doraise=True)
    before = (package / "quick.py").stat()
    (package / "quick.py").write_text(texts[package / "quick.py"].replace("bad ", "good"))
    os.utime(package / "quick.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    return site


@pytest.fixture
def shared() -> Iterator[Path]:
    """The same as `prefix` where an ordinary user may enter, with an interpreter that they can start."""
    require("root")
    with workplace(ordinary()) as folder:
        (folder / "bin").mkdir()
        shutil.copy(SCRIPT, folder / "bin/hardening")
        python = (
            Path(users.program(ordinary())).with_name("hardening-cli").read_text().split("\n")[0].removeprefix("#!")
        )
        (folder / "bin/hardening-cli").write_text(ECHO.format(python=python))
        (folder / "bin/hardening-cli").chmod(0o755)
        yield folder


def give(folder: Path, uid: int, gid: int) -> None:
    """Give away all that lies below a folder."""
    for path in folder.rglob("*"):
        os.chown(path, uid, gid)


@pytest.mark.parametrize(
    ("caller", "primary", "group", "believed"),
    [("user", "own", "own", True), ("user", "own", "other", False), ("user", "other", "own", False),
     ("root", "own", "own", False), ("root", "own", "other", False)],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["hardening", "hardening/launch"])
def test_compiled_files_may_be_written_by_no_group_but_that_of_an_ordinary_user_alone(
    shared: Path, caller: str, primary: str, group: str, believed: bool, folder: str
) -> None:
    uid = ordinary().uid if caller == "user" else 0
    site = planted(shared)
    give(site, uid, uid)
    os.chown(site / folder / "__pycache__", uid, uid if group == "own" else OTHER)
    (site / folder / "__pycache__").chmod(0o775)
    ids = [f"--reuid={uid}", f"--regid={uid if primary == 'own' else OTHER}", "--clear-groups", "--"]
    assert said("setpriv", *ids, shared / "bin/hardening", "run", "x").strip() == ("bad" if believed else "good")


@pytest.mark.parametrize(("caller", "made"), [("user", True), ("root", False)])
def test_umask_002_makes_compiled_files_for_an_ordinary_user_with_a_group_alone(
    shared: Path, caller: str, made: bool
) -> None:
    uid = ordinary().uid if caller == "user" else 0
    site = shared / "lib/python{}.{}/site-packages".format(*sys.version_info)
    shutil.copytree(Path(quick.__file__).parents[1], site / "hardening", ignore=shutil.ignore_patterns("__pycache__"))
    give(shared, uid, uid)
    ids = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
    # What is there of the package does not get as far as to the command line.
    subprocess.run(["setpriv", *ids, shared / "bin/hardening", "run", "x"], umask=0o2, capture_output=True, check=False)
    folders = list(site.rglob("__pycache__"))
    assert {folder.stat().st_mode & 0o777 for folder in folders} == ({0o775} if made else set())


def test_no_compiled_files_are_made_that_others_can_write(prefix: Path) -> None:
    site = prefix / "lib/python{}.{}/site-packages".format(*sys.version_info)
    shutil.copytree(Path(quick.__file__).parents[1], site / "hardening", ignore=shutil.ignore_patterns("__pycache__"))
    for umask in (0, 0o22):
        subprocess.run([prefix / "bin/hardening", "run", "x"], umask=umask, capture_output=True, check=False)
        assert bool(list(site.rglob("__pycache__"))) == bool(umask)


@pytest.mark.parametrize(
    "first", ["#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n", "#!{python} -I\n"], ids=["long", "options"]
)
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


def test_an_interpreter_that_is_gone_is_an_error_of_the_shell(prefix: Path) -> None:
    (prefix / "bin/hardening-cli").write_text("#!/nowhere/python\n")
    done = subprocess.run([prefix / "bin/hardening", "run", "x"], capture_output=True, text=True, check=False)
    assert done.returncode in (126, 127)


def test_a_process_that_runs_no_compiled_files_starts_a_stage_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", os.devnull)
    argv = stage_command("/nowhere")
    index = argv.index("-c")
    argv[index + 1] = argv[index + 1].partition("from ")[0] + "print(sys.pycache_prefix)"
    assert said(*argv) == f"{os.devnull}\n"
    monkeypatch.setattr(sys, "pycache_prefix", None)
    argv[index + 2] = stage_command("/nowhere")[index + 2]
    assert said(*argv) == "None\n"
