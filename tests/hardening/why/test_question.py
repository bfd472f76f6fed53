"""What a stack permits, asked of the composition alone: each mechanism is asked what it would deny of a call."""

from __future__ import annotations

import json
import socket
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from hardening.assemble.pipeline import examine
from hardening.errors import UsageError
from hardening.mechanism import host
from hardening.mechanism.schema import Leaf
from hardening.plugin import plugins
from hardening.profile.layers import Stack, parse_layer
from hardening.profile.source import Document
from hardening.trace import calls
from hardening.why import question
from hardening.why.attempt import Attempt, attempt
from hardening.why.question import PERMITTED, Answered
from tests.support.sample import is_whole

INSTALLED = plugins.load().mechanisms
HOST = host.probe(INSTALLED)
LENIENT = {"selinux": {"requirement": "best-effort"}}
SOCKETS = {"seccomp": {"allow": ["socket", "connect", "bind", "listen"]}}


def composed(*tables: Mapping[str, Any]) -> Attempt:
    """As far as layers of these tables compose."""
    layers = [
        parse_layer(Document(f"layer{index}", Path(f"/layer{index}.toml"), table, {}))
        for index, table in enumerate((LENIENT, *tables))
    ]
    return attempt(Stack(tuple(layers)), INSTALLED, HOST, date(2026, 1, 1))


def asked(text: str, *tables: Mapping[str, Any]) -> list[Answered]:
    """The answers to a question about calls."""
    return _asked(text, json.dumps(tables))


@cache
def _asked(text: str, tables: str) -> list[Answered]:
    """The same: what several tests ask is answered once."""
    tried = composed(*json.loads(tables))
    context = examine(tried.composition, HOST)
    uses = question.calls_of(text, context).values()
    return [*chain.from_iterable(question.of_calls(tried, context, calls) for calls in uses)]


def denying(answers: list[Answered]) -> list[str]:
    return [str(item.entry.leaf) for item in answers if item.entry is not None]


def test_a_call_is_answered_with_its_arguments() -> None:
    (answer,) = asked("getpid()")
    assert (answer.answer, answer.entry) == (PERMITTED, None)
    answers = asked("ptrace(0x10, -1)")
    assert answers[0].answer.startswith("no: seccomp answers ")
    assert not denying(
        asked("ptrace()", {"seccomp": {"allow": ["ptrace"]}}, {"capabilities": {"root": ["SYS_PTRACE"]}})
    )


def test_arguments_have_the_names_that_denials_are_told_with() -> None:
    context = examine(composed().composition, HOST)
    for named, numbers in (
        ("socket(AF_INET, SOCK_STREAM)", (2, 1)),
        ("unshare(CLONE_NEWUSER | CLONE_NEWNET)", (0x50000000,)),
        ("ioctl(0, TIOCSTI, -1)", (0, 0x5412, (1 << 64) - 1)),
    ):
        ((asked,),) = question.calls_of(named, context).values()
        assert asked.arguments[: len(numbers)] == numbers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ptrace(x)", "arguments are numbers"),
        ("ptrace(1,2,3,4,5,6,7)", "at most 6 arguments"),
        ("no_such_call()", "no system call no_such_call"),
        ("example.com:0", "no such port"),
        (":70000", "no such port"),
    ],
)
def test_what_no_call_can_have_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        asked(text)


@pytest.mark.parametrize("text", ["ptrace", "seccomp.ptrace", "/etc/passwd", "a b:80", "x:", ":http"])
def test_another_question_stands_for_no_call(text: str) -> None:
    tried = composed()
    assert not question.calls_of(text, examine(tried.composition, HOST))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (":80", ["socket", "setsockopt", "bind", "listen", "accept4", "getsockname", "recvfrom", "sendto"]),
        ("*:53/udp", ["socket", "setsockopt", "bind", "getsockname", "recvfrom", "sendto"]),
        ("[::]:80", ["socket", "setsockopt", "bind", "listen", "accept4", "getsockname", "recvfrom", "sendto"]),
        ("192.0.2.1:443", ["socket", "connect", "getsockopt", "getsockname", "sendto", "recvfrom"]),
    ],
)
def test_an_address_stands_for_the_calls_of_who_serves_or_asks(text: str, words: list[str]) -> None:
    tried = composed()
    (found,) = question.calls_of(text, examine(tried.composition, HOST)).values()
    assert [call.name for call in found] == words
    assert found[0].arguments[0] == (10 if text.startswith("[") else 2)


def test_who_serves_at_the_loopback_device_and_who_asks_there_are_asked_for_apart() -> None:
    found = question.calls_of("localhost:80/udp", examine(composed().composition, HOST))
    assert {use: [call.text for call in calls if call.address] for use, calls in found.items()} == {
        "a service at localhost:80": ["open a udp socket", "bind localhost:80", "receive at localhost:80"],
        "a client of localhost:80": ["open a udp socket", "connect to localhost:80"],
    }


@pytest.mark.sampled(kinds=lambda row: [row["text"].startswith(":")])
@pytest.mark.parametrize("text", ["localhost:1", "127.0.0.1:1", "[::1]:1/udp", ":53/udp"])
def test_a_network_of_its_own_is_told_of_whether_a_service_is_there_yet_or_not(text: str) -> None:
    """Who asks before the service is started has the same answer as who asks after that."""
    assert "namespaces.net" in denying(asked(text, SOCKETS))
    assert "namespaces.net" not in denying(asked(text, SOCKETS, {"namespaces": {"net": "host"}}))


@pytest.mark.sampled(kinds=lambda row: [row["text"].startswith(":")])
@pytest.mark.parametrize("text", ["localhost:1", "127.0.0.1:1", "192.0.2.1:80", ":8080"])
def test_who_is_permitted_to_connect_is_permitted_to_send_and_to_hear(text: str) -> None:
    leaves = denying(asked(text, SOCKETS))
    assert {"seccomp.sendto", "seccomp.recvfrom"} <= {*leaves} or "seccomp.*" in leaves


def test_what_is_of_no_use_beside_the_rest_that_is_offered_is_not_offered() -> None:
    """Over the host's network a capability of a user namespace is none (ip(7))."""
    own = {"namespaces": {"user": "private"}, "capabilities": {"drop": ["ALL"]}}
    answers = asked(":80", SOCKETS, own)
    offered = "".join(item.loosening.toml for item in answers if item.loosening is not None)
    assert "net" in offered
    assert "NET_BIND_SERVICE" not in offered
    (denied,) = [item for item in answers if item.asked == "bind 0.0.0.0:80"]
    assert "NET_BIND_SERVICE over the network, which is the host's" in denied.answer
    assert "NET_BIND_SERVICE does nothing here" in denied.advice
    assert denied.loosening is None
    shared = {"namespaces": {"user": "host"}, "capabilities": {"drop": ["ALL"]}}
    offered = "".join(item.loosening.toml for item in asked(":80", SOCKETS, shared) if item.loosening is not None)
    assert "NET_BIND_SERVICE" in offered


def test_who_asks_a_name_looks_it_up_first() -> None:
    leaves = denying(asked("example.com:443"))
    assert {"seccomp.sendto", "seccomp.recvfrom"} <= {*leaves} or "seccomp.*" in leaves
    (calls,) = question.calls_of("example.com:443", examine(composed().composition, HOST)).values()
    called = [(call.name, call.text) for call in calls]
    assert ("connect", "look up example.com") in called
    (errors,) = [call for call in calls if call.name == "setsockopt"]
    assert errors.arguments[1:3] == (socket.IPPROTO_IP, 11)  # IP_RECVERR, without which the C library does not ask
    assert ("sendmmsg", "look up example.com (sendmmsg)") in called


@pytest.mark.parametrize(("user", "array"), [("0:0", "root"), ("1234:1234", "add")])
def test_a_capability_is_given_so_that_it_reaches_who_runs_the_command(user: str, array: str) -> None:
    tried = composed({"process": {"user": user}, "capabilities": {"drop": ["ALL"]}})
    mechanism = tried.composition.mechanism("capabilities")
    assert mechanism is not None
    (entry,) = tried.composition.meant("capabilities.CHOWN")
    way = question.of_capability(tried, examine(tried.composition, HOST), mechanism, entry)
    assert way is not None
    assert way.tables["capabilities"] == {array: ["CHOWN"]}


def test_a_network_of_its_own_is_the_reason_that_no_other_host_is_reached() -> None:
    assert "namespaces.net" in denying(asked("example.com:443", SOCKETS))
    assert "namespaces.net" not in denying(asked("example.com:443", SOCKETS, {"namespaces": {"net": "host"}}))
    assert "namespaces.net" in denying(asked(":8080", SOCKETS))  # the other way round, too
    assert "namespaces.net" not in denying(asked(":8080", SOCKETS, {"namespaces": {"net": "host"}}))


@pytest.mark.sampled(kinds=lambda row: [row["text"].endswith(")")])
@pytest.mark.parametrize("text", ["example.com:443", ":8080", "ptrace()", "socket(17, 3)", "mount(0,0,0,0x20)"])
def test_each_loosening_that_is_offered_composes_and_is_asked_for_no_more(
    text: str, pytestconfig: pytest.Config
) -> None:
    whole = is_whole(pytestconfig)  # else one loosening of each leaf: one takes a second

    @cache
    def left(toml: str) -> list[tuple[str, object]]:
        """What is denied after a loosening, and by which leaf: several answers offer the same one."""
        after = composed(tomllib.loads(toml))
        assert after.error is None, toml
        context = examine(after.composition, HOST)
        (calls,) = question.calls_of(text, context).values()
        answers = question.of_calls(after, context, calls)
        return [(item.asked, item.entry.leaf) for item in answers if item.entry is not None]

    tried = set[Leaf]()
    for answer in asked(text):
        way = answer.loosening
        if answer.entry is None or way is None or way.barrier or (answer.entry.leaf in tried and not whole):
            continue
        tried.add(answer.entry.leaf)
        assert (answer.asked, answer.entry.leaf) not in left(way.toml)


def test_a_number_is_that_of_a_call_of_this_machine() -> None:
    number = calls.number("ptrace")
    assert question.name_of(str(number)) == "ptrace"
    assert question.name_of("ptrace") == "ptrace"
    assert question.name_of("99999") == "99999"
