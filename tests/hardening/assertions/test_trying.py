"""What the kernel's answer makes of an assertion."""

from __future__ import annotations

import pytest

from hardening.assertions.operation import OperationDenial
from hardening.assertions.testfile import Assertion, Expected
from hardening.assertions.trying import AssertionState, LiveAnswer, live
from hardening.profile.source import Origin

FILTER = OperationDenial("seccomp", "seccomp.mount", "seccomp answers EPERM to mount")
HOST = OperationDenial("", "", "EPERM")


@pytest.mark.parametrize(
    ("by", "answer", "state"),
    [
        ("", LiveAnswer((FILTER,)), AssertionState.PASSED),
        ("landlock", LiveAnswer((FILTER,)), AssertionState.FAILED),
        # What would deny it next is seen by nobody where a limit keeps the first in its place.
        ("landlock", LiveAnswer((FILTER,), "a limit forbids it", frozenset({"landlock"})), AssertionState.SKIPPED),
        ("rootfs", LiveAnswer((FILTER,), "a limit forbids it", frozenset({"landlock"})), AssertionState.FAILED),
        ("", LiveAnswer((HOST,)), AssertionState.FAILED),
        ("", LiveAnswer(), AssertionState.FAILED),
        ("", LiveAnswer((FILTER,), unseen="no program can say what came of it"), AssertionState.SKIPPED),
        ("", LiveAnswer((FILTER,), failed="could not be tried"), AssertionState.FAILED),
    ],
)
def test_a_denial_counts_as_far_as_the_kernel_shows_it(by: str, answer: LiveAnswer, state: AssertionState) -> None:
    found = live(Assertion(Expected.DENIES, "mount", by, Origin("test", "web.test.toml:3")), answer)
    assert found.state is state, found.why
    assert bool(found.why) == (state is not AssertionState.PASSED)
