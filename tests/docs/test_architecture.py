"""docs/architecture.md is held against the code: rooms, their order, and the modules that it names."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import grimp

import hardening
from tests.docs.examples import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
PACKAGE = Path(hardening.__file__).parent


def test_the_rooms_are_those_of_the_contract_in_its_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (item for item in contracts if item["type"] == "layers")
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == contract["layers"]
    assert {*rows} == {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}


def test_what_it_names_is_there() -> None:
    named = {*re.findall(r"`((?:hardening|plugins|tests|scripts)/[\w/.-]+)`", PAGE)}
    assert len(named) > 8
    assert {name for name in named if not (ROOT / name).exists()} == set()
    classes = {*re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)[`.]", PAGE)}
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert {"LaunchRequest", "DropBounding"} <= classes
    assert {name for name in classes if f"class {name}" not in code} == set()
    drawn = re.search(r"```\n(.*?)```", PAGE, re.DOTALL)
    assert drawn is not None
    places = {word.rstrip("/") for line in drawn[1].splitlines() for word in re.findall(r"[a-z]+/[a-z_]*", line[80:])}
    assert {"cli", "launch/native", "assemble/bundle"} <= places
    missing = {place for place in places if not any((PACKAGE / place).with_suffix(end).exists() for end in ("", ".py"))}
    assert missing <= {"plugins"}


def test_no_folder_is_a_crowd() -> None:
    """A folder with more than some twenty modules is asking to become two."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {str(folder): count for folder in folders if (count := len([*folder.glob("*.py")])) > 20} == {}
    assert len([*PACKAGE.glob("*.py")]) <= 5


def test_no_import_comes_back_to_where_it_began() -> None:
    """For types, and within functions, too."""
    graph = grimp.build_graph("hardening", cache_dir=None)
    found = {
        module
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if graph.chain_exists(importer=imported, imported=module)
    }
    assert found == set()
