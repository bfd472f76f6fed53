"""The mechanism as the core sees it: names in questions and exceptions, options, meanings."""

from __future__ import annotations

import pytest

from hardening.mechanism.evidence import Evidence, LearntStatement
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import CommandProcess, Identity
from hardening.mechanism.schema import Members
from hardening_capabilities import Capabilities, CapabilitiesSettings
from hardening_capabilities.table import BY_NAME
from tests.plugins.seccomp.stacks import this_host


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


class Someone(CommandProcess):
    def __init__(self, uid: int) -> None:
        self.uid = uid

    def resolve(self, context: Context) -> Identity:
        return Identity(self.uid, self.uid, ())

    def tightened_uid(self, document: object, context: Context) -> int:
        return self.uid

    def variable_of(self, name: str) -> str:
        return ""

    @property
    def dumps_core(self) -> bool:
        return False


HELD = CapabilitiesSettings(
    members=Members({"CHOWN": "root", "KILL": "added", "SETUID": "root"}, "dropped"), no_new_privileges=True
)


def said(uid: int, needed: frozenset[str] | None) -> list[LearntStatement]:
    context = Context(this_host(), {Someone: Someone(uid)})
    leaves = None if needed is None else frozenset(f"capabilities.{name}" for name in needed) | {"rootfs.path"}
    return list(Capabilities().learnt(HELD, context, Evidence((), 1, {}, leaves)))


def test_what_only_a_run_can_show_is_taken_away_and_given_back_as_it_was() -> None:
    assert Capabilities().spare(HELD) == ["capabilities.CHOWN", "capabilities.KILL", "capabilities.SETUID"]
    assert Capabilities().least(HELD, ()) == {"drop": ["ALL"], "root": [], "add": []}
    kept = Capabilities().least(HELD, ["capabilities.KILL", "capabilities.CHOWN"])
    assert kept == {"drop": ["ALL"], "root": ["CHOWN"], "add": ["KILL"]}


@pytest.mark.parametrize(
    ("uid", "needed", "expected"),
    [
        (0, frozenset(), [("drop", "ALL")]),
        (0, frozenset({"CHOWN"}), [("drop", "ALL"), ("root", "CHOWN")]),
        (0, frozenset({"KILL"}), [("drop", "ALL"), ("add", "KILL")]),
        (0, frozenset({"NET_RAW"}), [("drop", "ALL"), ("root", "NET_RAW", "capabilities.NET_RAW")]),
        (7, frozenset({"CHOWN"}), [("drop", "ALL"), ("add", "CHOWN", "capabilities.CHOWN")]),
        (0, None, []),
    ],
)
def test_what_no_run_needed_is_dropped(
    uid: int, needed: frozenset[str] | None, expected: list[tuple[str, ...]]
) -> None:
    assert [(*one.key, one.value, *one.loosens) for one in said(uid, needed)] == expected
