"""What a host lacks, stood for by values."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hardening.errors import HostError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Unsupported
from hardening_seccomp import Seccomp
from hardening_seccomp.host import SeccompFacts
from tests.plugins.seccomp.stacks import composed, context, settings, this_host
from tests.support.features import require


def leaves(tmp_path: Path, text: str, **facts: object) -> list[str]:
    found = Seccomp().check(settings(tmp_path, text), context(this_host(**facts)))
    return [lacking.leaf for lacking in found]


def test_this_host_has_everything(tmp_path: Path) -> None:
    assert leaves(tmp_path, '[seccomp]\ndefault = "kill-process"\nallow = ["read"]\n') == []


def test_an_old_kernel_lacks_actions(tmp_path: Path) -> None:
    old = frozenset({"kill_thread", "trap", "errno", "trace", "allow"})
    found = leaves(tmp_path, '[seccomp]\ndefault = "kill-process"\nlog = ["read"]\n', actions=old)
    assert sorted(found) == ["seccomp.*", "seccomp.read"]


def test_a_kernel_without_filters_and_a_missing_library(tmp_path: Path) -> None:
    assert leaves(tmp_path, "", actions=frozenset()) == ["seccomp.*"]
    assert leaves(tmp_path, "", library=None, problem="libseccomp.so.2 cannot be opened") == ["seccomp.*"]


@pytest.mark.parametrize(
    ("text", "facts", "whole"),
    [
        ("", {"actions": frozenset()}, [True]),
        ("", {"library": None, "problem": "it is missing"}, [True]),
        ('[seccomp]\ndefault = "kill-process"\n', {"actions": frozenset({"errno", "allow"})}, [True]),
        ('[seccomp]\nlog = ["read"]\n', {"actions": frozenset({"errno", "allow", "kill_process"})}, [False]),
    ],
)
def test_a_gap_says_whether_there_is_any_filter(
    text: str, facts: dict[str, object], whole: list[bool], tmp_path: Path
) -> None:
    found = Seccomp().check(settings(tmp_path, text), context(this_host(**facts)))
    assert [lacking.whole for lacking in found] == whole


def test_an_architecture_of_another_byte_order_is_named(tmp_path: Path) -> None:
    require("x86_64")
    text = '[seccomp]\narchitectures = ["x86", "m68k", "s390x"]\n'
    found = [*Seccomp().check(settings(tmp_path, text), context())]
    assert [item.leaf for item in found] == ["seccomp.architectures.m68k", "seccomp.architectures.s390x"]
    assert found[0].reason.startswith("m68k has another byte order than x86_64")


def test_spec_allow_needs_a_kernel(tmp_path: Path) -> None:
    old = attrs.evolve(context(), host=attrs.evolve(this_host(), kernel=(4, 16)))
    found = Seccomp().check(settings(tmp_path, '[seccomp]\nflags = ["spec-allow"]\n'), old)
    assert [lacking.leaf for lacking in found] == ["seccomp.flags.spec-allow"]


def test_a_filter_that_is_loaded_early_lets_the_launch_end(tmp_path: Path) -> None:
    for free, allowed, uid, expected in (
        (False, '"@strict"', 0, ["seccomp.setgroups"]),
        (False, '"@strict"', 1000, ["seccomp.setresgid"]),
        (False, '"@strict", "@credentials"', 0, []),
        (True, '"@strict"', 0, []),
    ):
        stack = composed(
            tmp_path,
            f"[seccomp]\nallow = [{allowed}]\n[capabilities]\nno_new_privileges = {str(free).lower()}\n",
        )
        on = attrs.evolve(context(attrs.evolve(this_host(), uid=uid)), composed=stack.composed)
        found = Seccomp().check(stack.settings["seccomp"], on)
        assert [lacking.leaf for lacking in found] == expected


def test_without_a_library_nothing_is_contributed_unless_that_was_accepted(tmp_path: Path) -> None:
    bare = context(this_host(library=None, problem="no libseccomp"))
    with pytest.raises(HostError, match="no libseccomp"):
        Seccomp().contribute(settings(tmp_path, ""), bare, Fragment("seccomp"))
    accepted = attrs.evolve(bare, unsupported=(Unsupported("seccomp.*", "", ""),))
    fragment = Fragment("seccomp")
    Seccomp().contribute(settings(tmp_path, ""), accepted, fragment)
    assert fragment.values == {}


def test_names_are_checked_without_a_library_too(tmp_path: Path) -> None:
    facts = this_host(library=None).of(SeccompFacts)
    assert facts.knows("read")
    assert not facts.knows("reed")
