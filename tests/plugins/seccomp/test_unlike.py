"""`plugins/hardening_seccomp`: stacks of filters that were written in unlike forms answer as the kernel stacks them: every
layer by itself, the strictest answer counts, and what a layer's filter has no architecture for kills. `measure` is
the whole of it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from hardening.errors import HardeningError
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, Action, ActionKind
from hardening_seccomp.bpf import Instruction
from tests.plugins.seccomp import kernel, measure, stacks
from tests.plugins.seccomp.measure import Stack, host
from tests.plugins.seccomp.written import Written
from tests.support.features import available, require

#: Of so many stacks the kernel is asked, too, in the whole and in every run.
EVERY, SELDOM = 5, 7
#: Percent of the points at which a composed filter may be stricter than the stack.
MOST = 2


def differences(written: Sequence[Written]) -> list[str]:
    """Where the composed program is looser than the stack, or stricter without a word."""
    return measure.judge(Stack.of("some", written, Random(1)), ask=False).wrong


def test_unlike_filters_answer_as_the_kernel_stacks_them() -> None:
    require("x86_64")
    asks = available("ia32")
    rows = measure.summed(measure.judged(number, ask=asks and number % SELDOM == 0) for number in range(SELDOM))
    assert rows["all"].wrong == []
    assert rows["all"].counts["points"] > 1000
    assert rows["all"].counts["kernel"] > 40 or not asks


@pytest.mark.complete
@pytest.mark.timeout(0)
def test_two_thousand_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    require("ia32")
    rows = measure.summed(measure.judged(number, ask=measure.is_asked(number, EVERY)) for number in range(2000))
    with capsys.disabled():
        measure.show(rows)
    assert rows["all"].wrong == []
    assert 100 * rows["all"].counts["stricter"] <= MOST * rows["all"].counts["points"]


@pytest.mark.complete
@pytest.mark.system
@pytest.mark.timeout(0)
def test_a_quota_of_processor_time_changes_no_program(capsys: pytest.CaptureFixture[str]) -> None:
    """`test_guarded` has in every run what this rests on: time in which others run does not count."""
    require("x86_64")
    require("cgroups")
    with capsys.disabled():
        assert measure.throttled([(number, 12) for number in range(12)])


def test_a_filter_that_denies_every_call_is_asked_to_the_end() -> None:
    """A child that it kept from ending would be waited for without end."""
    require("x86_64")
    program = bpf.encode((Instruction(bpf.RET_K, 0, 0, Action(ActionKind.ERRNO, errno.EINTR).returned),))
    assert kernel.answers(kernel.SECCOMP_X86_64, [program], [(0, ())]) == ["EINTR"]
    assert kernel.verdicts([program], [("x86_64", 0, (0,) * 6)]) == ["EINTR"]


PLAIN = Written("toml", ENOSYS, (("read", ALLOW, ()),), None, mapped=False)
MOBY = Written("docker", EPERM, (("read", ALLOW, ()), ("socket", ALLOW, ())), ("x32", "x86"), mapped=True)
LISTED = Written("docker", EPERM, (("read", ALLOW, ()),), ("x86",), mapped=False)
SILENT = Written("docker", EPERM, (("read", ALLOW, ()),), None, mapped=False)
NATIVE = Written("toml", ENOSYS, (("read", ALLOW, ()),), (), mapped=False)


@pytest.mark.parametrize("other", [PLAIN, LISTED, SILENT, NATIVE])
@pytest.mark.parametrize("first", [True, False])
def test_a_filter_closes_the_architectures_that_it_does_not_list(other: Written, first: bool, tmp_path: Path) -> None:
    require("x86_64")
    written = [other, MOBY] if first else [MOBY, other]
    assert differences(written) == []
    texts = [layer.text(tmp_path, number) for number, layer in enumerate(written)]
    architectures = stacks.settings(tmp_path, *texts, on=host()).architectures
    assert set(architectures.having(True)) == set(other.listed or ()) & set(MOBY.listed or ())


def test_an_exception_opens_an_architecture(tmp_path: Path) -> None:
    first, second = PLAIN.text(tmp_path, 0), '[seccomp]\narchitectures.add = ["x86"]\n'
    with pytest.raises(HardeningError, match=r"seccomp\.architectures\.x86.*layer0\.toml:3"):
        stacks.composed(tmp_path, first, second, on=host())
    excepted = second + '[[exceptions]]\nsetting = "seccomp.architectures.x86"\nreason = "a test"\n'
    found = stacks.settings(tmp_path, first, excepted, on=host())
    assert found.architectures.having(True) == ("x86",)


def test_an_edited_list_of_a_profile_stays_a_bound(tmp_path: Path) -> None:
    edited = MOBY.text(tmp_path, 0) + 'architectures.drop = ["x32"]\n'
    assert stacks.settings(tmp_path, edited, on=host()).architectures.having(True) == ("x86",)
    assert stacks.settings(tmp_path, NATIVE.text(tmp_path, 1), edited, on=host()).architectures.having(True) == ()
