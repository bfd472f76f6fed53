"""What happens to one system call: asked of the compiled program."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from hardening.errors import UsageError
from hardening.mechanism.mechanism import Unsupported
from hardening.mechanism.schema import WILDCARD
from hardening_seccomp import Seccomp, groups
from hardening_seccomp.actions import ALLOW
from hardening_seccomp.diagrams import constant
from hardening_seccomp.host import SeccompFacts
from tests.plugins.seccomp.stacks import context, settings, this_host

NATIVE = this_host().of(SeccompFacts).native
TEXT = """[seccomp]
default = "errno:ENOSYS"
allow = ["@basic-io", "ioctl"]
log = ["getpid"]
rules = [
  { names = ["ioctl"], action = "errno:EPERM", args = [{ index = 1, op = "eq", value = 0x5412 }] },
  { names = ["personality"], action = "allow", args = [{ index = 0, op = "eq", value = 0xffffffff }] },
]
"""


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("ioctl", ["1", "0x5412"], "errno:EPERM"),
        ("ioctl", ["1", "21522"], "errno:EPERM"),
        ("ioctl", ["1", "0o52022"], "errno:EPERM"),
        ("ioctl", ["1", "0x5413"], "allow"),
        ("ioctl", [], "allow"),
        # The kernel looks at 32 bits of a request.
        ("ioctl", ["1", "0xf00005412"], "errno:EPERM"),
        ("personality", ["-1"], "allow"),
        ("personality", ["0xffffffffffffffff"], "allow"),
        ("personality", ["0"], "errno:ENOSYS"),
        ("getpid", [], "log"),
        ("ptrace", ["0", "0", "0", "0", "0", "0"], "errno:ENOSYS"),
        ("opne", [], None),
        ("@debug", [], None),
        ("architectures.x86", [], None),
    ],
)
def test_the_answer_is_that_of_the_program(name: str, arguments: list[str], result: str | None, tmp_path: Path) -> None:
    assert Seccomp().answer(settings(tmp_path, TEXT), context(), name, arguments) == result


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("ptrace", "errno:EPERM"),
        ("personality", "errno:EPERM"),
        ("clone3", "errno:ENOSYS"),
        ("keyctl", "errno:EACCES"),
        ("getpid", "log"),
    ],
)
def test_a_denial_has_the_errno_of_its_call(name: str, result: str, tmp_path: Path) -> None:
    rules = TEXT.replace("rules = [", 'rules = [\n  { names = ["keyctl"], action = "errno:EACCES" },')
    text = rules.replace("errno:ENOSYS", "deny")
    assert Seccomp().answer(settings(tmp_path, text), context(), name, []) == result


@pytest.mark.parametrize(
    ("arguments", "statements"),
    [
        (["x"], '"x" is not a number'),
        ([""], '"" is not a number'),
        (["1.5"], "is not a number"),
        (["9" * 5000], "is not a number"),
        (["0x10000000000000000"], "wider than 64 bits"),
        ([str(-(1 << 63) - 1)], "wider than 64 bits"),
        (["0"] * 7, "at most 6 arguments"),
    ],
)
def test_what_is_no_argument_is_refused_with_a_hint(arguments: list[str], statements: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=statements) as caught:
        Seccomp().answer(settings(tmp_path, TEXT), context(), "ioctl", arguments)
    assert caught.value.origin == "seccomp.ioctl"
    assert caught.value.hint


def test_a_call_that_this_machine_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{NATIVE} has no such system call"):
        Seccomp().answer(settings(tmp_path, TEXT), context(), "stat64" if NATIVE == "x86_64" else "arch_prctl", [])


def test_without_a_filter_everything_is_allowed(tmp_path: Path) -> None:
    here = attrs.evolve(context(), unsupported=(Unsupported("seccomp.*", "no library", ""),))
    answer = Seccomp().answer(settings(tmp_path, TEXT), here, "ptrace", [])
    assert answer == "allow: this host enforces no filter"


def test_people_permit_a_call_by_allowing_it() -> None:
    mechanism = Seccomp()
    assert mechanism.permissions(mechanism.leaf("", "ptrace")) == ((constant(ALLOW), {"allow": ["ptrace"]}),)
    assert mechanism.permissions(mechanism.leaf("", WILDCARD)) == ()
    assert mechanism.permissions(mechanism.leaf("flags.spec-allow")) == ()


@pytest.mark.parametrize("name", sorted(groups.load().guards))
def test_of_a_guarded_call_what_groups_give_is_offered_first(name: str, tmp_path: Path) -> None:
    mechanism = Seccomp()
    (less, written), (whole, _) = mechanism.permissions(mechanism.leaf("", name))
    assert written == {"allow": [f"@{name}"]}
    assert mechanism.schema.settings[""].kind.is_no_looser_than(less, whole)
    assert less != whole
    assert settings(tmp_path, f'[seccomp]\nallow = ["@{name}"]\n').syscalls[name] == less
