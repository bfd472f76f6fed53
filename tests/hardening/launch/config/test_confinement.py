"""The helpers before a command: what of `/process/args` is theirs, and what is the command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hardening.errors import LaunchError
from hardening.launch.config import config, variables
from hardening.launch.config.bundle import HELPERS
from hardening.launch.config.confinement import command, helpers
from hardening.launch.container import container_state
from hardening.launch.request import LaunchRequest
from tests.support.bundles import plain

FIRST, SECOND = ["/a", "-x"], ["/b"]
BEFORE = ["/a", "-x", "--", "/b", "--"]


def confined(args: object, text: object = json.dumps([FIRST, SECOND])) -> dict[str, Any]:
    return plain(process__args=args, annotations={HELPERS: text})


def test_the_command_is_what_follows_the_helpers() -> None:
    document = confined([*BEFORE, "sh", "--", "-c"])
    assert (helpers(document), command(document)) == ([FIRST, SECOND], ["sh", "--", "-c"])
    assert command(confined(["sh", *BEFORE])) == ["sh", *BEFORE]
    assert command(plain(process__args=BEFORE)) == BEFORE
    assert (helpers({}), command({}), command({"process": {"args": 7}})) == ([], [], [])


def test_the_native_launcher_tells_them_apart_and_refuses_what_is_no_command_behind_them() -> None:
    invocation = config.read(confined([*BEFORE, "sh"])).process.command
    assert (invocation.helpers, invocation.args) == ((("/a", "-x"), ("/b",)), ("sh",))
    for args in (BEFORE, ["sh"], BEFORE[1:]):
        assert [pointer for pointer, _ in config.unsupported(confined(args))] == ["/process/args"]


@pytest.mark.parametrize("text", [7, "", "{}", "[[]]", '[["a"]]', "[[7]]", '["/a"]', '[["/a"'])
def test_what_is_no_list_of_helpers_is_refused(text: object) -> None:
    with pytest.raises(LaunchError, match=HELPERS):
        helpers(confined(["sh"], text))
    if isinstance(text, str):
        assert [pointer for pointer, _ in config.unsupported(confined(["sh"], text))] == [f"/annotations/{HELPERS}"]


def test_a_command_that_comes_later_goes_behind_them() -> None:
    document = confined(["x"])
    del document["process"]["args"]
    variables.fill(document, {}, ["sh", "-c"])
    assert document["process"]["args"] == [*BEFORE, "sh", "-c"]


def test_who_tells_of_the_command_leaves_them_out() -> None:
    document = confined([*BEFORE, "sh", "-c"])
    request = LaunchRequest(id="x", bundle="/b", state="/s")
    assert container_state.describe(request, document)["command"] == ["sh", "-c"]
