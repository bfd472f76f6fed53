"""`hardening/launch` imports the standard library and `_cffi_backend`, wherever it imports, and nothing slow."""

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
from hardening.launch.request import LaunchRequest
from tests.support import bundles

SLOW = {"argparse", "asyncio", "collections", "dataclasses", "enum", "functools", "hashlib", "inspect", "json", "re"}
SLOW |= {"os", "posixpath", "shutil", "signal", "socket", "stat", "subprocess", "tempfile", "typing"}
PLACE = Path(hardening.__file__).parents[1]
#: Run by a person, and by the rest of `hardening`.
OTHERS = {"hardening.base.linux.bindings_build"}
# Some interpreters do not list those by which `hashlib` is spared.
STANDARD = sys.stdlib_module_names | {"_sha2", "_sha256"}
# What is no part of an ordinary native launch may import `os`.
MAY_BE_SLOW = {"cgroup2_only", "external", "observe", "ociprogram", "receipt", "userns"}


def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text())


def _file(module: str) -> Path:
    path = PLACE / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a file names in an import, in a function as at the top."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            # `from hardening import launch` imports a module, whose name stands on the right.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from [name for name in names if _is_ours(name)] or [node.module]


def _is_ours(name: str) -> bool:
    return name.startswith("hardening.") and _file(name).exists()


def _at_run_time(tree: ast.Module) -> ast.Module:
    """Without what only type checkers import."""
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


@pytest.fixture(scope="module")
def lean() -> list[str]:
    """The modules of the launcher, and all of ours that they import."""
    paths = [path.relative_to(PLACE).with_suffix("") for path in (PLACE / "hardening/launch").rglob("*.py")]
    left = {".".join(path.parts).removesuffix(".__init__") for path in paths} - OTHERS
    found = set[str]()
    while left:
        found |= left
        left = {name for module in left for name in _imported(_at_run_time(_tree(module))) if _is_ours(name)} - found
    return sorted(found)


def _loaded(*statements: str) -> list[set[str]]:
    """The modules that a fresh interpreter has after each of some statements, without the others."""
    argv = LaunchRequest().argv("/nowhere")
    code = (
        "import posix, sys; sys.path += sys.argv[1].split(':')\n"
        "for statement in sys.argv[2:]:\n"
        "    if posix.fork() == 0: exec(statement); print(*sys.modules, flush=True); posix._exit(0)\n"
        "    if posix.wait()[1] != 0: sys.exit(statement)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, argv[argv.index("-c") + 2], *statements],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_what_the_rule_is_for(lean: list[str]) -> None:
    assert len(lean) > 60
    assert not OTHERS & {*lean}
    assert {".".join(name.split(".")[:2]) for name in lean} == {
        "hardening.base",
        "hardening.errors",
        "hardening.launch",
    }


def test_a_module_imports_nothing_foreign_and_nothing_slow(lean: list[str]) -> None:
    packages = {"hardening", "hardening.base", "hardening.base.linux", "hardening.launch"}
    for module, loaded in zip(lean, _loaded(*(f"import {module}" for module in lean)), strict=True):
        top = {name.split(".")[0] for name in loaded}
        assert top - sys.stdlib_module_names <= {"hardening", "_cffi_backend", "__main__"}, module
        assert {name for name in loaded if name.startswith("hardening")} - packages <= {*lean}, module
        may = {"os", "posixpath", "stat"} if module.rpartition(".")[2] in MAY_BE_SLOW else set()
        assert top & SLOW <= may, module


def test_a_module_names_nothing_foreign_in_any_import(lean: list[str]) -> None:
    """Also what only a launch of one kind imports: in the background, under another runtime, with a terminal or secrets."""
    for module in lean:
        imported = set(_imported(_tree(module))) - {*lean, "hardening"}
        assert {name.split(".")[0] for name in imported} <= STANDARD | {"_cffi_backend"}, module


def test_what_a_module_takes_for_a_part_of_os_is_a_part_of_posix(lean: list[str]) -> None:
    for module in lean:
        nodes = list(ast.walk(_tree(module)))
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        taken = {alias.name for node in imports if node.module == "hardening.base.linux.system" for alias in node.names}
        if "os" in taken:
            names = {
                node.attr
                for node in nodes
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
            }
            assert {name for name in names if not hasattr(posix, name)} == set(), module


def test_a_launch_up_to_its_configuration_imports_nothing_foreign_and_nothing_slow(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"ociVersion": "1.0.0"}))
    statement = f"from hardening.launch import main; main.main({LaunchRequest(bundle=str(tmp_path)).to_json()!r})"
    (loaded,) = _loaded(statement)
    top = {name.split(".")[0] for name in loaded}
    assert {name for name in top if name not in sys.stdlib_module_names} <= {"hardening", "_cffi_backend", "__main__"}
    assert top & SLOW == set()
    assert "hardening.launch.config.config" in loaded


def test_all_that_the_command_s_process_runs_is_there_before_it_is_another_s() -> None:
    """Files of Python and of ours may lie where the container's ids do not come: in the home of root, as those of pyenv."""
    document = bundles.config("true", uid_maps=bundles.id_maps(0, 1))
    document["mounts"] += [
        {"destination": "/sys/fs/cgroup", "type": "cgroup"},
        {"destination": "/run", "type": "tmpfs", "options": ["tmpcopyup"]},
    ]
    document["linux"]["maskedPaths"].append("/a*")
    (loaded,) = _loaded(
        "from hardening.launch.native import native; from hardening.launch.config import config;"
        f"native.translate(config.read({document!r}))"
    )
    own = [f"hardening.launch.native.{name}" for name in ("grouping", "copyup", "matching", "operation", "processes")]
    own += [
        f"hardening.launch.native.{name}"
        for name in ("devices", "identity", "lookup", "mounts", "namespaces", "session")
    ]
    own += ["hardening.base.patterns"]
    beside = [
        *(f"hardening.base.{name}" for name in ("linux.abi", "linux.failure", "linux.kernel", "files", "links")),
        *(f"hardening.launch.{name}" for name in ("native.channel", "native.joins", "native.sources", "secret.handed")),
    ]
    for module in (*own, *beside):
        imported = set(_imported(_at_run_time(_tree(module)))) - {"__future__"}
        assert imported <= loaded or module not in own, module
        assert imported <= loaded or module not in loaded, module
