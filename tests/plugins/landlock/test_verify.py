"""How receipts are held against the settings: by the calls of the helper. What is missing of them does not count as made."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from hardening.mechanism.mechanism import State
from hardening_landlock.settings import LandlockSettings
from hardening_landlock.verify import ADD, CREATE, RESTRICT, verify
from tests.plugins.landlock.test_host import NOTHING, NOW, context, settings

RULES = 3
CHOSEN = settings(read=("/usr",), write=("/tmp",), bind=("80",))


def call(
    number: int, *arguments: int, memory: Mapping[int, bytes] = {}, result: int = 0, opened: Mapping[int, str] = {}
) -> dict[str, Any]:
    return {
        "number": number,
        "arguments": [*arguments, *([0] * (6 - len(arguments)))],
        "result": result,
        "memory": {str(place): data.hex() for place, data in memory.items()},
        "descriptors": {str(number): path for number, path in opened.items()},
    }


def path(bits: int, place: str, fd: int = 4) -> dict[str, Any]:
    return call(ADD, RULES, 1, 99, memory={2: struct.pack("=Qi", bits, fd)}, opened={fd: place})


def port(bits: int, number: int) -> dict[str, Any]:
    return call(ADD, RULES, 2, 99, memory={2: struct.pack("=QQ", bits, number)})


WRITE, READ = 0x7FF2, 0xC
CREATED = call(CREATE, 99, 24, memory={0: struct.pack("=3Q", WRITE | READ | 1 << 15, 1, 3)}, result=RULES)
CALLS = [CREATED, path(READ, "/usr"), path(WRITE, "/tmp"), path(1 << 15, "/dev"), path(WRITE, "", fd=1), port(1, 80),
         call(RESTRICT, RULES)]  # fmt: skip


def wrong(calls: list[dict[str, Any]], chosen: LandlockSettings = CHOSEN) -> list[str]:
    receipt = {"helpers": [{"exe": "/dev/.landlock", "calls": calls}]}
    return [line.leaf.partition(".")[2] for line in verify(chosen, context(NOW), receipt) if not line.holds]


ALL = ["mounts", "read", "write", "ioctl", "bind", "abstract_sockets", "signals"]


def less(position: int, *instead: dict[str, Any]) -> list[dict[str, Any]]:
    return [*CALLS[:position], *instead, *CALLS[position + 1 :]]


def _cases() -> Iterator[tuple[list[dict[str, Any]], list[str]]]:
    yield CALLS, []
    yield [], ALL
    yield CALLS[:-1], ALL
    yield less(6, call(RESTRICT, RULES, result=-1)), ALL
    yield less(6, call(RESTRICT, RULES + 1)), ALL
    yield less(0), ALL
    yield less(0, {**CREATED, "arguments": [99, 8, 0, 0, 0, 0]}), ["bind", "abstract_sockets", "signals"]
    yield less(2, path(WRITE, "/tmp/below")), []
    yield less(2, path(WRITE, "/")), ["write"]
    yield less(2), []
    yield less(2, path(WRITE, "/srv"), path(WRITE, "/tmp")), ["write"]
    yield less(1, path(READ | WRITE, "/usr")), ["write"]
    yield less(5, port(1, 81)), ["bind"]
    yield less(5, port(1, 80), {**port(1, 81), "result": -1}), []
    yield less(1, {**path(READ, "/usr"), "memory": {}}), ["read", "write", "ioctl"]
    yield less(1, {**path(READ, "/usr"), "descriptors": {}}), ["read"]


@pytest.mark.parametrize(("calls", "leaves"), list(_cases()))
def test_what_the_kernel_was_asked_for_is_held_against_each_setting(
    calls: list[dict[str, Any]], leaves: list[str]
) -> None:
    assert wrong(calls) == leaves


def test_what_nobody_has_seen_is_no_drift() -> None:
    found = list(verify(CHOSEN, context(NOW), {"helpers": None}))
    assert {line.leaf.partition(".")[2] for line in found} == {*ALL}
    assert {line.state for line in found} == {State.NOT_SEEN}


def test_who_is_not_to_be_confined_may_be() -> None:
    assert wrong(CALLS, NOTHING) == wrong([], NOTHING) == []
