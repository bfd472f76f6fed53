"""Each rule that lint can tell finds something of its example, and nothing of the mended one."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from hardening.cli import main
from hardening.cli.session import Session
from hardening.compose.rules import RuleRegistry
from hardening.errors import PluginError
from hardening.lint.linter import Linter
from hardening.mechanism.findings import FindingRule, Severity
from hardening.plugin.hookspecs import hookimpl
from hardening.plugin.plugincalls import Plugin
from hardening.plugin.plugins import Plugins
from tests.hardening.cli.samples import Box
from tests.support import runs

#: The day on which the examples are written.
TODAY = date(2026, 1, 1)
PLUGINS = runs.installed()
RULES = RuleRegistry(PLUGINS.mechanisms).by_id


@cache
def linter() -> Linter:
    session = Session(PLUGINS)
    return Linter(PLUGINS, session.search, TODAY)


def found(folder: Path, text: str) -> dict[str, Severity]:
    """The ids and severities of what is found of a profile, whose first line may name its file."""
    named = re.match(r"# file: (\S+)", text)
    path = folder / (named[1] if named else "example.toml")
    path.write_text(text)
    linter().forget(str(path))
    results = linter().lint(str(path))
    for result in results:
        assert 1 <= result.line <= len(text.splitlines()), result
        assert result.finding.hint or result.rule.mend, result
    return {result.ident: result.severity for result in results if not result.suppressed}


@pytest.mark.parametrize("ident", [ident for ident, rule in RULES.items() if rule.bad])
def test_a_rule_finds_its_example_and_not_the_mended_one(ident: str, tmp_path: Path) -> None:
    rule = RULES[ident]
    assert found(tmp_path, rule.bad)[ident] is rule.severity
    mended = found(tmp_path, rule.good)
    assert ident not in mended
    assert not mended.keys() & {"HRD001", "HRD002"}, "what is mended composes"


def test_every_rule_of_ours_has_an_id_and_says_why_and_how_it_is_mended() -> None:
    rules = RuleRegistry(PLUGINS.mechanisms)
    every = [rule for owner in rules.owners for rule in rules.of(owner).values()]
    assert all(re.fullmatch(r"HRD\d{3}", rule.id) for rule in every)
    assert all(rule.why and rule.mend for rule in every)
    assert all(rule.good != rule.bad for rule in every if rule.bad)
    assert sum(bool(rule.bad) for rule in every) > 50


class Told(Box):
    """One whose rules have no more than a text each, and not all of them."""

    def rules(self) -> dict[str, FindingRule | str]:
        return {"open": "A lid that is open", "sized-*": "A size"}


def test_a_rule_of_a_plugin_is_explained_and_one_that_it_does_not_declare_is_its_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = ModuleType("box_rules")
    vars(module)["hardening_mechanisms"] = hookimpl(lambda: (Told(),))
    plugins = Plugins([Plugin("box", module, "box", "1")])
    for name in ("box/open", "box/sized-large"):
        assert main(["lint", "--explain", name], Session(plugins)) == 0
        assert capsys.readouterr().out.startswith(f"{name}: A ")
    rules = RuleRegistry([Told()])
    with pytest.raises(PluginError, match=r"\[box\] finds something of box/shut, which is none of its rules") as caught:
        rules.described("box/shut")
    assert "open, sized-*" in str(caught.value.hint)
    assert RuleRegistry([Box()]).described("box/shut").summary == "Something that box found: shut", "none is declared"


def test_an_id_is_of_one_rule_alone() -> None:
    class Another(Box):
        def rules(self) -> dict[str, FindingRule | str]:
            return {"lid": FindingRule("HRD001", "Another")}

    with pytest.raises(PluginError, match=r"box/lid and core/malformed have the same id, HRD001"):
        _ = RuleRegistry([Another()]).by_id
