"""Imports straight from compiled files: the same modules as the import system's, and never a stale one."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

STAGE = Path(__file__).parents[3] / "hardening/launch"
MODULES = {
    "__init__": "",
    "one": "from hardening.launch import two\nVALUE = two.VALUE\n",
    "two": "VALUE = 'first'\n",
    "compiled": (STAGE / "compiled.py").read_text(),
    "system": (STAGE / "system.py").read_text(),
}
SHOW = "print(one.VALUE, type(one.__loader__).__name__, one.__file__, one.__package__)"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A package with modules of that name, compiled."""
    make(tmp_path)
    return tmp_path


def make(place: Path) -> None:
    """Write the modules, and their compiled files."""
    package = place / "hardening/launch"
    package.mkdir(parents=True, exist_ok=True)
    (package.parent / "__init__.py").write_text("")
    for name, text in MODULES.items():
        (package / f"{name}.py").write_text(text)
        py_compile.compile(str(package / f"{name}.py"))


def said(place: Path, code: str, *options: str) -> str:
    """What a program prints that imports from ``place``."""
    code = f"import sys; sys.path.append({str(place)!r}); from hardening.launch.compiled import read_ahead, use; {code}"
    argv = [sys.executable, "-I", "-S", *options, "-c", code]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def compiled_file(place: Path, name: str) -> Path:
    return next((place / "hardening/launch/__pycache__").glob(f"{name}.*.pyc"))


def test_a_module_comes_from_its_compiled_file(place: Path) -> None:
    file = place / "hardening/launch/one.py"
    expected = f"first Compiled {file} hardening.launch"
    assert said(place, f"use(); from hardening.launch import one; {SHOW}") == expected
    assert said(place, f"from hardening.launch import one; {SHOW}") == expected.replace("Compiled", "SourceFileLoader")


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("spoilt", ["source", "time", "magic", "short", "flags", "gone"])
def test_what_is_not_as_expected_is_left_to_the_import_system(place: Path, name: str, spoilt: str) -> None:
    source, compiled = place / f"hardening/launch/{name}.py", compiled_file(place, name)
    data = compiled.read_bytes()
    value = "first"
    if spoilt == "source" and name == "two":
        value = "second"
        source.write_text(f"VALUE = '{value}'\n")
    elif spoilt in ("source", "time"):
        os.utime(source, (1, 1))
    elif spoilt == "gone":
        compiled.unlink()
    else:
        compiled.write_bytes(
            {"magic": b"\0" * 4 + data[4:], "short": data[:10], "flags": data[:4] + b"\1" + data[5:]}[spoilt]
        )
    assert said(place, f"use(); from hardening.launch import one; {SHOW}", "-B").split()[0] == value


def test_what_is_read_ahead_needs_no_file(place: Path) -> None:
    names = "['hardening.launch.one', 'hardening.launch.two']"
    gone = f"import shutil; shutil.rmtree({str(place / 'hardening/launch')!r})"
    later = f"from hardening.launch import one; {SHOW}"
    for before in (f"use(); read_ahead({names})", f"read_ahead({names})"):
        make(place)
        assert said(place, f"{before}; {gone}; {later}").startswith("first")
