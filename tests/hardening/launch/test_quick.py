"""The lean start: what it imports, and that whatever is not as expected is left to the whole program."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.launch import quick
from hardening.launch.container.container_state import ContainerEntry, describe, identify
from hardening.launch.container.directory import LaunchDirectory
from hardening.launch.request import LaunchRequest
from hardening.runs import containers
from hardening.start import lean
from tests.support.cached import PROGRAM, Place
from tests.support.runs import workplace

LINE = ("run", "-q", "-p", "strict", "--", "echo", "good")
PACKAGE = Path(quick.__file__).parents[1]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with workplace() as folder:
        here = Place(folder)
        assert here.type(*LINE).stdout == "good\n"
        assert here.finds(*LINE)
        yield here


def loaded(place: Place, words: tuple[str, ...]) -> set[str]:
    """The modules that the short way imports to run an entry."""
    here = f"import sys; sys.path += {[str(PACKAGE.parent), sysconfig.get_path('platlib')]}"
    code = f"{here}; from hardening.launch.quick import main; import posix; posix._exit(main({f'{PROGRAM}-cli'!r}))"
    done = Place(place.folder, (sys.executable, "-I", "-S", "-X", "importtime", "-c", code)).type(*words)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"^import time:.*\| *(\S+)$", done.stderr, re.MULTILINE)) - {"package"}


def test_a_plan_is_run_with_the_standard_library_and_this_package_s_launch_launcher_alone(place: Place) -> None:
    found = loaded(place, LINE)
    assert "hardening.launch.native.native" in found
    foreign = {name for name in found if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[0] for name in foreign} <= {"hardening", "_cffi_backend"}
    assert {".".join(name.split(".")[:2]) for name in foreign if name.startswith("hardening.")} == {
        "hardening.base",
        "hardening.errors",
        "hardening.launch",
    }
    assert found.isdisjoint({"os", "re", "json", "hashlib", "site", "typing", "enum", "functools", "subprocess"})


@pytest.mark.parametrize(
    ("options", "module"),
    [((), "native.native"), (("--runtime", "crun"), "oci.external"), (("--runtime", "runc"), "oci.external"),
     (("-d", "--rm"), "container.detached")],
)  # fmt: skip
def test_who_could_have_written_it_is_known_of_all_that_a_plan_imports(
    place: Place, options: tuple[str, ...], module: str
) -> None:
    line = ("run", *options, *LINE[1:])
    assert place.type(*line).returncode == 0
    found = loaded(place, line)
    assert f"hardening.launch.{module}" in found
    ours = [PACKAGE.parent.joinpath(*name.split(".")) for name in found if name.split(".")[0] == "hardening"]
    assert {str(path if path.is_dir() else path.parent) for path in ours} <= {*lean(str(PACKAGE))}


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
    def abandon(identity: str, auto_remove: bool = False) -> None:
        request = LaunchRequest(id=identity, state=str(place.state), detach=True, auto_remove=auto_remove)
        made = ContainerEntry(LaunchDirectory(request.directory), describe(request, {}))
        made.create("")
        made.update(process=identify(os.getpid()))
        os.close(made._fd)

    abandon("stays")
    abandon("goes", auto_remove=True)
    assert place.finds(*LINE)
    assert place.type(*LINE).stdout == "good\n"
    (found,) = containers.known(place.state / "launches")
    assert (found.id, found.status) == ("stays", "killed")
    assert found.end is not None
    assert not (place.state / "launches/goes").exists()


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
                assert "hint: standard input is not a terminal: leave out -t, or -i" in done.stderr
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
            assert "app.toml:3: standard input is not a terminal\n" in done.stderr
            assert (
                "hint: standard input is not a terminal: leave out -i, or add --set process.terminal=false"
                in done.stderr
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
    # Python itself ignores two more, and the launcher gives them back.
    assert ignored == sum(1 << number - 1 for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))
    assert place.type(*line).stdout.split()[1].strip("0") == ""
