"""Findings that refuse, rule by rule and layer by layer; and what rules find."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

from hardening.compose import rules
from hardening.errors import HardeningError
from hardening.mechanism import findings
from hardening.mechanism.findings import Finding, FindingsOf, Gate, Severity
from hardening.mechanism.schema import Leaf
from hardening.plugin import plugins
from hardening.profile.layers import parse_layer
from hardening.profile.source import Document

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
RULES = ("box/lid", "box/size", "other/rule")


def gate(text: str) -> Gate:
    layer = parse_layer(Document("org", Path("org.toml"), tomllib.loads(text), {}))
    (found,) = findings.gates([layer])
    return found


def refused(gates: list[Gate]) -> set[tuple[str, Severity]]:
    """The rules and severities that some of the gates refuse."""
    pairs = itertools.product(RULES, Severity)
    return {
        (rule, severity)
        for rule, severity in pairs
        if any(item.refuses(Finding(rule, severity, "x")) for item in gates)
    }


def all_of(*rules: str, least: Severity) -> set[tuple[str, Severity]]:
    return {(rule, severity) for rule in rules for severity in Severity if severity.reaches(least)}


@pytest.mark.parametrize("word", ["note", "warning", "error"])
def test_findings_refuse_from_a_severity_on(word: str) -> None:
    assert refused([gate(f"findings.refuse = '{word}'")]) == all_of(*RULES, least=Severity(word))


def test_a_rule_may_refuse_sooner_later_or_never() -> None:
    text = "[findings]\nrefuse = 'warning'\n[findings.rules]\n'box/lid' = 'note'\n'box/size' = 'never'\n"
    expected = all_of("box/lid", least=Severity.NOTE) | all_of("other/rule", least=Severity.WARNING)
    assert refused([gate(text)]) == expected
    assert refused([gate("[findings.rules]\n'box/lid' = 'error'")]) == all_of("box/lid", least=Severity.ERROR)
    assert refused([gate("findings.refuse = 'never'")]) == set()


GATES = [
    "findings.refuse = 'error'",
    "findings.refuse = 'never'",
    "[findings]\nrefuse = 'note'\n[findings.rules]\n'box/lid' = 'never'\n",
    "[findings]\nrefuse = 'warning'\n[findings.rules]\n'box/lid' = 'note'\n'box/size' = 'error'\n",
    "[findings.rules]\n'box/size' = 'warning'\n",
]


@pytest.mark.parametrize(("one", "two"), [*itertools.product(GATES, repeat=2)])
def test_a_layer_only_ever_adds_and_one_flat_layer_says_the_same(one: str, two: str) -> None:
    both = [gate(one), gate(two)]
    assert refused(both) == refused(both[:1]) | refused(both[1:])
    flat = Gate.of_all(both)
    places = dict.fromkeys(["", *flat.rules], both[0].places[""])
    assert refused([Gate(flat.refuse, flat.rules, places)]) == refused(both)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("findings.refuse = 'errors'", "errors"),
        ("findings.refuze = 'error'", "unknown key"),
        ("findings = 'error'", "a table is expected"),
        ("[findings.rules]\n'the lid' = 'error'", "no rule of a finding"),
    ],
)
def test_what_says_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(HardeningError, match=message) as caught:
        gate(text)
    assert caught.value.hint or "table" in message


def test_what_a_hint_says_to_write_has_its_table() -> None:
    """At the end of a file a bare key, or one with dots, lands in whatever table stands there."""
    for file in PLUGINS.glob("*/findings.py"):
        for hint in re.findall(r"""hint=f?(?:"([^"]*)"|'([^']*)')""", file.read_text()):
            if re.search(r"[a-z}] = ", text := "".join(hint)):
                assert re.search(r" = .* in \[[a-z.]+\]", text), f"{file}: {text}"


def test_every_rule_of_ours_says_what_it_finds() -> None:
    """`Mechanism.rules` is what `[findings.rules]` may name, so a rule that it lacks could not be named."""
    for mechanism in plugins.load().mechanisms:
        folder = PLUGINS / f"hardening_{mechanism.name}"
        text = "".join(path.read_text() for path in sorted(folder.rglob("*.py")))
        said = set(re.findall(rf'Finding\(\s*f?"{mechanism.name}/([a-z{{][^"]*)"', text))
        said |= set(re.findall(r'_(?:warn|note)\(\s*f?"([a-z{][^"]*)"', text)) if mechanism.name == "rootfs" else set()
        known = rules.RuleRegistry([mechanism])
        for rule in said - ({"{rule}"} if mechanism.name in ("rootfs", "trust") else set()):
            name = re.sub(r"\{[^}]*\}", "suid" if mechanism.name == "rootfs" else "x", rule)
            assert known.find(f"{mechanism.name}/{name}"), f"add {rule} to RULES of {mechanism.name}"
    core = (PLUGINS.parent / "hardening").rglob("*.py")
    said = {rule for path in core for rule in re.findall(r'"core/([a-z-]+)"', path.read_text())}
    assert said == set(rules.RULES)


def test_severities_have_an_order_and_a_word() -> None:
    assert [item.reaches(Severity.WARNING) for item in Severity] == [False, True, True]
    assert [item.word for item in Severity] == ["note", "warning", "serious"], "`error:` is of a program that failed"


def test_findings_of_a_mechanism_are_named_after_it() -> None:
    about = FindingsOf("box")
    assert about.note("lid", "it is open", "lid.angle") == Finding(
        "box/lid", Severity.NOTE, "it is open", "box.lid.angle"
    )
    said = about.warning("size", "it is small", "size", hint="take another", origin=Path("box.toml"))
    assert said == Finding("box/size", Severity.WARNING, "it is small", "box.size", "box.toml", "take another")
    assert about.finding(Severity.ERROR, "lid", "it is gone", "lid", origin=None).origin == ""
    assert about.note("lid", "the shelf is low", Leaf("shelf", "boards", "a.b")).leaf == "shelf.boards.a.b"
    assert about.note("lid", "nobody knows").leaf == "", "it is about no setting"
