"""The binding: versions and names."""

from __future__ import annotations

import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import HostError


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
