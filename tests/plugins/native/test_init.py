"""The runtime `native` as a plugin."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import attrs
import pytest

import hardening
from hardening.base.digest import ANNOTATION
from hardening.launch.native.session import AFTER_EARLY_FILTER
from hardening.launch.request import LaunchRequest, from_json
from hardening.mechanism.host import plain
from hardening_native import Native, hardening_runtimes
from tests.support import bundles, shipped


def test_it_is_registered_and_always_there() -> None:
    (runtime,) = hardening_runtimes()
    assert runtime.name == "native"
    assert runtime.version() == hardening.__version__


def test_its_check_names_fields_by_pointer() -> None:
    document = bundles.config("true")
    assert list(Native().check(document, plain())) == []
    document["hooks"] = {"prestart": [{"path": "/bin/true"}]}
    (refusal,) = Native().check(document, plain())
    assert (refusal.pointer, refusal.reason) == ("/hooks", "the native launcher runs no hooks")


def test_what_it_can_do_nothing_with_it_refuses() -> None:
    for pointer in Native.lacking:
        document = bundles.config("true")
        section, _, name = pointer[1:].partition("/")
        document[section][name] = "web"
        assert [refusal.pointer for refusal in Native().check(document, plain())] == [pointer]


@pytest.mark.parametrize("call", AFTER_EARLY_FILTER)
def test_a_call_that_an_early_filter_keeps_from_the_launch_is_told_by_its_name(call: str) -> None:
    document = bundles.config("true")
    document["annotations"] = {ANNOTATION: "0" * 64}
    denied = {"names": [call, "mount"], "action": "SCMP_ACT_ERRNO"}
    document["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]}
    root = attrs.evolve(shipped.here()[1], uid=0)
    assert list(Native().check(document, root)) == []
    document["process"]["noNewPrivileges"] = False
    (refusal,) = Native().check(document, root)
    assert refusal.pointer == "/linux/seccomp"
    assert f" lets no {call} of the launch run" in refusal.reason
    document["linux"]["seccomp"]["syscalls"][0]["args"] = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]
    assert list(Native().check(document, root)) == []


def test_its_command_is_the_isolated_stage(tmp_path: Path) -> None:
    request = LaunchRequest(id="name", state=str(tmp_path), stdin=True)
    argv = Native().command(tmp_path, request)
    assert argv[:5] == [sys.executable, "-I", "-B", "-S", "-c"]
    directories = argv[6].split(":")
    assert all(os.path.isdir(directory) for directory in directories)
    assert [from_json(text) for text in argv[7:]] == [request.changed(bundle=str(tmp_path))]
