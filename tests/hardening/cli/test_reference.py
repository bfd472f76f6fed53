"""`docs/reference/cli.md` names every command, every option and every JSON member that there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest

from hardening import errors
from hardening.cli.commands import COMMANDS
from hardening.cli.root import root
from hardening.compose.fold import Outcome
from tests.hardening.cli.samples import call, profile, session

DOCS = Path(__file__).parents[3] / "docs/reference"
PAGE = (DOCS / "cli.md").read_text()


def section(name: str) -> str:
    """The text below one heading of the page."""
    match = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match, f"no section {name}"
    return match[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_the_section_of_its_command(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    members = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    shared = section("The stack")
    for member in members:
        for parameter in member.params:
            if isinstance(parameter, click.Option):
                for flag in parameter.opts:
                    assert f"`{flag}" in section(name) or f"[{flag}" in section(name) or f"`{flag}" in shared, flag
    assert f"[`{name}`](#{name})" in PAGE
    assert COMMANDS[name][:-1].lower() in PAGE.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--dry-run", "--json", "--", "id"),
        ("compose", "--format", "settings", "--json"),
        ("explain", "--json"),
        ("explain", "--json", "box"),
        ("explain", "--json", "box.size"),
        ("doctor", "--json"),
        ("profile", "list", "--json"),
        ("profile", "show", "default", "--json"),
        ("plugin", "list", "--json"),
    ],
    ids=" ".join,
)
def test_every_member_of_the_json_is_described(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(tmp_path, "org", "[limits.box]\nsize = 9\n[box]\nsize = 1\n")
    profile(
        tmp_path, "default", "extends = 'org'\n[[exceptions]]\nsetting = 'box.size'\nreason = 'why'\n[box]\nsize = 2\n"
    )
    assert call(session(tmp_path), *arguments) == 0
    members = set(_members(json.loads(capsys.readouterr().out)))
    assert members
    assert not {name for name in members if f"`{name}`" not in PAGE}


def _members(data: Any) -> list[str]:
    if isinstance(data, list):
        return [name for item in data for name in _members(item)]
    if isinstance(data, dict):
        # The spec is described by its own standard.
        return [*data, *(name for key, item in data.items() if key not in ("spec", "value") for name in _members(item))]
    return []


def test_every_outcome_and_exit_code_is_described() -> None:
    for outcome in Outcome:
        assert f"`{outcome}`" in PAGE
    codes = (DOCS / "exit-codes.md").read_text()
    for name in dir(errors):
        if name.startswith("EXIT_"):
            assert f"| {getattr(errors, name)} |" in codes
