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
    names = "load, read_ahead, use"
    code = f"import sys; sys.path.append({str(place)!r}); from hardening.launch.compiled import {names}; {code}"
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


@pytest.mark.parametrize("order", ["['two', 'one']", "['one', 'two']", "['one']", "[]"])
def test_what_is_loaded_in_one_go_is_the_same_module(order: str, place: Path) -> None:
    file = place / "hardening/launch/one.py"
    shown = (
        f"import hardening.launch; from hardening.launch import one, two; assert hardening.launch.one is one; {SHOW}"
    )
    assert said(place, f"use({order}); {shown}") == f"first Compiled {file} hardening.launch"
    assert said(place, f"use(); load({order}); {shown}") == f"first Compiled {file} hardening.launch"
    assert said(place, f"load({order}); {shown}") == f"first SourceFileLoader {file} hardening.launch"


def test_what_cannot_be_loaded_in_one_go_is_left_to_the_import_system(place: Path) -> None:
    compiled_file(place, "two").unlink()
    assert said(place, f"use(['two', 'one']); from hardening.launch import one; {SHOW}", "-B").startswith(
        "first Compiled"
    )
    (place / "hardening/launch/two.py").write_text("VALUE = 1 / 0\n")
    py_compile.compile(str(place / "hardening/launch/two.py"))
    code = "use()\ntry:\n load(['two'])\nexcept ZeroDivisionError:\n print('hardening.launch.two' in sys.modules)"
    assert said(place, f"exec({code!r})") == "False"


@pytest.mark.parametrize("table", ["PLANS", "STAGE", "STAGE + NATIVE", "STAGE + NATIVE + WATCH"])
def test_each_module_of_the_tables_stands_after_those_that_it_imports(table: str) -> None:
    """Else the import system would be asked, in the middle of it, for what stands further on."""
    code = f"""if True:
        import sys
        sys.path += {sys.path!r}
        from hardening.launch.compiled import *
        from hardening.launch import compiled
        asked = []
        find = compiled.Compiled.find_spec
        compiled.Compiled.find_spec = lambda self, name, *rest: asked.append(name) or find(self, name, *rest)
        use()
        names = [compiled.full_name(name) for name in {table}]
        assert len(set(names)) == len(names)
        before = set(sys.modules)
        load({table})
        assert set(names) <= set(sys.modules)
        print([name for name in asked if name.startswith("hardening")], set(names) & before)
    """
    start = [sys.executable, "-I", "-S", "-c"]
    # So that there is a compiled file of each.
    subprocess.run(
        [*start, f"import sys; sys.path += {sys.path!r}; from hardening.launch import main, native, quick, setup"],
        check=True,
    )
    assert subprocess.run([*start, code], check=True, capture_output=True, text=True).stdout.strip() == "[] set()"


def test_what_is_read_ahead_needs_no_file(place: Path) -> None:
    names = "['one', 'two']"
    gone = f"import shutil; shutil.rmtree({str(place / 'hardening/launch')!r})"
    later = f"from hardening.launch import one; {SHOW}"
    for before in (f"use(); read_ahead({names})", f"read_ahead({names})"):
        make(place)
        assert said(place, f"{before}; {gone}; {later}").startswith("first")
