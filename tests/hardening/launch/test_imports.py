"""The import rule of the launch stage: the standard library and `_cffi_backend`, and nothing slow."""

from __future__ import annotations

import ast
import json
import posix
import subprocess
import sys
from pathlib import Path

import pytest

import hardening.launch
from hardening.launch.command import stage_command

SLOW = {"argparse", "asyncio", "collections", "dataclasses", "enum", "functools", "hashlib", "inspect", "json", "re"}
SLOW |= {"os", "posixpath", "shutil", "signal", "socket", "stat", "subprocess", "tempfile", "typing"}
MODULES = sorted(path.stem for path in Path(hardening.launch.__file__).parent.glob("*.py") if path.stem != "__main__")
BUILD_TIME = {"libc_build", "command"}  # run by a person, and by the rest of `hardening`
# What is no part of an ordinary native launch may import `os`.
OTHER = {"cgroup2_only", "external", "ociprogram", "receipt", "userns"}


def _loaded(statement: str) -> set[str]:
    argv = stage_command("/nowhere")
    path = argv[argv.index("-c") + 2]
    code = f"import sys; sys.path += {path!r}.split(':'); {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", [name for name in MODULES if name not in BUILD_TIME])
def test_a_module_imports_nothing_foreign_and_nothing_slow(module: str) -> None:
    loaded = _loaded(f"import hardening.launch.{module}")
    top = {name.split(".")[0] for name in loaded}
    foreign = {name for name in top if name not in sys.stdlib_module_names} - {"hardening", "_cffi_backend", "__main__"}
    assert foreign == set()
    assert {name for name in loaded if name.startswith("hardening")} - {"hardening", "hardening.errors"} == {
        name for name in loaded if name.startswith("hardening.launch")
    }
    assert top & SLOW <= ({"os", "posixpath", "stat"} if module in OTHER else set())


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_takes_for_a_part_of_os_is_a_part_of_posix(module: str) -> None:
    tree = ast.parse(Path(hardening.launch.__file__).with_name(f"{module}.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    if any(node.module == "hardening.launch.system" for node in imports):
        names = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        }
        assert {name for name in names if not hasattr(posix, name)} == set()


def test_a_whole_launch_imports_nothing_foreign_and_nothing_slow(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"ociVersion": "1.0.0"}))
    statement = f"from hardening.launch import main; main.main([{str(tmp_path)!r}])"
    loaded = _loaded(statement)
    top = {name.split(".")[0] for name in loaded}
    assert {name for name in top if name not in sys.stdlib_module_names} <= {"hardening", "_cffi_backend", "__main__"}
    assert top & SLOW == set()
    assert "hardening.launch.config" in loaded
