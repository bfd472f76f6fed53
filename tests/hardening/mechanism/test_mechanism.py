"""What mechanisms are given: a context, through which each question has one answer."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

from hardening.errors import HostError
from hardening.mechanism import outside
from hardening.mechanism.host import plain
from hardening.mechanism.mechanism import Context
from hardening_process.passwd import Accounts
from hardening_process.settings import ProcessSettings
from tests.plugins.process.stacks import context, host, strict


def test_a_question_is_asked_once_of_a_context() -> None:
    asked: list[object] = []

    def ask(about: list[str], context: Context) -> int:
        asked.append((about, context))
        return len(asked)

    one, other, equal = Context(plain(), {}), ["a"], ["a"]
    assert [one.once(ask, other), one.once(ask, other), one.once(ask, equal), one.once(ask, other)] == [1, 1, 2, 1]
    later = attrs.evolve(one, bundle_stays=False)
    assert later.once(ask, other) == 3, "what is looked at through another context is looked at anew"


def test_what_could_not_be_answered_is_asked_again() -> None:
    answers: Iterator[HostError | str] = iter([HostError("not now"), "found"])

    def ask(context: Context) -> str:
        answer = next(answers)
        if isinstance(answer, HostError):
            raise answer
        return answer

    one = Context(plain(), {})
    with pytest.raises(HostError):
        one.once(ask)
    assert one.once(ask) == "found"


def test_the_accounts_of_a_root_are_read_once_for_all_calls_that_are_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[object] = []

    def counted(root: object) -> Accounts:
        read.append(root)
        return Accounts(root, (), ())  # type: ignore[arg-type]

    monkeypatch.setattr(Accounts, "read", counted)
    one = context(host(0), strict(ProcessSettings))
    assert outside.identity(one) is outside.identity(one)
    assert len(read) == 1
