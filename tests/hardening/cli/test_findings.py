"""`hardening/cli/refusals.py`: what `[findings]` refuses is refused wherever something would run or be written."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.hardening.cli.samples import call, profile, session

OPEN = "[box]\nclosed = false\n"
GATE = "[findings]\nrefuse = 'warning'\n"


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert call(session(folder), *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    profile(tmp_path, "open", OPEN)
    profile(tmp_path, "org", GATE)
    return tmp_path


@pytest.mark.parametrize("first", ["org", "open"])
@pytest.mark.parametrize("line", [("run", "--dry-run"), ("run",), ("compose",), ("compose", "-o", "bundle")])
def test_a_finding_refuses_whatever_the_order_of_the_layers(
    line: tuple[str, ...], first: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = "open" if first == "org" else "org"
    message = refusal(folder, capsys, *line, "-p", first, "-p", second, "--", "true")
    expected = f"error: {folder}/open.toml:2: the lid is open (box/open, warning), which {folder}/org.toml:2 refuses"
    assert message.endswith(f"{expected}\nhint: close it\n")
    assert not (folder / "bundle").exists()


def test_what_is_refused_is_refused_when_a_configuration_is_tightened(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = folder / "config.json"
    foreign.write_text('{"ociVersion": "1.2.0", "process": {"args": ["true"]}, "annotations": {}}')
    before = foreign.read_text()
    for mode in ("--check", "--in-place"):
        assert "which" in refusal(folder, capsys, "apply", "-p", "open", "-p", "org", str(foreign), mode)
    assert foreign.read_text() == before


def test_a_limit_of_findings_says_the_same_where_limits_stand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "org", "[limits.findings]\nat = 'error'\n[limits.findings.rules]\n'box/open' = 'warning'\n")
    message = refusal(folder, capsys, "run", "-p", "org", "-p", "open", "--set", "findings.refuse=never", "--", "true")
    assert f"(box/open, warning), which {folder}/org.toml:4 refuses" in message
    profile(folder, "org", "[limits.findings]\nat = 'error'\n")
    assert call(session(folder), "compose", "-p", "org", "-p", "open") == 0, "a warning is none of what it refuses"


def test_no_exception_and_no_later_layer_lifts_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "lax", "[findings]\nrefuse = 'note'\n[findings.rules]\n'box/open' = 'never'\n")
    excepted = ("--set", "findings.refuse=never", "--exception", "box.closed=why")
    message = refusal(folder, capsys, "run", "-q", "-p", "org", "-p", "open", "-p", "lax", *excepted, "--", "true")
    assert "the lid is open" in message


@pytest.mark.parametrize(
    ("gate", "code"),
    [("", 1), ("findings.refuse = 'error'", 0), (GATE, 1), ("[findings.rules]\n'box/open' = 'note'\n", 1)],
)
def test_a_report_fails_for_what_is_refused(
    gate: str, code: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(folder, "gate", gate)
    assert call(session(folder), "compose", "-p", "open", "-p", "gate", "--format", "sarif") == code
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("open.toml", 2), "that of its leaf"


def test_what_the_host_lacks_fails_no_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "lax", "[box]\nrequirement = 'best-effort'\n")
    assert call(session(folder, broken=True), "compose", "-p", "lax", "--format", "sarif") == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert [(item["ruleId"], item["level"]) for item in run["results"]] == [("HRD007", "note")]
    rule = run["tool"]["driver"]["rules"][0]
    assert rule["shortDescription"]["text"] == "A setting that this host does not enforce"
    assert rule["name"] == "core/not-enforced"


def test_a_rule_that_nobody_has_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "typo", "[findings.rules]\n'core/unused-exeption' = 'note'\n")
    message = refusal(folder, capsys, "run", "--dry-run", "-p", "typo", "--", "true")
    assert "typo.toml:2: findings.rules" in message
    assert 'did you mean "core/unused-exception"?' in message
    for rule in ("lint/restated", "HRD012"):
        profile(folder, "lint", f"[limits.findings.rules]\n'{rule}' = 'note'\n")
        message = refusal(folder, capsys, "run", "--dry-run", "-p", "lint", "--", "true")
        assert "lint.toml:2: limits.findings.rules" in message
        assert "gate on `hardening lint --fail-on note`" in message, "a run has no findings of lint"
    for word, meant in (("HRD00", "HRD001"), ("hrd0055", "HRD005"), ("unused-exception", "core/unused-exception")):
        profile(folder, "typo", f"[findings.rules]\n{word} = 'note'\n")
        message = refusal(folder, capsys, "run", "--dry-run", "-p", "typo", "--", "true")
        assert f'did you mean "{meant}"?' in message
    profile(folder, "twice", "[findings.rules]\nHRD005 = 'note'\n'core/unused-exception' = 'warning'\n")
    assert f"which this layer names at {folder}/twice.toml:2" in refusal(folder, capsys, "compose", "-p", "twice")


def test_what_a_layer_takes_out_of_its_own_gate_alone_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever says "never" beside an organisation that refuses is told whose line it is."""
    never = "[findings.rules]\n'box/open' = 'never'\n"
    line = ("run", "--dry-run", "-p", "org", "-p", "open", "-p", "lax", "--", "true")
    profile(folder, "lax", never)
    assert f"hint: no layer lifts what {folder}/org.toml:2 refuses: remove this" in refusal(folder, capsys, *line)
    profile(folder, "lax", f"[findings]\nrefuse = 'note'\n{never}")
    message = refusal(folder, capsys, *line)
    assert f"hint: close it; no layer lifts it: {folder}/lax.toml:4 is for its own layer alone" in message
    assert f"{folder}/org.toml:2 decides" in message
    profile(folder, "lax", never)
    assert 'set refuse = "error"' in refusal(folder, capsys, "run", "--dry-run", "-p", "lax", "--", "true")


def test_what_refuses_is_shown_with_the_stack(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    profile(folder, "gate", "[findings]\nrefuse = 'error'\n[findings.rules]\n'box/open' = 'never'\n")
    assert call(session(folder), "explain", "-p", "org", "-p", "gate") == 0
    rows = [line.split() for line in capsys.readouterr().out.partition("findings that refuse\n")[2].splitlines()[1:]]
    assert rows == [
        ["all", "others", "warning", f"{folder}/org.toml:2"],
        ["box/open", "never", f"{folder}/gate.toml:4"],
        ["all", "others", "error", f"{folder}/gate.toml:2"],
    ]


def test_a_flat_profile_refuses_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile(folder, "gate", "[findings.rules]\n'box/open' = 'note'\n")
    assert call(session(folder), "compose", "-p", "open", "-p", "gate", "--format", "toml") == 0
    profile(folder, "flat", capsys.readouterr().out)
    assert "the lid is open" in refusal(folder, capsys, "run", "--dry-run", "-p", "flat", "--", "true")


TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("days", "told"), [(0, "ends today"), (1, "in 1 day:"), (30, "in 30 days:"), (31, ""), (None, "")]
)
def test_an_exception_that_ends_soon_is_told(
    days: int | None, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = "" if days is None else f"expires = {TODAY + timedelta(days=days)}\n"
    exception = f"[[exceptions]]\nsetting = 'box.closed'\nreason = 'why'\n{ends}"
    path = profile(folder, "mine", f"extends = ['closed']\n{OPEN}{exception}")
    profile(folder, "closed", "[box]\nclosed = true\n")
    assert call(session(folder), "compose", "-p", "mine") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("expires: ")]
    assert len(lines) == bool(told)
    if told:
        assert lines[0].startswith(f"expires: {path}:7: the exception for box.closed ends")
        assert told in lines[0]
    assert call(session(folder), "explain", "-p", "mine") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "box.closed reason why" in shown
    if days is not None:
        assert f"({days} days)" in shown


def test_an_exception_that_has_ended_is_named_by_the_line_of_its_day(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = date(2020, 1, 1)
    profile(folder, "old", f"{OPEN}[[exceptions]]\nsetting = 'box.closed'\nreason = 'why'\nexpires = {ended}\n")
    assert f"{folder}/old.toml:6: the exception for box.closed ended on 2020-01-01" in refusal(
        folder, capsys, "run", "-p", "old", "--", "true"
    )
