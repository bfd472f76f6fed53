"""The external scanner: a program of the host's that is given a read-only root, and what its answers mean."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.images.ids import Ids
from hardening.mechanism.scanner import Detection
from hardening_scan import examine
from hardening_scan.external import External, answer
from tests.support.features import require
from tests.support.patience import is_over, until

PROGRAM = str(Path(sys.executable).with_name("hardening"))


def sarif(*results: object) -> bytes:
    return json.dumps({"version": "2.1.0", "runs": [{"results": list(results)}]}).encode()


def result(uri: str) -> dict[str, object]:
    place = {"physicalLocation": {"artifactLocation": {"uri": uri}}}
    return {"ruleId": "CVE-1", "message": {"text": "old\nmore"}, "locations": [place]}


@pytest.mark.parametrize("uri", ["usr/lib/a", "/usr/lib/a", "file:///proc/self/fd/5/usr/lib/a", "usr/lib/%61"])
def test_sarif_gives_paths_in_the_root(uri: str) -> None:
    (found,) = answer("tool", 1, sarif(result(uri)), "/proc/self/fd/5")
    assert found == Detection("external", "/usr/lib/a", "tool: CVE-1: old")


def test_bases_and_artifacts_of_sarif_are_followed() -> None:
    run = {
        "artifacts": [{"location": {"uri": "a", "uriBaseId": "LIB"}}],
        "originalUriBaseIds": {"LIB": {"uri": "lib/", "uriBaseId": "USR"}, "USR": {"uri": "file:///fd/usr/"}},
        "results": [
            {"locations": [{"physicalLocation": {"artifactLocation": place}}]}
            for place in ({"index": 0}, {"uri": "a", "uriBaseId": "USR"}, {"uri": "a", "uriBaseId": "OTHER"}, {})
        ],
    }
    found = answer("tool", 1, json.dumps({"runs": [run]}).encode(), "/fd")
    assert [item.path for item in found] == ["/usr/lib/a", "/usr/a", "/a", "/"]
    place = {"physicalLocation": {"artifactLocation": {"uri": "a", "uriBaseId": "B0"}}}
    bases = {f"B{number}": {"uri": "x/", "uriBaseId": f"B{number + 1}"} for number in range(20)}
    deep = {"originalUriBaseIds": bases, "results": [{"locations": [place]}]}
    long = {"results": [{"locations": [{"physicalLocation": {"artifactLocation": {"uri": "a" * 20_000}}}]}]}
    for other in (deep, long):
        (found_none,) = answer("tool", 0, json.dumps({"runs": [other]}).encode(), "/fd")
        assert found_none.detail.endswith("did not print SARIF")
    circle = {"originalUriBaseIds": {"A": {"uriBaseId": "A"}}, "results": [
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "a", "uriBaseId": "A"}}}]}]}  # fmt: skip
    assert [item.path for item in answer("tool", 0, json.dumps({"runs": [circle]}).encode(), "/fd")] == ["/a"]


def test_what_passes_is_no_finding_and_a_failure_is_no_acceptance() -> None:
    assert answer("tool", 0, sarif({"kind": "pass"}, {"kind": "notApplicable"}), "/x") == []
    assert [item.kind for item in answer("tool", 0, sarif({"kind": "open"}, {"kind": "review"}, {}), "/x")] == [
        "external"
    ] * 3
    failed = {"runs": [{"invocations": [{"executionSuccessful": False}], "results": []}]}
    assert [item.kind for item in answer("tool", 0, json.dumps(failed).encode(), "/x")] == ["unread"]


def test_an_exit_code_counts_where_nothing_else_is_said() -> None:
    assert answer("tool", 0, b"fine", "/x") == answer("tool", 0, sarif(), "/x") == []
    assert (
        answer("tool", 3, b"bad", "/x")
        == answer("tool", 3, sarif(), "/x")
        == [Detection("external", "/", "tool: exit code 3")]
    )


@pytest.mark.parametrize("broken", [{"runs": [1]}, {"runs": [{"results": [{"locations": [1]}]}]}])
def test_what_is_no_sarif_is_no_acceptance(broken: object) -> None:
    assert [item.kind for item in answer("tool", 0, json.dumps(broken).encode(), "/x")] == ["unread"]


def scanned(root: Path, *command: str) -> list[tuple[str, str, str]]:
    found = examine.examine(str(root), (External(command),), Ids()).findings
    return [(item.kind, item.path, item.detail) for item in found]


def test_the_program_sees_the_root_and_cannot_write_to_it_or_run_it(tmp_path: Path) -> None:
    require("userns")
    (tmp_path / "tool").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "tool").chmod(0o755)
    script = "test -e $0/tool || exit 3; touch $0/x 2>/dev/null && exit 4; $0/tool 2>/dev/null && exit 5; exit 6"
    assert scanned(tmp_path, "sh", "-c", script, "{root}") == [("external", "/", "sh: exit code 6")]
    assert not (tmp_path / "x").exists()


def test_the_program_ends_with_the_scan_that_is_killed(tmp_path: Path) -> None:
    require("userns")
    told = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {told}.new; mv {told}.new {told}; exec sleep 1000", "{root}"]
    words = [PROGRAM, "scan", "--set", f"scan.command={json.dumps(command)}", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as scan:
        until(told.exists)
        scan.kill()
    until(lambda: is_over(int(told.read_text())))


def test_a_scanner_that_is_not_there_is_told(tmp_path: Path) -> None:
    require("userns")
    expected = [("unread", "/", "the scanner no-such-scanner is not installed")]
    assert scanned(tmp_path, "no-such-scanner", "{root}") == expected


def test_only_what_is_read_of_an_answer_is_kept_and_no_more_than_its_bound(tmp_path: Path) -> None:
    require("userns")
    written, root = tmp_path / "written", tmp_path / "root"
    root.mkdir()
    script = f"trap '' PIPE; head -c 80000000 /dev/zero || :; echo > {written}"
    assert scanned(root, "sh", "-c", script, "{root}") == [
        ("unread", "/", "the scanner sh printed more than 67108864 bytes")
    ]
    assert not written.exists()


def test_what_the_program_has_started_ends_with_it_and_is_not_waited_for(tmp_path: Path) -> None:
    require("userns")
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; exit 3"
    (tmp_path / "root").mkdir()
    assert scanned(tmp_path / "root", "sh", "-c", script, "{root}") == [("external", "/", "sh: exit code 3")]
    until(lambda: is_over(int((tmp_path / "pid").read_text())))


def test_what_it_says_is_one_line_for_each_finding() -> None:
    (found,) = answer("tool", 1, sarif({"ruleId": "a\nb", "message": {"text": "c\nd"}}), "/x")
    assert found.detail == "tool: a: c"
