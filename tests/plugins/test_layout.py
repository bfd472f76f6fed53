"""The packages of mechanisms are laid out alike (`hardening/mechanism/package.py`): who knows one knows all."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Container, Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.package import PackagedMechanism
from tests.support import shipped

STAGES = {
    "host": ("probe", "inputs", "check"),
    "spec": ("contribute",),
    "tighten": ("tighten",),
    "verify": ("verify",),
    "findings": ("findings",),
    "exposure": ("exposure", "reported"),
}
ENFORCING = {"apparmor", "capabilities", "landlock", "namespaces", "process", "rootfs", "seccomp", "secrets", "selinux"}
#: They judge before a launch, by `hardening_admit`, and the kernel enforces nothing of theirs.
JUDGING = {"scan", "trust"}
MECHANISMS = {item.name: item for item in shipped.here()[0].mechanisms}


def package(name: str) -> Path:
    return Path(str(import_module(f"hardening_{name}").__file__)).parent


def test_each_mechanism_is_of_one_kind() -> None:
    assert MECHANISMS.keys() == ENFORCING | JUDGING


@pytest.mark.parametrize("name", sorted(ENFORCING))
def test_what_is_enforced_has_a_module_for_each_stage(name: str) -> None:
    for stage, functions in STAGES.items():
        if (stage, name) == ("exposure", "landlock"):  # the second line of what has an item already
            assert not (package(name) / "exposure.py").exists()
            continue
        module = import_module(f"hardening_{name}.{stage}")
        for function in functions:
            _, *wanted = inspect.signature(getattr(Mechanism, function)).parameters.values()
            given = inspect.signature(getattr(module, function)).parameters.values()
            assert [item.name for item in wanted] == [item.name for item in given if item.default is item.empty]
    assert import_module(f"hardening_{name}.rules").RULES
    assert (package(name) / "settings.py").exists()
    # Nowhere else in the package is a stage defined.
    for path in package(name).rglob("*.py"):
        if path.stem not in (*STAGES, "__init__") and not path.stem.startswith("foreign_"):
            assert "\ndef tighten(" not in path.read_text(), path


@pytest.mark.parametrize("name", sorted(JUDGING))
def test_what_judges_has_its_verdict_in_one_module(name: str) -> None:
    assert {"settings.py", "admission.py"} <= {path.name for path in package(name).iterdir()}
    assert not issubclass(type(MECHANISMS[name]), PackagedMechanism)


@pytest.mark.parametrize("name", sorted(ENFORCING | JUDGING))
def test_no_module_of_a_package_needs_itself(name: str) -> None:
    """By whatever imports, those of functions and for types included."""
    top = f"hardening_{name}"
    sources = {
        ".".join((top, *path.relative_to(package(name)).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in package(name).rglob("*.py")
    }
    imports = {module: set(_imported(path, sources)) & (sources.keys() - {module}) for module, path in sources.items()}
    assert any(imports.values())
    TopologicalSorter(imports).prepare()  # which raises `CycleError`


def _imported(path: Path, known: Container[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{item.name}" for item in node.names]
            yield from (name if name in known else node.module for name in names)
