"""What AppArmor of a host can confine: facts by hand, and directories that look like a host."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pytest

from hardening.mechanism import host as hosts
from hardening.mechanism.mechanism import Context
from hardening_apparmor.findings import findings
from hardening_apparmor.host import ENABLED, LOADED, ApparmorFacts, check, probe
from hardening_apparmor.settings import ApparmorSettings
from tests.support import shipped

WEB = ApparmorSettings(profile=("web",))
NOW = ApparmorFacts(
    loaded=MappingProxyType({"web": "enforce", "base": "kill", "loose": "complain", "/usr/bin/man": "enforce"})
)


def context(facts: ApparmorFacts = NOW, **values: Any) -> Context:
    return Context(attrs.evolve(hosts.plain(), facts={ApparmorFacts: facts}), {}, **values)


def fake(root: Path, enabled: str | None, loaded: str | None) -> ApparmorFacts:
    for name, text in ((ENABLED, enabled), (LOADED, loaded)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (root / name).write_text(text)
    return probe(hosts.plain(), root)


def test_the_kernel_says_whether_it_is_active_and_what_is_loaded(tmp_path: Path) -> None:
    text = "web (enforce)\nbase (kill)\nloose (complain)\n/usr/bin/man (enforce)\n"
    assert fake(tmp_path / "active", "Y\n", text) == NOW
    assert fake(tmp_path / "off", "N\n", text).inactive == "the kernel was booted without it"
    assert "built without" in fake(tmp_path / "none", None, None).inactive
    assert "securityfs" in fake(tmp_path / "unmounted", "Y\n", None).inactive


def test_what_only_root_sees_is_not_taken_for_nothing(tmp_path: Path) -> None:
    (tmp_path / LOADED).mkdir(parents=True)  # which nobody can read as a file
    assert fake(tmp_path, "Y\n", None) == ApparmorFacts()
    assert [found.rule for found in findings(WEB, context(ApparmorFacts()))] == ["apparmor/not-looked-at"]
    assert list(check(WEB, context(ApparmorFacts()))) == []
    assert (
        list(findings(WEB, context())) == list(findings(ApparmorSettings(profile=()), context(ApparmorFacts()))) == []
    )


@pytest.mark.parametrize(
    ("profile", "facts", "runtime", "reason"),
    [
        (("web",), ApparmorFacts("gone"), "crun", "AppArmor is not active: gone"),
        (("web",), NOW, "native", "the runtime native sets no AppArmor profile"),
        (("gone", "web"), NOW, "runc", "no profile gone is loaded"),
        (("loose",), NOW, None, "records what it would deny"),
        (("base", "web"), NOW, "crun", ""),
        ((), ApparmorFacts("gone"), "native", ""),
    ],
)
def test_what_is_not_enforced_has_a_reason_and_a_remedy(
    profile: tuple[str, ...], facts: ApparmorFacts, runtime: str | None, reason: str
) -> None:
    lacking = shipped.here()[0].runtime(runtime).lacking if runtime else ()
    found = list(check(ApparmorSettings(profile=profile), context(facts, runtime=runtime, lacking=lacking)))
    assert [reason in one.reason and bool(one.remedy) and one.whole for one in found] == ([True] if reason else [])
