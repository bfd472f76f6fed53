"""The mechanism as a whole: names of leaves, dumps, and laws that notice a wrong merge."""

from __future__ import annotations

import attrs
import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening.mechanism.host import plain
from hardening.testing.laws import check_kind
from hardening_seccomp import Seccomp, groups
from hardening_seccomp.conditions import Rule
from hardening_seccomp.host import SeccompFacts, probe
from hardening_seccomp.settings import RuleKind

SECCOMP = Seccomp()


def test_names_of_leaves() -> None:
    assert SECCOMP.expand("ptrace") == ("ptrace",)
    assert SECCOMP.expand("*") == ("*",)
    assert set(SECCOMP.expand("@debug")) == groups.load().members["@debug"]
    assert SECCOMP.expand("flags.spec-allow") == ("flags.spec-allow",)
    assert SECCOMP.expand("architectures.x86") == ("architectures.x86",)
    assert SECCOMP.expand("ptrase") == ()
    assert SECCOMP.expand("@debgu") == []


def test_a_question_may_have_the_number_of_a_system_call() -> None:
    host = attrs.evolve(plain(), facts={SeccompFacts: probe(plain())})
    library = Libseccomp.load()
    number = library.number(library.native(), "socket")
    assert number is not None
    assert SECCOMP.meant(str(number), host) == "socket"
    assert [SECCOMP.meant(name, host) for name in ("socket", "999999", "9" * 20, "@debug")] == [
        "socket", "999999", "9" * 20, "@debug",
    ]  # fmt: skip
    without = attrs.evolve(host, facts={SeccompFacts: SeccompFacts("x86_64", frozenset(), None)})
    assert SECCOMP.meant(str(number), without) == str(number)
    assert SECCOMP.expand(str(number)) == ()  # no exception may name it


def test_a_default_has_no_conditions() -> None:
    samples = SECCOMP.samples()
    assert all(value.is_constant for setting, member, value in samples if (setting, member) == ("", "*"))
    assert any(not value.is_constant for setting, _, value in samples if setting == "")


def test_rules_are_lawful() -> None:
    assert check_kind(RuleKind()) == []


@pytest.mark.parametrize("wrong", [lambda self, a, b: a, lambda self, a, b: b, lambda self, a, b: self.samples()[0]])
def test_a_wrong_merge_breaks_the_laws(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RuleKind, "intersect", wrong)
    assert any(broken.law.startswith("intersect") for broken in check_kind(RuleKind()))


def test_a_wrong_order_breaks_the_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    def reversed_order(self: RuleKind, a: Rule, b: Rule) -> bool:
        return any(x.is_no_looser_than(y) for x in a.leaves for y in b.leaves)

    monkeypatch.setattr(RuleKind, "is_no_looser_than", reversed_order)
    assert check_kind(RuleKind()) != []
