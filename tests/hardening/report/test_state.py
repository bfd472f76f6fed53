"""The short lines of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.cli.session import Request
from hardening.mechanism.findings import NOT_TAKEN, Finding, Severity
from hardening.mechanism.mechanism import State, Unsupported, Verification
from hardening.profile.exemption import WHY
from hardening.report import verification
from hardening.report.state import notes
from tests.hardening.cli.samples import COLOURS, Box, profile, session


def test_notes_are_one_line_each_and_not_repeated(tmp_path: Path) -> None:
    profile(tmp_path, "default", "[box]\nsize = 1\n[box.colours]\nadd = ['red']\ndrop = ['blue']\n")
    profile(tmp_path, "more", "extends = 'default'\n[[exceptions]]\nsetting = 'box.size'\nreason = 'why'\nticket = 'T'\n"
            "[box]\nsize = 2\n")  # fmt: skip
    composition = session(tmp_path).compose(Request(("more",)))
    findings = [
        Finding("core/not-enforced", Severity.WARNING, "box.lid is not enforced: no lid", leaf="box.lid"),
        Finding("box/a", Severity.NOTE, "a note"),
        Finding("box/b", Severity.WARNING, "a warning", leaf="box.size", origin="file:1", hint="a remedy"),
        Finding("box/c", Severity.ERROR, "an error", leaf="box.size"),
        Finding("box/d", Severity.ERROR, "about everything"),
        Finding(NOT_TAKEN, Severity.WARNING, "it wants a lid", origin="image x", hint="--lid gives it one"),
    ]
    lacks = [Unsupported("box.lid", "no lid", 'buy one, or set requirement = "best-effort" in [box]')]
    assert list(notes(composition, lacks, findings)) == [
        "not enforced: box.lid: no lid",
        "warning: file:1: a warning",
        "serious: box.size: an error",
        "serious: about everything",
        "warning: image x: it wants a lid: --lid gives it one",
        f"exception: box.size: why (T, {tmp_path}/more.toml:2)",
    ]


@pytest.mark.parametrize(
    ("colours", "covers"),
    [
        (["red"], "box.colours.red"),
        (["amber", "blue", "red"], "box.colours.amber, box.colours.blue, box.colours.red"),
        (["amber", "blue", "green", "red"], "box.colours.amber, box.colours.blue and 2 more"),
    ],
)
def test_an_exception_for_a_group_says_what_it_covers(
    colours: list[str], covers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = tuple(f"colours.{colour}" for colour in COLOURS)
    monkeypatch.setattr(Box, "expand", lambda self, name: members if name == "@all" else (name,))
    profile(tmp_path, "default", "[box]\ncolours = []\n")
    profile(tmp_path, "more", "extends = 'default'\n[[exceptions]]\nsetting = 'box.@all'\nreason = 'why'\n"
            f"[box]\ncolours.add = {colours}\n")  # fmt: skip
    composition = session(tmp_path).compose(Request(("more",)))
    assert list(notes(composition)) == [f"exception: box.@all: why ({tmp_path}/more.toml:2) covers {covers}"]


def test_a_layer_whose_exceptions_have_one_reason_is_told_of_once(tmp_path: Path) -> None:
    """As `why -o` and `learn -o` write them, until somebody has reviewed them."""
    profile(tmp_path, "default", "[box]\nsize = 1\nclosed = true\n")
    reasons = (
        "[[exceptions]]\nsetting = 'box.size'\nreason = '{}'\n[[exceptions]]\nsetting = 'box.closed'\nreason = '{}'\n"
    )
    said = "[box]\nsize = 2\nclosed = false\n"
    profile(tmp_path, "more", "extends = 'default'\n" + reasons.format(WHY, WHY) + said)
    composition = session(tmp_path).compose(Request(("more",)))
    file = f"{tmp_path}/more.toml"
    warned, permitted = notes(composition, (), composition.findings)
    assert warned.startswith(f"warning: {file}:2: 2 exceptions have no reason yet: ")
    assert permitted in (
        f"exception: box.size, box.closed: {WHY} ({file}:2)",
        f"exception: box.closed, box.size: {WHY} ({file}:5)",
    )
    profile(tmp_path, "more", "extends = 'default'\n" + reasons.format("it grows", WHY) + said)
    composition = session(tmp_path).compose(Request(("more",)))
    assert sorted(notes(composition, (), composition.findings)) == [
        f"exception: box.closed: {WHY} ({file}:5)",
        f"exception: box.size: it grows ({file}:2)",
        f'warning: {file}:5: the exception for box.closed has "{WHY}" for a reason',
    ]


def test_a_check_of_what_a_best_effort_mechanism_lacks_is_no_failure(tmp_path: Path) -> None:
    profile(tmp_path, "lax", "[box]\nrequirement = 'best-effort'\n")
    profile(tmp_path, "hard", "[box]\n")
    checks = [
        Verification.of("box.size", "1", "2", False),
        Verification.of("box.closed", "a", "a", True),
        Verification.of("box.lid", "1", "2", False),
    ]
    lacks = [Unsupported("box.size", "reason", ""), Unsupported("box.closed", "reason", "")]
    lax = verification.judge(session(tmp_path).compose(Request(("lax",))), checks, lacks)
    assert [line.result for line in lax] == ["not enforced", "holds", "does not hold"]
    hard = verification.judge(session(tmp_path).compose(Request(("hard",))), checks, lacks)
    # What is required and lacking is told as well, whatever a process shows: such a stack is not launched here.
    assert [line.result for line in hard] == ["does not hold", "holds", "does not hold", *["does not hold"] * 2]
    assert not verification.holds(hard)
    assert verification.holds(lax[:2])
    assert not verification.holds([verification.ReceiptLine("box.size", "1", "", State.NOT_SEEN)])
