"""The binding: versions, names, and errors."""

from __future__ import annotations

import errno
import re

import pytest

from hardening.base.linux.libseccomp import Condition, Libseccomp
from hardening.errors import HostError, SpecError
from hardening_seccomp.actions import ALLOW, EPERM


def test_a_missing_library_is_named_with_its_remedy() -> None:
    with pytest.raises(HostError, match="libnothing") as caught:
        Libseccomp.load("libnothing.so.9")
    assert "install libseccomp" in str(caught.value.hint)


def test_a_library_that_is_another_one_is_refused() -> None:
    with pytest.raises(HostError):
        Libseccomp.load("libc.so.6")


def test_numbers_and_names() -> None:
    library = Libseccomp.load()
    token = library.architecture("x86_64")
    assert token is not None
    assert library.number(token, "read") == 0
    assert library.name(token, 0) == "read"
    assert library.number(token, "no_such_call") is None
    pseudo = library.number(token, "socketcall")
    assert pseudo is not None
    assert pseudo < 0
    assert library.architecture("pdp11") is None
    assert library.names(token)["getppid"] == 110


def test_refusals_of_the_library_say_what_they_are_about() -> None:
    library = Libseccomp.load()
    with library.build(ALLOW.returned, 0, [library.native()], tree=False) as builder:
        twice = [Condition(0, "EQ", 1), Condition(0, "EQ", 2)]
        with pytest.raises(SpecError, match=re.compile("getppid.*Invalid", re.DOTALL)):
            builder.rule(EPERM.returned, 110, twice, what="getppid")
    assert errno.errorcode[EPERM.data] == "EPERM"
