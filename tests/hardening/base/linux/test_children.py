"""Processes of a function's own."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from hardening.base.linux import abi
from hardening.base.linux.children import Holder, ask, end_with, side_by_side
from tests.support.features import require
from tests.support.patience import is_over, until


def test_a_child_answers_at_any_length() -> None:
    assert ask(lambda writer: os.write(writer, b"x" * 60000)) == (b"x" * 60000, 0)


def test_how_a_child_ends_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(lambda _: 1 / 0) == (b"", 1)
    assert ask(lambda _: os._exit(7)) == (b"", 7)
    assert ask(lambda _: os.kill(os.getpid(), signal.SIGKILL)) == (b"", -signal.SIGKILL)
    assert capfd.readouterr() == ("", "")


def test_items_are_done_side_by_side_and_what_a_process_does_not_answer_here() -> None:
    own = os.getpid()

    def work(item: int) -> tuple[int, int]:
        if item == 3 and os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item, os.getpid()

    found = side_by_side(range(40), work)
    assert [square for square, _ in found] == [item * item for item in range(40)]
    count = len(os.sched_getaffinity(0))
    assert {pid for _, pid in found[3::count]} == {found[0][1]} == {own}
    assert len({pid for _, pid in found}) == count  # one of them has answered nothing
    with pytest.raises(ZeroDivisionError):
        side_by_side([1, 1, 0], lambda item: 1 / item)
    assert side_by_side([], work) == []


def test_a_child_whose_parent_is_over_already_ends() -> None:
    own = os.getpid()
    assert ask(lambda _: end_with(own)) == (b"", 0)
    assert ask(lambda _: end_with(1)) == (b"", -signal.SIGKILL)


def test_a_child_that_takes_too_long_is_killed_with_its_group() -> None:
    reader, pids = os.pipe()

    def work(writer: int) -> None:
        os.setsid()
        if os.fork() == 0:
            os.write(pids, str(os.getpid()).encode())
            os.read(os.pipe()[0], 1)  # keeps the descriptor open, too
        os.read(os.pipe()[0], 1)

    with pytest.raises(TimeoutError):
        ask(work, 1)
    member = int(os.read(reader, 32))
    os.close(reader)
    os.close(pids)
    until(lambda: is_over(member))
    assert ask(lambda writer: os.write(writer, b"x"), 60) == (b"x", 0)


def test_a_child_that_answers_and_does_not_end_takes_too_long(capfd: pytest.CaptureFixture[str]) -> None:
    def work(writer: int) -> None:
        os.write(writer, b"x")
        os.close(writer)
        os.read(os.pipe()[0], 1)

    with pytest.raises(TimeoutError):
        ask(work, 0.5)


def test_where_no_process_can_be_made_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr("hardening.base.linux.children.os.fork", refuse)
    monkeypatch.setattr("hardening.base.linux.kernel.clone", refuse)
    for begin in (lambda: ask(lambda _: None), lambda: Holder(abi.CLONE_NEWUSER)):
        with pytest.raises(BlockingIOError):
            begin()
    assert os.listdir("/proc/self/fd") == before


def test_namespaces_are_kept_until_the_end_of_the_block() -> None:
    require("userns")
    with Holder(abi.CLONE_NEWUSER) as pid:
        assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
