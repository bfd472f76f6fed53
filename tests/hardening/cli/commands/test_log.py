"""``hardening log`` over files of records; the sinks themselves are tested as a system."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hardening.launch.record import sinks
from tests.hardening.cli.samples import call, session
from tests.hardening.launch.record.test_sinks import RECORD
from tests.support import audit

NOW = datetime.now(UTC)


def at(**ago: int) -> str:
    return f"{NOW - timedelta(**ago):%Y-%m-%dT%H:%M:%S}.000000Z"


RECORDS: list[dict[str, Any]] = [
    {**RECORD, "id": "aa01", "time": at(days=3), "loginuid": None},
    {**RECORD, "id": "aa01", "time": at(days=3), "loginuid": None, "event": "end", "result": "exited", "code": 3},
    {**RECORD, "id": "bb02", "time": at(hours=5), "command": ["cat", "\x1b[31mred"], "pid": 2**22},
    {**RECORD, "id": "bb02", "time": at(hours=5), "event": "exception", "setting": "a.b", "reason": "why", "ticket": "T"},
    {**RECORD, "id": "cc03", "time": at(minutes=30), "event": "refused", "code": 2, "error": "team.toml:3: no", "uid": 4711},
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f"{json.dumps(record)}\n" for record in RECORDS))
    return path


def shown(file: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The (id, event) of what is shown."""
    assert call(session(file.parent), "log", "--from", str(file), "--json", *arguments) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [f"{record['id']} {record['event']}" for record in records]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["aa01 launch", "aa01 end", "bb02 launch", "bb02 exception", "cc03 refused"]),
        (["--since", "12h"], ["bb02 launch", "bb02 exception", "cc03 refused"]),
        (["--until", "1h"], ["aa01 launch", "aa01 end", "bb02 launch", "bb02 exception"]),
        (["--since", "12h", "--until", "2h"], ["bb02 launch", "bb02 exception"]),
        (["--since", f"{NOW - timedelta(days=1):%Y-%m-%d}", "-n", "1"], ["cc03 refused"]),
        (["--event", "refused", "--event", "end"], ["aa01 end", "cc03 refused"]),
        (["--id", "bb"], ["bb02 launch", "bb02 exception"]),
        (["--auid", "1000"], ["bb02 launch", "bb02 exception", "cc03 refused"]),
        (["--user", "root"], ["aa01 launch", "aa01 end", "bb02 launch", "bb02 exception"]),
        (["--user", "4711", "--event", "refused"], ["cc03 refused"]),
        (["-n", "2"], ["bb02 exception", "cc03 refused"]),
        (["-n", "0"], []),
    ],
)
def test_filters(arguments: list[str], expected: list[str], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(file, capsys, *arguments) == expected


def test_the_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(session(file.parent), "log", "--from", str(file)) == 0
    output = capsys.readouterr().out
    assert "\x1b" not in output
    heading, first, end, second, exception, refused = output.splitlines()
    assert heading.split() == ["TIME", "ID", "EVENT", "WHO", "TERMINAL", "RESULT", "WHAT"]
    assert first.split()[2:5] == ["aa01", "launch", "(root)"]
    assert ">root " in second
    assert " exit 3 " in end
    assert "no end recorded" in second
    assert r"cat '\x1b[31mred' [strict, command line]" in second
    assert "excepted" in exception
    assert exception.endswith("a.b: why (T)")
    assert "refused (2)" in refused
    assert refused.endswith("team.toml:3: no")
    assert "4711" in refused


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").touch()
    assert call(session(tmp_path), "log", "--from", str(tmp_path / "empty")) == 0
    assert capsys.readouterr().err == "no records\n"


def test_what_cannot_be_read_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with file.open("a") as stream:
        stream.write("{nonsense\n")
    assert call(session(file.parent), "log", "--from", str(file), "-n", "1") == 0
    assert capsys.readouterr().err == f"not read: {file}: 1 lines are no records\n"


@pytest.mark.parametrize("typed", ["today", "yesterday", "00:00", "00:00:00"])
def test_a_time_of_today_is_one(typed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "records.jsonl").touch()
    assert call(session(tmp_path), "log", "--from", str(tmp_path / "records.jsonl"), "--since", typed) == 0
    assert capsys.readouterr().err == "no records\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "tomorrow"], "--since: invalid time 'tomorrow'"),
        (["--since", "24:30"], "--since: invalid time '24:30'"),
        (["--since", "99999999999d"], "invalid time"),
        (["--auid", "no-such-user"], "--auid: unknown user no-such-user"),
        (["--follow", "--until", "1h"], "--follow has no end"),
        (["--event", "party"], "party"),
        (["--from", "/nowhere"], "/nowhere: cannot read records"),
    ],
)
def test_bad_usage_is_one_error(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(session(tmp_path), "log", *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("error: ") == 1


def test_a_refusal_of_the_command_line_is_recorded_and_other_commands_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARDENING_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    word = os.urandom(8).hex()
    for arguments in (["compose"], ["explain"], ["run", "--dry-run"]):
        assert (
            call(session(tmp_path), *arguments, "-p", f"no-such-{word}", *(["--", "x"] if "run" in arguments else []))
            == 2
        )
    assert call(session(tmp_path), "run", "-p", f"no-such-{word}") == 2  # no command: no launch
    assert not (tmp_path / "state" / "records" / sinks.FILE).exists()
    with audit.alone():  # with a daemon, the record would be in its log
        assert call(session(tmp_path), "run", "-p", f"no-such-{word}", "--", "x", "y") == 2
        capsys.readouterr()
        assert call(session(tmp_path), "log", "--since", "1h", "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines() if word in line]
    (record,) = records
    assert (record["event"], record["code"], record["command"]) == ("refused", 2, ["x", "y"])
    assert record["profiles"] == [{"name": f"no-such-{word}", "sha256": None}]
