"""Any text in the place of a configuration is a plan, or one error with the place and the reason."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hardening.errors import HardeningError
from hardening.launch import config, jsontext, leases
from hardening.launch.digest import of_filter
from tests.support import runs

#: What no field wants, or only some.
VALUES: tuple[object, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 1e308, "", "x", "\0", "\ud800", "../..", "/", "a" * 70_000),
    *([], {}, [1], ["x"], {"a": 1}, [[]], [None], "s0:c1", "-1"),
)


@cache
def text() -> str:
    """The configuration of a strict stack."""
    with runs.workplace() as folder:
        plan = runs.planned(['extends = ["strict"]\n'], ["true"], folder=folder)
        return json.dumps(plan.spec.document)


def places(value: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to each value below."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [found for key in keys for found in ((*above, key), *places(value[key], (*above, key)))]


def read(source: bytes) -> None:
    """As the stage reads it."""
    document = jsontext.parse(source, "f")
    leases.paths(document, "f")
    plan = config.read(document, "f")
    if plan.seccomp is not None:
        with suppress(TypeError):  # a number that has no canonical text
            of_filter(plan.seccomp.source, b"")


def refused_with_a_place(source: bytes) -> None:
    refused = None
    try:
        read(source)
    except HardeningError as error:
        refused = error
    if refused is not None:
        assert refused.exit_code in (2, 125)
        assert all(line.startswith(("f", "hint:")) for line in str(refused).splitlines() if line.isprintable())


@given(st.data())
def test_a_value_that_does_not_belong_there(data: st.DataObject) -> None:
    document = json.loads(text())
    *way, last = data.draw(st.sampled_from(places(document)))
    parent = document
    for key in way:
        parent = parent[key]
    parent[last] = data.draw(st.sampled_from(VALUES))
    refused_with_a_place(json.dumps(document).encode())


@given(st.data())
def test_bytes_that_were_changed(data: st.DataObject) -> None:
    source = bytearray(text().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(source)))
        piece = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"{", b"}", b"[", b"]", b'"', b",", b":", b"9" * 5000])
        )
        source[at : at + data.draw(st.integers(0, 20))] = piece
    refused_with_a_place(bytes(source))
