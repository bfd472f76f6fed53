"""Actions: grammar, order, and the values that the kernel sees."""

from __future__ import annotations

import errno

import pytest

from hardening.errors import ProfileError
from hardening_seccomp.actions import (
    ALLOW,
    DENY,
    ENOSYS,
    EPERM,
    Action,
    ActionKind,
    from_returned,
    parse_action,
    stricter,
)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("allow", ALLOW),
        ("errno", EPERM),
        ("deny", DENY),
        ("errno:ENOSYS", ENOSYS),
        ("errno:38", ENOSYS),
        ("trace", Action(ActionKind.TRACE)),
        ("trace:65535", Action(ActionKind.TRACE, 65535)),
        ("kill-process", Action(ActionKind.KILL_PROCESS)),
        ("kill-thread", Action(ActionKind.KILL_THREAD)),
        ("trap", Action(ActionKind.TRAP)),
        ("log", Action(ActionKind.LOG)),
    ],
)
def test_what_is_written_is_read(text: str, action: Action) -> None:
    assert parse_action(text) == action
    assert parse_action(str(action)) == action


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("alow", "allow"),
        ("denied", "deny"),
        ("deny:EPERM", "deny"),
        ("errno:ENOSY", "ENOSYS"),
        ("errno:4096", "EPERM"),
        ("errno:4095", "up to 4094"),
        ("errno:0", "EPERM"),
        ("errno:-1", "EPERM"),
        ("errno:" + "1" * 5000, "EPERM"),
        ("trace:" + "1" * 5000, None),
        ("trace:65536", None),
        ("allow:1", "allow"),
        ("notify", "supervising"),
        (7, "errno:EPERM"),
    ],
)
def test_what_is_wrong_is_refused(text: object, hint: str | None) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_action(text)
    assert hint is None or hint in str(caught.value.hint)


def test_no_program_returns_a_denial_without_its_errno() -> None:
    assert stricter(DENY, EPERM) == EPERM
    assert stricter(EPERM, DENY) == DENY
    with pytest.raises(ValueError, match="errno"):
        _ = DENY.returned


def test_order_is_the_kernels() -> None:
    """Smaller as a signed number is stricter: kernel/seccomp.c, ``seccomp_run_filters``."""
    actions = [Action(kind) for kind in ActionKind]
    signed = [action.returned - (1 << 32) if action.returned >> 31 else action.returned for action in actions]
    assert signed == sorted(signed, reverse=True)


def test_the_later_of_equally_strict_ones_wins() -> None:
    assert stricter(EPERM, ENOSYS) == ENOSYS
    assert stricter(ENOSYS, EPERM) == EPERM
    assert stricter(EPERM, ALLOW) == EPERM


def test_returned_values_come_back() -> None:
    for kind in ActionKind:
        action = Action(kind, 5 if kind in (ActionKind.ERRNO, ActionKind.TRACE) else 0)
        assert from_returned(action.returned) == action
    assert from_returned(0x12340000).kind is ActionKind.KILL_PROCESS
    assert from_returned(0x0005FFFF).data == 4095
    assert str(Action(ActionKind.ERRNO, errno.EACCES)) == "errno:EACCES"
