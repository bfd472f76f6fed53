"""What follows from the field of a plain setting: what is contributed, and how a foreign configuration is tightened."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hardening.assemble.spec import assemble
from hardening.mechanism import host
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.kinds import Ceiling, Exact, Flag, Unordered
from hardening.mechanism.mechanism import Context, Mechanism
from hardening.mechanism.schema import ConfigField, scalar
from hardening.profile.source import Node
from hardening.testing.laws import check_mechanism

CONTEXT = Context(host.plain(), {})
FILES, WAY, NAME = "/annotations/files", "/annotations/way", "/hostname"


@attrs.frozen
class Settings:
    files: int = scalar(Ceiling(0, 99), 0, "How many files.", name="most.files", field=ConfigField(FILES, str, int))
    terminal: bool = scalar(
        Flag(strict=False), False, "A terminal.", field=ConfigField("/process/terminal", unset=False)
    )
    keeps: bool = scalar(Flag(strict=True), True, "No new ones.", field=ConfigField("/process/noNewPrivileges"))
    way: str = scalar(Exact(Node.string, "a way", "", ("", "a", "b")), "", "A way.", field=ConfigField(WAY))
    name: str = scalar(Unordered(Node.string, "a name", ("", "a")), "a", "A name.", field=ConfigField(NAME))
    own: int = scalar(Ceiling(0, 9), 0, "What this mechanism alone knows.")


class Example(Mechanism[Settings]):
    """Nothing but settings."""

    name = "example"
    summary = "an example"
    settings_type = Settings


SETTINGS = Settings(files=5, terminal=False, keeps=True, way="a", name="a", own=0)


def tightened(document: dict[str, Any], **changed: Any) -> tuple[dict[str, Any], list[tuple[str, str, str, str]]]:
    fragment = Fragment("example")
    found = list(Example().tighten(attrs.evolve(SETTINGS, **changed), document, CONTEXT, fragment))
    rows = [(item.pointer, item.asked, item.allowed, item.leaf) for item in found]
    return assemble([fragment], document).document, rows


def test_it_keeps_the_laws_without_a_method_of_its_own() -> None:
    assert check_mechanism(Example(), CONTEXT.host) == []


def test_each_value_stands_at_its_place_with_the_leaf_that_decided_it() -> None:
    fragment = Fragment("example")
    Example().contribute(SETTINGS, CONTEXT, fragment)
    assert {pointer: (item.value, item.leaves) for pointer, item in fragment.values.items()} == {
        FILES: ("5", ("example.most.files",)),
        "/process/terminal": (False, ("example.terminal",)),
        "/process/noNewPrivileges": (True, ("example.keeps",)),
        WAY: ("a", ("example.way",)),
        NAME: ("a", ("example.name",)),
    }


def test_it_looks_at_nothing_and_no_host_is_too_weak() -> None:
    assert (list(Example().inputs(SETTINGS, CONTEXT)), list(Example().check(SETTINGS, CONTEXT))) == ([], [])


def test_a_configuration_that_says_nothing_gets_what_is_looser_without() -> None:
    document, violations = tightened({"process": {}})
    assert document["process"] == {"noNewPrivileges": True}
    assert document["annotations"] == {"files": "5", "way": "a"}
    assert document["hostname"] == "a"
    assert violations == []


def test_what_is_within_the_settings_stays_as_it_is_written() -> None:
    given = {
        "hostname": "other",
        "annotations": {"files": "05", "way": ""},
        "process": {"terminal": False, "noNewPrivileges": True},
    }
    assert tightened(given, keeps=False, terminal=True) == (given, [])


def test_what_goes_beyond_is_cut_and_named() -> None:
    given = {"annotations": {"files": "7", "way": "b"}, "process": {"terminal": True, "noNewPrivileges": False}}
    document, violations = tightened(given)
    assert document["process"] == {"terminal": False, "noNewPrivileges": True}
    # Two ways cannot be compared: what both permit is none.
    assert document["annotations"] == {"files": "5", "way": ""}
    assert violations == [
        (FILES, "7", "5", "example.most.files"),
        ("/process/terminal", "true", "false", "example.terminal"),
        ("/process/noNewPrivileges", "false", "true", "example.keeps"),
        (WAY, "b", "", "example.way"),
    ]


@pytest.mark.parametrize("name", [7, True, ["a"], {}])
def test_what_has_no_order_and_cannot_be_read_is_replaced_too(name: object) -> None:
    document, violations = tightened({"hostname": name})
    assert (document["hostname"], [row[0] for row in violations]) == ("a", [NAME])


@pytest.mark.parametrize("text", ["many", "", "7 files", "-1", "100"])
def test_what_cannot_be_read_is_replaced(text: str) -> None:
    document, violations = tightened({"annotations": {"files": text}})
    assert document["annotations"]["files"] == "5"
    assert violations == [(FILES, text, "5", "example.most.files")]
