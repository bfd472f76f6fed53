"""How a question is told from another, and an answer shown."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from hardening.cli import answers
from hardening.errors import UsageError
from hardening.why import question
from tests.hardening.why.test_question import composed
from tests.support.runs import installed

PLUGINS = installed()


def told(capsys: pytest.CaptureFixture[str], word: str) -> Any:
    """The JSON of an answer."""
    answers.ask(composed(), word, PLUGINS, as_json=True)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("word", "leaf"),
    [
        ("ptrace", "seccomp.ptrace"),
        ("NET_ADMIN", "capabilities.NET_ADMIN"),
        ("cap_net_admin", "capabilities.NET_ADMIN"),
        ("CAP_BPF", "capabilities.BPF"),
    ],
)
def test_a_word_is_a_system_call_or_a_capability(capsys: pytest.CaptureFixture[str], word: str, leaf: str) -> None:
    shown = told(capsys, word)
    assert shown["question"] == word
    assert shown["answers"][0]["leaf"] == leaf
    assert shown["answers"][0]["loosening"]["toml"]


def test_a_path_is_answered_as_explain_does(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "/tmp")
    assert shown["path"] == "/tmp"
    assert [item["asked"] for item in shown["answers"]] == ["seen", "readable", "writable", "executable"]


def test_a_name_with_its_table_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "rootfs.read_only")["leaf"] == "rootfs.read_only"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("bpf", "write capabilities.BPF or seccomp.bpf"),
        ("NET_BIND", 'did you mean "NET_BIND_SERVICE"? A command goes after `--`: hardening why -- NET_BIND'),
        ("ptracee", 'did you mean "ptrace"? A command goes after `--`: hardening why -- ptracee'),
        (
            "quite another",
            "write /PATH, NAME, NAME(ARGUMENT,...), HOST:PORT or :PORT. A command goes after `--`: hardening why -- "
            "'quite another'",
        ),
    ],
)
def test_a_word_that_names_nothing_or_two_things_is_told_how_to_be_written(word: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        answers.ask(composed(), word, PLUGINS, as_json=True)
    assert refused.value.hint == hint


def test_what_permits_all_of_a_question_is_one_layer(capsys: pytest.CaptureFixture[str]) -> None:
    answers.ask(composed(), "example.com:443", PLUGINS, as_json=False)
    shown = capsys.readouterr().out
    assert "cannot be reached: the network is private" in shown
    assert shown.count("smallest loosening for example.com:443, to all of this") == 1
    assert shown.count("smallest loosening") == 1
    loosening = told(capsys, "example.com:443")["loosening"]
    answers.ask(composed(tomllib.loads(loosening["toml"])), "example.com:443", PLUGINS, as_json=True)
    after = json.loads(capsys.readouterr().out)
    assert {item["answer"] for item in after["answers"]} == {question.PERMITTED}
    assert after["loosening"] is None


def test_of_a_loopback_address_a_service_and_a_client_are_answered_apart(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "127.0.0.1:8080")["uses"]
    service, client = (found[use]["toml"] for use in ("a service at 127.0.0.1:8080", "a client of 127.0.0.1:8080"))
    assert ("bind" in service, "connect" in service) == (True, False)
    assert ("bind" in client, "connect" in client) == (False, True)
    answers.ask(composed(), "127.0.0.1:8080", PLUGINS, as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("smallest loosening for a service at 127.0.0.1:8080, ") == 1
    assert shown.count("smallest loosening for a client of 127.0.0.1:8080, ") == 1


def test_what_a_run_would_be_warned_of_stands_beside_what_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """A call that no filter sees into, and a capability that does nothing where it is wanted."""
    closed = {"seccomp": {"deny": ["clone3"]}}
    answers.ask(composed(closed), "clone3", PLUGINS, as_json=False)
    assert "\nwarning: clone3 is allowed: it " in capsys.readouterr().out
    shared = {"namespaces": {"user": "private", "net": "host"}, "capabilities": {"drop": ["ALL"]}}
    answers.ask(composed(shared), "NET_BIND_SERVICE", PLUGINS, as_json=True)
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert warning.startswith("NET_BIND_SERVICE has no effect: the network is the host's")
    answers.ask(composed(closed), "ptrace(0)", PLUGINS, as_json=False)
    assert "clone3" not in capsys.readouterr().out


SHADOW = {"limits": {"rootfs": {"hidden_paths": {"add": ["/etc/shadow"]}}, "seccomp": {"deny": ["mount"]}}}


@pytest.mark.parametrize(
    ("word", "tables", "can"),
    [
        ("/etc/hosts", (), True),
        ("/etc/shadow", (SHADOW,), False),
        ("mount", (SHADOW,), False),
        ("mount", (), True),
        ("example.com:443", (), True),
        ("seccomp.mount", (SHADOW,), True),
    ],
)
def test_whether_what_is_asked_can_be_had(
    word: str, tables: tuple[dict[str, Any], ...], can: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answers.ask(composed(*tables), word, PLUGINS, as_json=True) is can
    json.loads(capsys.readouterr().out)
