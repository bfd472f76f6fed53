"""The mechanism as the core sees it: names in questions and exceptions, options, meanings."""

from __future__ import annotations

import pytest

from hardening_capabilities import Capabilities
from hardening_capabilities.table import BY_NAME


@pytest.mark.parametrize(
    ("name", "leaves"),
    [
        ("NET_RAW", ("NET_RAW",)),
        ("cap_net_raw", ("NET_RAW",)),
        ("no_new_privileges", ("no_new_privileges",)),
        ("requirement", ("requirement",)),
        ("*", ("*", *BY_NAME)),
        ("all", ("*", *BY_NAME)),
        ("NET_RAW2", ()),
        ("add", ()),
    ],
)
def test_names_mean_leaves(name: str, leaves: tuple[str, ...]) -> None:
    assert tuple(Capabilities().expand(name)) == leaves


def test_options_add_and_drop() -> None:
    assert {option.flags: option.key for option in Capabilities().options()} == {
        ("--cap-add",): "add",
        ("--cap-drop",): "drop",
    }


def test_a_capability_is_explained_by_its_own_meaning() -> None:
    mechanism = Capabilities()
    said = mechanism.meaning(mechanism.leaf("", "NET_RAW"))
    assert said.startswith("Use raw and packet sockets. Dangerous: ")
    assert "Smaller: for ping" in said
    assert (
        mechanism.meaning(mechanism.leaf("", "KILL"))
        == "Signal processes of any user. `root` gives it to uid 0, `add` to any user."
    )
    assert "ALL" in mechanism.meaning(mechanism.leaf("", "*"))
    assert "set-user-ID" in mechanism.meaning(mechanism.leaf("no_new_privileges"))
