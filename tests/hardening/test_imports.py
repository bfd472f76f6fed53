"""Imports of packages' modules from their compiled files: the same modules as the import system's."""

from __future__ import annotations

import importlib.machinery
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

import hardening

PLACE = str(Path(hardening.__file__).parents[1])
SHOW = "print(one.VALUE, type(one.__loader__).__name__, one.__file__, one.__package__)"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one module, which is compiled."""
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "one.py").write_text("VALUE = 'first'\n")
    py_compile.compile(str(folder / "one.py"))
    return folder


def said(package: Path, *code: str) -> str:
    """What a program prints that imports from the folder of the package."""
    lines = (f"import sys; sys.path += [{PLACE!r}, {str(package.parent)!r}]", "from hardening import imports", *code)
    argv = [sys.executable, "-I", "-S", "-B", "-c", "\n".join(lines)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_a_module_comes_from_its_compiled_file(package: Path) -> None:
    expected = f"first Packages {package}/one.py some"
    assert said(package, "imports.use()", "from some import one", SHOW) == expected
    assert said(package, "from some import one", SHOW) == expected.replace("Packages", "SourceFileLoader")


def test_a_changed_module_is_compiled_anew(package: Path) -> None:
    (package / "one.py").write_text("VALUE = 'changed'\n")
    assert said(package, "imports.use()", "from some import one", SHOW).split()[0] == "changed"


@pytest.mark.parametrize("other", ["one", *(f"one{end}" for end in importlib.machinery.EXTENSION_SUFFIXES)])
def test_what_goes_before_the_source_is_left_to_the_import_system(package: Path, other: str) -> None:
    if other == "one":
        (package / other).mkdir()
        (package / other / "__init__.py").write_text("VALUE = 'package'\n")
        expected = "package"
    else:
        (package / other).write_bytes(b"no library")
        expected = "refused"
    code = "try:\n    from some import one; print(one.VALUE)\nexcept ImportError:\n    print('refused')"
    assert said(package, code) == said(package, "imports.use()", code) == expected


def test_a_package_of_several_places_is_left_to_the_import_system(package: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first/spread", tmp_path / "second/spread"
    for folder, name in ((first, "one"), (second, "two")):
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text("VALUE = __name__\n")
    places = f"sys.path += {[str(first.parent), str(second.parent)]!r}"
    code = (places, "imports.use()", "from spread import one, two", "print(one.VALUE, two.VALUE)")
    assert said(package, *code) == "spread.one spread.two"


def test_import_hooks_of_others_go_before(package: Path) -> None:
    hook = """
class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "some.one":
            raise ImportError("asked")
sys.meta_path.insert(0, Hook)
imports.use()
try:
    from some import one
except ImportError as error:
    print(error)
"""
    assert said(package, hook) == "asked"


def test_compiled_files_that_are_not_to_be_used_are_not(package: Path) -> None:
    prefix = f"sys.pycache_prefix = {os.devnull!r}"
    assert said(package, prefix, "imports.use()", "from some import one", SHOW).split()[1] == "SourceFileLoader"
