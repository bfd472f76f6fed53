"""Why a call failed: which errno of a secret's file means that it is not given, not this user's or not to be changed."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from types import MappingProxyType

import pytest

from hardening.mechanism.denial import Caller, Cause, SystemCall
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Members
from hardening_secrets.denied import denied
from hardening_secrets.settings import SecretsSettings, Use, usual
from hardening_secrets.store import SecretStore

DB = Use("db", target=usual("db"))
FILE = Use("key", target="/etc/program.key", uid=33)


def causes(error: int, path: str, access: Iterable[str] = ("read",), uid: int = 0) -> list[Cause]:
    """What is said of a call by two secrets that are given, one of them to a user."""
    given = SecretsSettings(given=Members(MappingProxyType({"db": DB, "key": FILE}), None))
    context = Context(Host((6, 12), "6.12.0", "x86_64", 0, 0, (0,)), {SecretsSettings: given})
    call = SystemCall("openat", 0, 0xC000003E, (0,) * 6, Caller(1 if error else 0, uid=uid), error=error, path=path,
                      access=frozenset(access))  # fmt: skip
    return list(denied(given, context, call))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that has one secret."""
    monkeypatch.setattr(SecretStore, "known", lambda self, name: object() if name == "mine" else None)


def test_a_secret_that_the_caller_has_and_no_layer_gives_is_offered() -> None:
    (cause,) = causes(errno.ENOENT, "/run/secrets/mine")
    assert (cause.leaf, cause.ways[0].value) == ("secrets.given.mine", Use("mine", target="/run/secrets/mine"))
    assert not causes(errno.ENOENT, "/run/secrets/nobodys")
    assert not causes(errno.ENOENT, "/run/mine")
    assert not causes(errno.EACCES, "/run/secrets/mine")


def test_a_secret_is_not_changed_and_that_is_said_of_it_alone() -> None:
    (cause,) = causes(errno.EROFS, "/run/secrets/db", ["write"])
    assert (cause.leaf, cause.ways, cause.certain) == ("secrets.given.db", (), True)
    assert not causes(errno.EROFS, "/run/other", ["write"])
    assert not causes(errno.ENOSPC, "/run/secrets/db", ["write"])


def test_a_secret_of_another_user_is_offered_to_who_asks_before_it_is_offered_to_all() -> None:
    (cause,) = causes(errno.EACCES, "/etc/program.key", uid=0)
    assert [way.value for way in cause.ways] == [
        Use("key", target="/etc/program.key", uid=0), Use("key", target="/etc/program.key", uid=33, mode=0o444)
    ]  # fmt: skip
    assert not causes(errno.EACCES, "/etc/program.key", uid=33)
