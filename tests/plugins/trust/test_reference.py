"""`docs/reference/trust.md` names everything that there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from hardening.base.openpgp import keyrings as openpgp
from hardening.images.signatures import LONGEST, MOST
from hardening_trust import lint, lookaside, subjects, verification
from hardening_trust.commands import COMMANDS, group
from hardening_trust.rules import RULES
from hardening_trust.scopes import ScopeRule

PAGE = (Path(__file__).parents[3] / "docs/reference/trust.md").read_text()


def test_every_finding_has_a_rule() -> None:
    found = set(re.findall(r'(?:_finding|Misread)\(\s*"([a-z-]+)"', inspect.getsource(lint)))
    assert found
    assert found <= RULES.keys()


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    seconds = {3: "three"}[openpgp._SECONDS]
    for words in (
        f"A signature has at most {LONGEST >> 20} MiB; a server has {lookaside.ALTOGETHER:.0f} seconds",
        f"until one is missing, at most {MOST};",
        f"Each message has {seconds} seconds of processor time",
        f"where { {3: 'three'}[verification.MOST_SLOW] } signatures of an image have used that up",
        f"every image in it, at most {subjects.MOST_IMAGES} of them",
    ):
        assert words in PAGE


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_on_the_page_and_says_what_it_does(name: str) -> None:
    assert f"`hardening trust {name}" in PAGE
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name
    assert command.short_help == COMMANDS[name]


@pytest.mark.parametrize(
    "rule",
    [
        ScopeRule.REFERENCE,
        ScopeRule.REPOSITORY,
        ScopeRule.NAMESPACE,
        ScopeRule.HOST,
        ScopeRule.WILDCARD,
        ScopeRule.TRANSPORT,
    ],
)
def test_every_rule_for_registries_is_on_the_page(rule: ScopeRule) -> None:
    assert f"| {rule}" in PAGE
