"""What Landlock of older kernels, other machines and other stacks is said to deny: facts by hand, and one question to the
kernel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.assemble import pipeline
from hardening.mechanism import host as hosts
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Members
from hardening_capabilities.settings import CapabilitiesSettings
from hardening_landlock import Landlock
from hardening_landlock.host import LandlockFacts, assumed, check, probe
from hardening_landlock.settings import LandlockSettings
from hardening_landlock.spec import contribute, mount_points
from hardening_native import Native
from hardening_seccomp import Seccomp
from hardening_seccomp.actions import DENY
from hardening_seccomp.diagrams import constant
from tests.support.features import require
from tests.support.texts import composed

NOW = LandlockFacts(7, helper="/helper")
SHIPPED = {"mounts": False, "ioctl": ("/dev",), "abstract_sockets": False, "signals": False}


def settings(**values: Any) -> LandlockSettings:
    """What the shipped profiles say, but for ``values``."""
    defaults = {field.name: field.metadata["setting"].default for field in attrs.fields(LandlockSettings)}
    return LandlockSettings(**(defaults | SHIPPED | values))


NOTHING = settings(**dict.fromkeys(("mounts", "abstract_sockets", "signals"), True), ioctl=("/",))


def context(facts: LandlockFacts = NOW, *others: object, **values: Any) -> Context:
    host = attrs.evolve(hosts.plain(), facts={LandlockFacts: facts})
    return Context(host, {type(other): other for other in others}, **values)


def lacking(facts: LandlockFacts, *others: object, **values: Any) -> list[tuple[str, bool]]:
    return [(found.leaf, found.whole) for found in check(settings(**values), context(facts, *others))]


WHOLE = [("landlock", True)]


@pytest.mark.parametrize(
    ("abi", "leaves"),
    [
        (2, ["write", "ioctl", "abstract_sockets", "signals"]),
        (3, ["ioctl", "abstract_sockets", "signals"]),
        (5, ["abstract_sockets", "signals"]),
        (6, []),
        (9, []),
    ],
)
def test_an_older_kernel_denies_less_and_says_of_what(abi: int, leaves: list[str]) -> None:
    facts = attrs.evolve(NOW, abi=abi)
    assert lacking(facts) == [(f"landlock.{leaf}", False) for leaf in leaves]
    made = Fragment("landlock")
    contribute(settings(), context(facts), made)
    assert made.helper is not None
    handled = {word.partition("=")[2] for word in made.helper.value if word.startswith("handle=")}
    assert ("truncate" in handled, "ioctl" in handled, "signals" in handled) == (abi >= 3, abi >= 5, abi >= 6)


def test_ports_take_a_kernel_that_knows_them() -> None:
    assert ("landlock.bind", False) in lacking(attrs.evolve(NOW, abi=3), bind=("80",))
    assert ("landlock.bind", False) not in lacking(attrs.evolve(NOW, abi=4), bind=("80",))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (LandlockFacts(0, "it was booted without it", "/helper"), "booted without it"),
        (LandlockFacts(1, helper="/helper"), "between directories"),
        (LandlockFacts(7, lacking="there is no helper for riscv64"), "no helper for riscv64"),
    ],
)
def test_what_confines_nothing_is_whole_and_has_a_remedy(facts: LandlockFacts, reason: str) -> None:
    (found,) = check(settings(), context(facts))
    assert (found.leaf, found.whole) == WHOLE[0]
    assert reason in found.reason
    assert found.remedy
    assert list(check(NOTHING, context(facts))) == []


def test_what_keeps_the_helper_from_its_work_is_said_before_it_runs() -> None:
    seccomp = composed("", by=[Seccomp()]).settings["seccomp"]
    assert lacking(NOW, seccomp) == []
    calls = Members({**seccomp.syscalls.named, "landlock_restrict_self": constant(DENY)}, seccomp.syscalls.rest)
    assert lacking(NOW, attrs.evolve(seccomp, syscalls=calls)) == WHOLE
    loose = attrs.evolve(_capabilities(), no_new_privileges=False)
    assert lacking(NOW, loose) == WHOLE
    assert lacking(NOW, _capabilities()) == []


def test_of_a_kernel_that_was_not_asked_nothing_is_claimed() -> None:
    class Foreign(Native):
        name = "foreign"
        host_kernel = False

    composition = composed("[landlock]\nmounts = false", by=[Landlock()])
    here = context().host
    for runtime, found in ((None, []), (Native(), []), (Foreign(), WHOLE)):
        seen = pipeline.examine(composition, here, runtime=runtime)
        assert [(one.leaf, one.whole) for one in seen.unsupported] == found
        assert all("foreign has a kernel of its own" in one.reason for one in seen.unsupported)


def _capabilities() -> CapabilitiesSettings:
    defaults = {field.name: field.metadata["setting"].default for field in attrs.fields(CapabilitiesSettings)}
    return CapabilitiesSettings(**defaults)


def test_the_kernel_and_the_package_are_asked() -> None:
    require("landlock")
    require("x86_64")
    facts = probe(hosts.plain())
    assert facts.abi >= 1
    assert (facts.problem, facts.lacking) == ("", "")
    assert probe(attrs.evolve(hosts.plain(), machine="riscv64")).lacking == "there is no helper for riscv64"


def test_a_helper_that_not_everybody_may_execute_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardening_landlock.host.HELPERS", tmp_path)
    helper = tmp_path / f"landlock-{os.uname().machine}"
    helper.touch()
    for mode, used in ((0o755, True), (0o750, False)):
        helper.chmod(mode)
        facts = [ask(hosts.plain()) for ask in (probe, assumed)]
        assert [found.helper for found in facts] == [str(helper) if used else ""] * 2
        assert all(("executed by everybody" in found.lacking) != used for found in facts)
        assert [point.mount["source"] for point in mount_points(settings())] == ([str(helper)] if used else [])
