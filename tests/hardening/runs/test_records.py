from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hardening.errors import HardeningError
from hardening.launch.record import audit_text, sinks
from hardening.runs import records
from tests.hardening.launch.record.test_sinks import RECORD

STAMP = "type=VIRT_CONTROL msg=audit(1772353800.123:45): pid=7 uid=0 auid=1000 ses=4294967295 subj=unconfined msg='{}'"
ENRICHED = '\x1dUID="root" AUID="alice" ID="root"'
JOURNAL = {"_AUDIT_LOGINUID": "1000", "_AUDIT_SESSION": "3", "_UID": "1000", "_GID": "1000", "_PID": "99"}
JOURNAL["__REALTIME_TIMESTAMP"] = "1772353801000002"
#: Spares a test what this host has kept for long.
LATELY = datetime.now(UTC) - timedelta(hours=1)


def one(source: str, line: str) -> dict[str, Any]:
    found, problems = records.parse(source, line)
    assert problems == []
    (record,) = found
    return record


@pytest.mark.parametrize("ending", ["", ENRICHED])
@pytest.mark.parametrize(
    ("event", "more"),
    [
        ("launch", {"partly": ["process"], "image": "sha256:ab"}),
        ("refused", {"code": 2, "error": 'a.toml:3: it\'s "so" ü\x1b'}),
        (
            "exception",
            {"setting": "a.b", "reason": "why not", "ticket": "ABCD", "expires": "2030-01-01", "origin": "a:3"},
        ),
        ("end", {"code": 137, "signal": 9, "result": "killed", "seconds": 0.25}),
    ],
)
def test_what_goes_to_the_audit_system_comes_back(event: str, more: dict[str, Any], ending: str) -> None:
    wanted = {**RECORD, **more, "event": event}
    record = one("audit", "node=host " + STAMP.format(audit_text.audit_text(wanted)) + ending)
    assert record["time"] == "2026-03-01T08:30:00.123000Z"
    assert (record["loginuid"], record["session"], record["uid"], record["pid"]) == (1000, None, 0, 7)
    for name in ("event", "id", "gid", "terminal", "runtime", "command", "spec", "profiles", "enforced", *more):
        assert record[name] == wanted[name], name


def test_messages_of_other_programs_are_passed_over() -> None:
    other = STAMP.format('virt=kvm op=start reason=booted vm="guest" vm-pid=7 exe="/usr/sbin/libvirtd" res=success')
    assert records.parse("audit", f"{other}\ntype=SYSCALL msg=audit(1.2:3): arch=c000003e\n") == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "virt=hardening op=start",
        "virt=hardening op=nonsense vm=AB",
        'virt=hardening op=stop vm="x" exit-code=x',
        "virt=hardening op=start vm=ZZ",
        "virt=hardening op=start vm=41 cmd=27",
    ],
)
def test_a_malformed_audit_message_is_counted(text: str) -> None:
    assert records.parse("audit", STAMP.format(text)) == ([], ["audit: 1 lines are no records"])


def test_the_journal_is_believed_before_the_record() -> None:
    """Everybody can write to the journal; what journald says of the sender is what counts."""
    forged = {**RECORD, "uid": 0, "loginuid": 0, "pid": 1}
    record = one("journald", json.dumps({**JOURNAL, "HARDENING_RECORD": json.dumps(forged)}))
    assert (record["uid"], record["loginuid"], record["session"], record["gid"], record["pid"]) == (
        1000,
        1000,
        3,
        1000,
        99,
    )


def test_what_journald_does_not_say_of_a_sender_the_sender_does_not_say_either() -> None:
    """A service of no login would name a login of somebody else's, and an earlier time."""
    told = {name: value for name, value in JOURNAL.items() if "AUDIT" not in name}
    record = one("journald", json.dumps({**told, "HARDENING_RECORD": json.dumps({**RECORD, "session": 5})}))
    assert (record["loginuid"], record["session"], record["uid"]) == (None, None, 1000)
    assert record["time"] == "2026-03-01T08:30:01.000002Z"


def test_a_forged_record_hides_no_true_one() -> None:
    true = {**RECORD, "uid": 0, "loginuid": None, "event": "end", "result": "exited", "code": 1}
    lines = [
        json.dumps({**JOURNAL, **sender, "HARDENING_RECORD": json.dumps(said)})
        for sender, said in (
            ({}, true),
            ({}, {**true, "code": 0}),
            ({"_UID": "0", "_GID": "0"}, true),
            ({"_UID": "0", "_GID": "0"}, true),
            ({"_UID": "0", "_GID": "0"}, {**true, "command": ["true"]}),
        )
    ]
    found, _ = records.parse("journald", "\n".join(lines))
    merged = records._merged(found)
    assert [(item["uid"], item["code"], item["command"][0]) for item in merged] == [
        (1000, 1, "sh"),
        (1000, 0, "sh"),
        (0, 1, "sh"),
        (0, 1, "true"),
    ]
    launch = {**RECORD, "uid": 0}
    ended = frozenset(records.whose(item) for item in merged[:2])
    assert records.outcome(launch, ended) == "no end recorded"


@pytest.mark.parametrize(
    ("audited", "filed", "shown"),
    [
        (["sh", "-c", "ab…(+7 bytes)"], ["sh", "-c", "ab and more"], 1),
        (["sh", "ab…(+7 bytes)", "…(+2 arguments)"], ["sh", "ab and more", "x…(+900 bytes)"], 1),
        (["sh", "-c", "ab…(+7 bytes)"], ["sh", "-c", "other"], 2),
        (["sh", "-c"], ["sh", "-c", "more"], 2),
    ],
)
def test_a_command_that_two_sinks_have_cut_differently_is_one(audited: list[str], filed: list[str], shown: int) -> None:
    """The first one stays, which is of the sink that is to be believed most."""
    found = [{**RECORD, "command": audited, "source": "audit"}, {**RECORD, "command": filed, "source": "file"}]
    merged = records._merged(found)
    assert (len(merged), merged[0]["source"]) == (shown, "audit")


WRONG: list[dict[str, Any]] = [
    {"time": "soon"}, {"time": "2026-03-01"}, {"time": "9999-12-31T23:59:59.000000Z"}, {"id": 7}, {"event": "party"},
    {"command": "sh"}, {"command": [1]}, {"uid": "root"}, {"pid": True}, {"profiles": ["x"]}, {"profiles": [{}]},
    {"enforced": 1}, {"error": ["x"]}, {"code": {}},
]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", "{}", '{"event": "launch"}', "[" * 100_000, '{"a": ' * 100_000]
    + [json.dumps({**RECORD, **wrong}) for wrong in WRONG],
    ids=lambda line: line[:20] if len(line) > 1000 else line[-60:],
)
def test_lines_that_are_no_records_are_counted(line: str) -> None:
    found, problems = records.parse("file", f"{json.dumps(RECORD)}\n{line}\n", "records.jsonl")
    assert len(found) == 1
    assert problems == ["records.jsonl: 1 lines are no records"]


def test_a_record_in_two_sinks_is_shown_once(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    sink = sinks.File(str(folder))
    sink.write(RECORD)
    (folder / sinks.OLD_FILES[0]).write_text(
        json.dumps({**RECORD, "time": "2026-03-01T08:29:00.000001Z", "id": "b"}) + "\n"
    )
    (folder / sinks.FILE).write_text((folder / sinks.FILE).read_text() * 2)
    found = records.read({"HARDENING_STATE": str(tmp_path)}, LATELY)
    ours = [record["id"] for record in found.records if record["source"].startswith(str(folder))]
    assert ours == ["b", RECORD["id"]]


def test_a_file_that_was_written_before_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "records"
    place.mkdir(mode=0o700)
    for name, day in (("records.jsonl", 2), ("records.1.jsonl", 1)):
        path = place / name
        path.write_text(json.dumps(RECORD | {"id": name, "time": f"2096-03-0{day}T09:00:00.000000Z"}) + "\n")
        path.chmod(0o600)
        moment = datetime(2096, 3, day, 9, tzinfo=UTC)
        os.utime(path, (moment.timestamp(), moment.timestamp()))
    environment = {"HARDENING_STATE": str(tmp_path)}
    assert [record["id"] for record in records.read(environment, moment).records] == [
        "records.1.jsonl",
        "records.jsonl",
    ]
    late = datetime(2096, 3, 2, tzinfo=UTC)
    assert [record["id"] for record in records.read(environment, late).records] == ["records.jsonl"]


def test_records_that_others_could_have_written_are_not_read(tmp_path: Path) -> None:
    """Nor is a pipe waited for that they have laid there."""
    state = tmp_path / "above/state"
    (state / "records").mkdir(parents=True, mode=0o700)
    os.mkfifo(state / "records" / sinks.FILE, 0o600)
    (tmp_path / "above").chmod(0o777)
    found = records.read({"HARDENING_STATE": str(state)}, LATELY)
    assert f"{state}/records: {tmp_path}/above can be written by others than its owner (mode 0777)" in found.problems


def test_a_file_of_either_kind(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_text(STAMP.format(audit_text.audit_text(RECORD)) + "\n")
    (tmp_path / "records.jsonl").write_text(json.dumps(RECORD) + "\n")
    for name in ("audit.log", "records.jsonl"):
        (record,) = records.read_file(tmp_path / name).records
        assert (record["command"], record["source"]) == (RECORD["command"], str(tmp_path / name))
    with pytest.raises(HardeningError, match="cannot read records"):
        records.read_file(tmp_path / "none")


def test_what_came_of_a_launch() -> None:
    boot = float(Path("/proc/uptime").read_text().split()[0])
    running = {**RECORD, "pid": os.getpid(), "time": "2099-01-01T00:00:00.000000Z"}
    assert boot > 0
    assert records.outcome(running, frozenset()) == "running"
    # The number belongs to a process that has begun after the record was made.
    assert records.outcome({**running, "time": "2001-01-01T00:00:00.000000Z"}, frozenset()) == "no end recorded"
    assert records.outcome(running, frozenset({records.whose(RECORD)})) == "started"
    assert records.outcome({**RECORD, "event": "refused", "code": 2}, frozenset()) == "refused (2)"
    assert records.outcome({**RECORD, "event": "exception"}, frozenset()) == "excepted"
    assert records.outcome({**RECORD, "event": "end", "result": "exited", "code": 3}, frozenset()) == "exit 3"
    assert records.outcome({**RECORD, "event": "end", "result": "killed", "signal": 9}, frozenset()) == "signal 9"


def test_a_line_that_no_audit_message_is_long_enough_for_is_no_record() -> None:
    """Of many beginnings in one line each would be looked for to its end."""
    line = "type=VIRT_CONTROL msg=audit(1.000:1): pid=1 uid=1 auid=1 ses=1 " * 20_000
    assert records.parse("audit", line) == ([], ["audit: 1 lines are no records"])
