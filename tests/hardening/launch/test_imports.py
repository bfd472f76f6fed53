"""The import rule of the launch stage: the standard library and `_cffi_backend`, wherever it imports, and nothing slow."""

from __future__ import annotations

import ast
import json
import posix
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hardening.launch
from hardening.launch.command import stage_command

SLOW = {"argparse", "asyncio", "collections", "dataclasses", "enum", "functools", "hashlib", "inspect", "json", "re"}
SLOW |= {"os", "posixpath", "shutil", "signal", "socket", "stat", "subprocess", "tempfile", "typing"}
MODULES = sorted(path.stem for path in Path(hardening.launch.__file__).parent.glob("*.py"))
BUILD_TIME = {"libc_build", "command"}  # run by a person, and by the rest of `hardening`
# Some interpreters do not list those by which `hashlib` is spared.
STANDARD = sys.stdlib_module_names | {"_sha2", "_sha256"}
# What is no part of an ordinary native launch may import `os`.
OTHER = {"cgroup2_only", "external", "observe", "ociprogram", "receipt", "userns"}


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


def _imported(tree: ast.Module) -> Iterator[str]:
    """Every module that a file names in an import, in a function as at the top."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            # `from hardening import launch` imports a module, whose name stands on the right.
            of_packages = node.module in ("hardening", "hardening.launch")
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if of_packages else (node.module,)


@pytest.mark.parametrize("module", sorted({*MODULES} - BUILD_TIME))
def test_a_module_names_nothing_foreign_in_any_import(module: str) -> None:
    """Also what only a launch of one kind imports: in the background, under another runtime, with a terminal or secrets."""
    imported = set(_imported(ast.parse(Path(hardening.launch.__file__).with_name(f"{module}.py").read_text())))
    own = {name for name in imported if name.startswith("hardening.launch.")} | {
        "hardening.errors",
        "hardening.__version__",
    }
    assert {name for name in imported - own if name.split(".")[0] not in STANDARD | {"_cffi_backend"}} == set()
    assert imported & {f"hardening.launch.{name}" for name in BUILD_TIME} == set()


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


def test_a_launch_up_to_its_configuration_imports_nothing_foreign_and_nothing_slow(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"ociVersion": "1.0.0"}))
    statement = f"from hardening.launch import main; main.main([{str(tmp_path)!r}])"
    loaded = _loaded(statement)
    top = {name.split(".")[0] for name in loaded}
    assert {name for name in top if name not in sys.stdlib_module_names} <= {"hardening", "_cffi_backend", "__main__"}
    assert top & SLOW == set()
    assert "hardening.launch.config" in loaded


def test_all_that_the_command_s_process_runs_is_there_before_it_is_another_s() -> None:
    """Files of Python and of ours may lie where the container's ids do not come: in the home of root, as those of pyenv."""
    statement = (
        "from hardening.launch import kernel, starting;"
        "mount = type('Mount', (), {'kind': 'cgroup2', 'copies': True})();"
        "wanted = type('Wanted', (), {'mounts': [mount], 'masked': ['/a*'], 'read_only': []})();"
        "starting.is_enough = lambda wanted: False;"
        "kernel.clone = lambda flags: 1; end = type('End', (), {'close': lambda self: None})();"
        "starting.start(type('Setup', (), {'wanted': wanted})(), end, end)"
    )
    # The stage has the first of these where there are such rules (config_linux), and uses the other one itself.
    loaded = _loaded(statement) | {"hardening.launch.device_rules", "hardening.launch.idmaps"}
    own = ("starting", "inner", "devices", "identity", "lookup", "mounts", "cgroup_view", "copyup", "patterns")
    for name in (*own, "abi", "channel", "failure", "files", "handed", "joins", "kernel", "links", "sources"):
        path = Path(hardening.launch.__file__).with_name(f"{name}.py")
        imported = set(_imported(_at_run_time(ast.parse(path.read_text())))) - {"__future__"}
        assert imported <= loaded or name not in own, name
        assert imported <= loaded or f"hardening.launch.{name}" not in loaded, name


def _at_run_time(tree: ast.Module) -> ast.Module:
    """Without what only type checkers import."""
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree
