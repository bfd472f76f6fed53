"""Which calls the filter takes itself to have denied, and what it offers past that."""

from __future__ import annotations

import errno
import signal
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.mechanism.denial import Caller, Cause, Size, SystemCall
from hardening.mechanism.mechanism import Unsupported
from hardening.profile import toml_text
from hardening_seccomp import Seccomp
from hardening_seccomp.actions import ALLOW
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import SeccompSettings
from tests.plugins.seccomp.stacks import context, settings, this_host
from tests.support.features import require

HERE = this_host()
LIBRARY = HERE.of(SeccompFacts).required_library()
NATIVE = LIBRARY.native()
BASE = """[seccomp]
default = "errno:EPERM"
allow = ["@basic-io", "@file-read", "@file-write", "@process", "@socket", "@ioctl", "clone"]
rules = [{ names = ["personality"], action = "allow", args = [{ index = 0, op = "eq", value = 0 }] }]
"""


def call(name: str, *arguments: int, error: int = 0, killed: bool = False, token: int = NATIVE) -> SystemCall:
    number = LIBRARY.number(token, name)
    assert number is not None
    padded = (*arguments, *[0] * (6 - len(arguments)))
    return SystemCall(
        name,
        number,
        token,
        padded,
        Caller(1, filters=1),
        error,
        signal.SIGSYS if killed else 0,
        text=f"{name} as words",
    )


def causes(chosen: SeccompSettings, asked: SystemCall) -> Sequence[Cause]:
    return list(Seccomp().denied(chosen, context(HERE), asked))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SeccompSettings:
    return settings(tmp_path_factory.mktemp("base"), BASE)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (call("ptrace", error=errno.EPERM), "seccomp answers EPERM to ptrace"),
        (call("personality", 0x40000, error=errno.EPERM), "seccomp answers EPERM to personality(0x40000)"),
        (call("socket", 40, error=errno.EAFNOSUPPORT), "seccomp answers EAFNOSUPPORT to socket(0x28)"),
        (call("socket", 16, 3, 9, error=errno.EAFNOSUPPORT), "seccomp answers EAFNOSUPPORT to socket(0x10, 0x9)"),
        (call("ioctl", 1, 0xF00005412, error=errno.EPERM), "seccomp answers EPERM to ioctl(0x5412)"),
        (call("ptrace"), "seccomp answers EPERM to ptrace"),
    ],
)
def test_what_the_program_answers_to_these_arguments_is_certain(
    asked: SystemCall, said: str, base: SeccompSettings
) -> None:
    (cause,) = causes(base, asked)
    assert (cause.leaf, cause.what, cause.certain) == (f"seccomp.{asked.name}", said, True)


@pytest.mark.parametrize(
    "asked",
    [
        call("openat", error=errno.EPERM),
        call("openat", error=errno.ENOENT),
        call("personality", 0, error=errno.EPERM),
        call("personality", 0x40000, error=errno.ENOSYS),
        call("socket", 2, error=errno.EPERM),
        call("ptrace", error=errno.EACCES),
        call("ptrace", killed=True),
        call("openat", killed=True),
    ],
)
def test_what_it_lets_run_or_answers_otherwise_is_none_of_its_own(asked: SystemCall, base: SeccompSettings) -> None:
    """A filter that the program itself has installed may have answered."""
    assert not causes(base, asked)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("asked", "others"),
    [
        (call("personality", 0x40000, error=errno.EPERM), [("personality", (0x8,))]),
        (call("socket", 16, 3, 9, error=errno.EAFNOSUPPORT), [("socket", (40,)), ("socket", (16, 3, 8))]),
        (call("ioctl", 1, 0x5412, error=errno.EPERM), [("ioctl", (1, 0x5423))]),
        (call("unshare", 0x10000000, error=errno.EPERM), [("unshare", (0x20000,)), ("unshare", (0x30000000,))]),
        (call("ptrace", 16, error=errno.EPERM), []),
    ],
)
def test_each_way_permits_the_call_and_the_first_one_nothing_else(
    index: int, asked: SystemCall, others: Sequence[tuple[str, tuple[int, ...]]], base: SeccompSettings, tmp_path: Path
) -> None:
    (cause,) = causes(base, asked)
    way = cause.ways[min(index, len(cause.ways) - 1)]
    assert way.size is Size.CALL
    assert way.leaf == f"seccomp.{asked.name}"
    after = attrs.evolve(
        base, syscalls=attrs.evolve(base.syscalls, named={**base.syscalls.named, asked.name: way.value})
    )
    assert not causes(after, asked)
    for name, arguments in others if index == 0 else ():
        assert causes(after, call(name, *arguments)), (name, arguments)
    # What people paste says exactly that.
    table = Seccomp().dump({("", asked.name): way.value})
    said = "".join(f"{key} = {toml_text.inline(value)}\n" for key, value in table.items())
    exception = f'[[exceptions]]\nsetting = "seccomp.{asked.name}"\nreason = "it needs it"\n'
    assert settings(tmp_path, BASE, f"{exception}[seccomp]\n{said}").syscalls[asked.name] == way.value
    assert len(said) < 2500, said


def test_a_call_that_kills_is_answered_with_an_errno_first(tmp_path: Path) -> None:
    chosen = settings(
        tmp_path, '[seccomp]\ndefault = "kill-process"\nallow = ["@basic-io"]\nrestrict_suid_sgid = false\n'
    )
    asked = call("io_uring_setup", killed=True)
    (cause,) = causes(chosen, asked)
    assert cause.what == "seccomp ends the process for io_uring_setup"
    assert [way.size for way in cause.ways] == [Size.ANSWER, Size.CALL]
    assert str(cause.ways[0].value.leaves[0]) == "deny"


def test_a_call_that_programs_do_without_is_answered_so_first(tmp_path: Path) -> None:
    chosen = settings(tmp_path, '[seccomp]\nrules = [{ names = ["clone3", "ptrace"], action = "errno:EPERM" }]\n')
    (cause,) = causes(chosen, call("clone3", error=errno.EPERM))
    assert [way.size for way in cause.ways] == [Size.ANSWER, Size.CALL]
    (cause,) = causes(chosen, call("ptrace", error=errno.EPERM))
    assert [way.size for way in cause.ways] == [Size.CALL]
    # Where it is answered so already, nothing is gained.
    (cause,) = causes(settings(tmp_path, ""), call("clone3", error=errno.ENOSYS))
    assert [way.size for way in cause.ways] == [Size.CALL]


def test_what_the_restriction_of_set_user_id_bits_takes_is_its_own(base: SeccompSettings, tmp_path: Path) -> None:
    (cause,) = causes(base, call("fchmod", 3, 0o4755, error=errno.EPERM))
    assert (cause.leaf, cause.ways[0].value) == ("seccomp.restrict_suid_sgid", False)
    assert not causes(base, call("fchmod", 3, 0o755, error=errno.EPERM))
    assert [cause.leaf for cause in causes(base, call("setxattr", error=errno.EOPNOTSUPP))] == [cause.leaf]
    # Of a call that layers deny as the restriction does, both have to go.
    ring = settings(tmp_path, '[seccomp]\nallow = ["@basic-io"]\ndeny = ["io_uring_setup"]\n')
    leaves = [cause.leaf for cause in causes(ring, call("io_uring_setup", error=errno.ENOSYS))]
    assert leaves == ["seccomp.io_uring_setup", "seccomp.restrict_suid_sgid"]


def test_a_call_of_another_architecture_is_told_by_its_name(base: SeccompSettings) -> None:
    require("x86-64")
    x86 = LIBRARY.architecture("x86")
    assert x86 is not None
    (cause,) = causes(base, call("getpid", killed=True, token=x86))
    assert (cause.leaf, cause.ways[0].size) == ("seccomp.architectures.x86", Size.WIDER)
    x32 = attrs.evolve(call("getpid", killed=True), number=0x40000000 | 39)
    assert causes(base, x32)[0].leaf == "seccomp.architectures.x32"
    # One that nobody knows has no name to offer.
    assert not causes(base, attrs.evolve(call("getpid", killed=True), architecture=0x1234))


def test_a_call_that_carries_others_names_those_that_are_denied(tmp_path: Path) -> None:
    require("x86-64")
    chosen = settings(tmp_path, '[seccomp]\nallow = ["socketcall", "socket"]\narchitectures = ["x86"]\n')
    x86 = LIBRARY.architecture("x86")
    assert x86 is not None
    (cause,) = causes(chosen, call("socketcall", 1, token=x86))
    assert cause.leaf == "seccomp.bind"
    assert not cause.ways
    assert "connect" in cause.advice


def test_without_a_filter_nothing_is_its_doing(base: SeccompSettings) -> None:
    lacking = attrs.evolve(context(HERE), unsupported=(Unsupported("seccomp.*", "no library", ""),))
    assert not list(Seccomp().denied(base, lacking, call("ptrace", error=errno.EPERM)))


def test_a_number_without_a_name_cannot_be_allowed(base: SeccompSettings) -> None:
    (cause,) = causes(base, attrs.evolve(call("ptrace", error=errno.EPERM), name="4000", number=4000))
    assert (cause.leaf, tuple(cause.ways)) == ("seccomp.*", ())
    assert "libseccomp" in cause.advice


NAMES = sorted(LIBRARY.names(NATIVE))


@given(
    name=st.sampled_from(NAMES),
    arguments=st.tuples(*[st.one_of(st.integers(0, 0xFFFF), st.integers(0, (1 << 64) - 1))] * 6),
    error=st.sampled_from([0, errno.EPERM, errno.ENOSYS, errno.EACCES, errno.EAFNOSUPPORT]),
)
def test_it_is_blamed_only_where_it_denies_and_its_ways_permit(
    name: str, arguments: tuple[int, ...], error: int, base: SeccompSettings
) -> None:
    asked = call(name, *arguments, error=error)
    answer = Seccomp().answer(base, context(HERE), name, [str(number) for number in arguments])
    assert answer is not None
    for cause in causes(base, asked):
        assert not answer.startswith(("allow", "log"))
        for way in cause.ways:
            if way.leaf == f"seccomp.{name}" and way.size is Size.CALL:
                assert str(way.value.value(arguments)) == "allow"


def test_a_call_of_any_arguments_is_denied_where_it_always_is(tmp_path: Path) -> None:
    """A rule that permits one number permits something, whichever number that is."""
    chosen = settings(tmp_path, BASE.replace("value = 0", "value = 4711"))
    numbers = causes(chosen, call("personality"))
    assert [cause.what for cause in numbers] == ["seccomp answers EPERM to personality(0x0)"]
    assert causes(chosen, attrs.evolve(call("personality"), any_arguments=True)) == []
    (always,) = causes(chosen, attrs.evolve(call("bpf"), any_arguments=True))
    assert always.what == "seccomp answers EPERM to bpf"
    assert [way.value for way in always.ways] == [causes(chosen, call("bpf"))[0].ways[-1].value]


def test_of_a_use_that_is_asked_for_alone_that_is_offered(base: SeccompSettings) -> None:
    asked = call("ptrace", 0)
    (cause,) = causes(base, attrs.evolve(asked, caller=attrs.evolve(asked.caller, pid=0)))
    assert cause.ways[0].value.value((0,) * 6) == ALLOW
    assert cause.ways[0].value.value((16, *(0,) * 5)) != ALLOW
