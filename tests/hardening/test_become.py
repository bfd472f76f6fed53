"""The lean start becomes the whole program: as if it had been started so, and in the same process wherever that can be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hardening
from tests.support.plans import PROGRAM, Place
from tests.support.runs import workplace

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
        sys.executable, "-I", "-S", "-c", f"{LEAN}\nassert become.make_ordinary()\n{show}\n{facts}", env=untouched
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


def test_it_starts_again_for_variables_of_python_and_for_packages_of_the_caller(
    tmp_path: Path, untouched: dict[str, str]
) -> None:
    whole = tmp_path / "whole"
    whole.write_text(f"#!{sys.executable}\nimport sys\nprint('whole', *sys.argv[1:])\n")
    whole.chmod(0o755)
    argv = (sys.executable, "-I", "-S", "-c", f"{LEAN}\nbecome.main(sys.argv.pop(1))", whole, "run", "x")
    assert said(*argv, env={**untouched, "PYTHONPATH": "/nowhere"}) == "whole run x\n"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (Path(untouched["HOME"]) / f".local/lib/{version}/site-packages").mkdir(parents=True)
    assert said(*argv, env=untouched) == "whole run x\n"


def test_a_program_that_cannot_be_started_again_is_an_error(untouched: dict[str, str]) -> None:
    argv = [sys.executable, "-I", "-S", "-c", f"{LEAN}\nsys.exit(become.main('/nowhere/hardening-cli'))"]
    changed = {**untouched, "PYTHONPATH": "/nowhere"}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=changed)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("hardening: cannot start /nowhere/hardening-cli: No such file or directory\nhint: ")
