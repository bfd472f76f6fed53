"""The lean start becomes the whole program: as if it had been started so, and in the same process wherever that can be."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import hardening
from tests.support.plans import PROGRAM, Place
from tests.support.runs import workplace
from tests.support.users import REPOSITORY

#: A start of the interpreter as the script makes it.
PLACE = str(Path(hardening.__file__).parents[1])
LEAN = f"""
import gc, sys
gc.disable()
sys.path.append({PLACE!r})
from hardening.launch.guarded import guarded
guarded(lambda: 0)
sys.path.remove({PLACE!r})
from hardening import become
"""


@pytest.fixture
def untouched(tmp_path: Path) -> dict[str, str]:
    """The environment of a caller who says nothing to Python."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**variables, "HOME": str(tmp_path)}


def said(*argv: str | Path, env: dict[str, str]) -> str:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_interpreter_becomes_what_starts_otherwise(untouched: dict[str, str]) -> None:
    show = "import sys, signal, gc; signals = [*map(signal.getsignal, range(1, 32))]"
    facts = "print(sys.path, sys.prefix, sys.exec_prefix, 'site' in sys.modules, signals, gc.isenabled())"
    lean = said(
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"{LEAN}\nbecome.make_ordinary({str(PROGRAM)!r})\n{show}\n{facts}",
        env=untouched,
    )
    assert lean == said(sys.executable, "-I", "-c", f"{show}\n{facts}", env=untouched)


def test_the_script_becomes_the_whole_program_without_another_start(untouched: dict[str, str]) -> None:
    with workplace() as folder:
        trace = folder / "trace"
        here = Place(folder, ("strace", "-qq", "-e", "trace=execve", "-o", str(trace), str(PROGRAM)), untouched)
        assert here.type("run", "--fresh", "-q", "--", "sh", "-c", "exit 7").returncode == 7
        assert "/python" in trace.read_text()
        assert "hardening-cli" not in trace.read_text()
        assert here.type("run", "-q", "--fresh", "-p", "strict", "--", "echo", "good").stdout == "good\n"
        wrong = here.type("run", "--nonsense")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith("error: there is no option --nonsense\n")
        assert "--receipt" in here.type("run", "--help").stdout


def test_the_collector_of_cycles_waits_for_a_short_command_to_end(untouched: dict[str, str]) -> None:
    looks = "import gc, sys; gc.collect(); looks = []; gc.callbacks.append(lambda phase, _: looks.append(phase))"
    command = (
        "sys.argv[1:] = ['compose', '-p', 'strict', '--format', 'toml']; from hardening import whole; whole.command()"
    )
    facts = "print(looks, gc.isenabled(), len(gc.get_objects()) < gc.get_freeze_count())"
    told = said(sys.executable, "-I", "-c", f"{looks}\n{command}\n{facts}", env=untouched)
    assert told.splitlines()[-1] == "[] True True"


def test_no_variable_and_no_package_of_the_caller_s_decides_which_code_runs(untouched: dict[str, str]) -> None:
    with workplace() as folder:
        trap = "import os\nos.write(2, b'TRAPPED')\n"
        version = "python{}.{}".format(*sys.version_info)
        own = folder / f"home/.local/lib/{version}/site-packages"
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
    done = subprocess.run([sys.executable, whole, "--version"], env={**untouched, "PYTHONPATH": ":"}, cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout.split()[:1]) == (0, ["hardening"]), done.stderr


def test_no_package_of_the_working_directory_is_run_by_a_name_of_ours(
    untouched: dict[str, str], tmp_path: Path
) -> None:
    """Of `python -m hardening` it would be."""
    done = subprocess.run([sys.executable, "-I", "-m", "hardening", "--version"], env=untouched, cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "cannot be directly executed" in done.stderr


def test_no_variable_chooses_what_openssl_loads_however_the_program_is_called(untouched: dict[str, str]) -> None:
    whole = str(PROGRAM.with_name("hardening-cli"))
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
        for start in ((str(PROGRAM),), (sys.executable, whole), (sys.executable, "-I", whole)):
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


def test_both_programs_take_the_same_variables_away() -> None:
    script = (REPOSITORY / "scripts/hardening").read_text()
    lines = [line.split()[1:] for line in script.splitlines() if line.startswith("unset ")]
    names = [name for line in lines if "-f" not in line for name in line]
    found = runpy.run_path(str(REPOSITORY / "scripts/hardening-cli"), run_name="looked_at")
    assert names == list(found["CHOOSING"])
    assert len(names) > 5
