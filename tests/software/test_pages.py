"""The pages say what was run, and what it needed in numbers that are computed from their profiles."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType

import attrs
import pytest

from tests.docs.examples import ROOT, blocks
from tests.software import harness
from tests.support.features import require
from tools import beyond

PAGES = ROOT / "docs/software"
NAMES = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")
#: How each program tells its version.
VERSIONS: dict[str, Sequence[str]] = {
    "busybox": ("/bin/busybox",),
    "git": ("git", "--version"),
    "http-server": ("/usr/bin/python3", "--version"),
    "java": ("java", "-version"),
    "make": ("gcc", "-dumpfullversion"),
    "nginx": ("/usr/sbin/nginx", "-v"),
    "node": ("node", "--version"),
    "pip": ("/usr/bin/python3", "-m", "pip", "--version"),
    "postgresql": ("psql", "--version"),
    "redis": ("redis-server", "--version"),
    "sqlite": ("sqlite3", "--version"),
}


@attrs.frozen
class Facts:
    """The table at the top of a page."""

    title: str
    tried: str
    profile: str
    shipped: str


def facts(name: str) -> Facts:
    text = (PAGES / f"{name}.md").read_text()
    title = re.match(r"# (.*)\n", text)
    cells = dict(re.findall(r"^\| ([a-z ]+) \| (.*) \|$", text, re.MULTILINE))
    assert title is not None
    return Facts(title[1], cells["tried"], cells["profile"], cells["without a profile of its own"].strip("`"))


def needs(name: str, folder: Path) -> beyond.Needs:
    """What the profile of a page permits beyond `strict`; computed where the page's other files lie, too."""
    for block in blocks(PAGES / f"{name}.md"):
        if "file" in block.marks:
            path = folder / block.marks["file"]
            path.write_text(block.text)
            path.chmod(0o644)
    return beyond.needs(str(folder / f"{name}.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_its_profile_permits_beyond_strict(name: str, tmp_path: Path) -> None:
    """`tools/beyond.py PROFILE SHIPPED` prints the table."""
    table = beyond.table(needs(name, tmp_path), facts(name).shipped)
    assert f"## What it needed beyond `strict`\n\n{table}\n" in (PAGES / f"{name}.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_index_says_the_same(name: str, tmp_path: Path) -> None:
    found, page = needs(name, tmp_path), facts(name)
    numbers = " | ".join(str(len(items)) for items in (found.capabilities, found.syscalls, found.writable))
    profile = re.split(r",", page.profile)[0]
    row = f"| [{page.title}]({name}.md) | {page.tried} | {profile} | yes | yes | {numbers} | "
    rows = [line for line in (PAGES / "README.md").read_text().splitlines() if line.startswith(row)]
    assert len(rows) == 1, f"the index has no line {row}…"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_was_tried_with_the_version_that_it_names(name: str) -> None:
    tried, _, system = facts(name).tried.rpartition(", ")
    require(system.lower().replace(" ", "-"))
    said = subprocess.run(VERSIONS[name], capture_output=True, text=True, check=True)
    number = re.search(r"\d+(\.\d+)*", said.stdout + said.stderr)
    assert number is not None
    listed = re.findall(r"\d+(?:\.\d+)*", tried)
    assert any(f"{number[0]}.".startswith(f"{version}.") for version in listed), f"{number[0]} is not in {tried}"


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_its_tests(name: str) -> None:
    """As root and as an ordinary user (the fixture `user`), and without each thing that the profile says."""
    module = importlib.import_module(f"tests.software.test_{name.replace('-', '_')}")
    functions = {item: inspect.unwrap(found) for item, found in vars(module).items() if inspect.isfunction(found)}
    tests = [found for item, found in functions.items() if item.startswith("test_")]
    places = [item for item, found in functions.items() if _calls(found, "placed") and name in found.__code__.co_consts]
    here = [found for found in tests if any(_calls(found, item) for item in ("placed", *places))]
    assert any("user" in inspect.signature(found).parameters for found in here)
    assert any(_calls(found, "unneeded") for found in here)
    assert (vars(module)["placed"], vars(module)["unneeded"]) == (harness.placed, harness.unneeded)


def _calls(function: FunctionType, name: str) -> bool:
    return name in function.__code__.co_names
