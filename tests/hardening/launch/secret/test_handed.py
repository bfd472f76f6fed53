"""What is handed over for the secrets that a configuration names."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.assemble import handover
from hardening.base.linux import abi, kernel
from hardening.errors import LaunchError
from hardening.launch.secret import handed
from hardening.launch.secret.secrets import Secret


@given(st.dictionaries(st.text(max_size=9), st.binary(max_size=99), max_size=5))
def test_what_is_packed_is_what_is_taken(values: dict[str, bytes]) -> None:
    wanted = tuple(Secret(name=name, kind="mount", target=f"/{index}") for index, name in enumerate(values))
    try:
        assert handed.take(wanted, handover.seal(values)) == values
    finally:
        kernel.prctl(abi.PR_SET_DUMPABLE, 1)  # the tests go on in this process


def test_one_without_the_other_is_refused() -> None:
    wanted = (Secret(name="db", kind="mount", target="/run/secrets/db"),)
    fd = handover.seal({"db": b"hidden"})
    handed.require(wanted, fd)
    handed.require((), -1)
    for given_, number in (((), fd), (wanted, -1)):
        with pytest.raises(LaunchError):
            handed.require(given_, number)
    os.close(fd)


def test_a_variable_holds_no_nul() -> None:
    wanted = [Secret(name="a", kind="env", target="A"), Secret(name="b", kind="mount", target="/b")]
    assert handed.variables(wanted, {"a": b"\xff x", "b": b"\0"}) == {b"A": b"\xff x"}
    with pytest.raises(LaunchError, match="the secret a cannot be a variable") as caught:
        handed.variables(wanted, {"a": b"hid\0den", "b": b""})
    assert "hid" not in str(caught.value).replace(str(caught.value.hint), "")
