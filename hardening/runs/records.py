"""Records of launches, read again from wherever they went: the audit log, the journal, and files of JSON lines.

`hardening.launch.record.record` writes them; docs/reference/records.md describes them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from hardening.base import files, jsontext, places, programs, trusted, wholefile
from hardening.base.text import CUT
from hardening.base.values import frozen
from hardening.errors import HardeningError, LaunchError
from hardening.launch.config.bundle import STATES
from hardening.launch.record import audit_text, journald, sinks
from hardening.launch.record.recording import UNSET

Data = dict[str, Any]

EVENTS = tuple(audit_text.OPERATIONS)
_AUDIT_LINE = re.compile(
    r"type=VIRT_CONTROL msg=audit\((\d{1,10})\.(\d{3}):\d+\): "
    r"pid=(\d{1,10}) uid=(\d{1,10}) auid=(\d{1,10}) ses=(\d{1,10}) .*?msg='([^']*)'"
)
#: Characters: a message of the audit system has 8970 bytes at most (libaudit.h), and `auditd` adds what they stand for.
_LONGEST_LINE = 32768
#: A launch and a refused one are the same operation there; the result tells them apart.
_EVENT_OF = {operation: event for event, operation in audit_text.OPERATIONS.items() if event != "refused"}
#: What journald says of the sender, whatever the sender says of itself (systemd.journal-fields(7)).
_TRUSTED = {"_AUDIT_LOGINUID": "loginuid", "_AUDIT_SESSION": "session", "_UID": "uid", "_GID": "gid", "_PID": "pid"}
_NUMBERS = ("loginuid", "session", "uid", "gid", "pid", "code", "signal")
_TEXTS = (
    *("terminal", "runtime", "spec", "image", "setting", "reason", "ticket", "expires", "origin", "error", "result"),
)
#: What is the same of a record in every sink. The time is not, nor the process where a child has written it, nor how much
#: is kept of a long command.
_SAME = (
    *("id", "event", "uid", "gid", "loginuid", "session", "spec", "setting", "reason", "ticket", "expires", "origin"),
    *("code", "error", "result", "signal"),
)
_TIME = re.compile(r"(19[7-9]\d|[2-8]\d{3})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@frozen
class FoundRecords:
    """Records with the place where each stands in ``source``, the oldest first, and what was not read: ``problems`` are
    sentences."""

    records: tuple[Data, ...]
    problems: tuple[str, ...] = ()


def read(environment: Mapping[str, str], since: datetime | None = None) -> FoundRecords:
    """The records that the caller can see, those from ``since`` on among them. What is not there (no audit log, no journal)
    is no problem."""
    found: list[Data] = []
    problems: list[str] = []
    for source, text in _texts(environment, since, problems):
        records, wrong = parse(source, text)
        found += records
        problems += wrong
    return FoundRecords(_merged(found), tuple(problems))


def read_file(path: Path) -> FoundRecords:
    """The records of one file, an audit log or JSON lines. Raises `HardeningError`."""
    try:
        text = wholefile.read(path).decode("utf-8", "backslashreplace")
    except OSError as error:
        hint = "name an audit log, or a records.jsonl"
        raise HardeningError(f"cannot read records: {error.strerror}", origin=path, hint=hint) from None
    records, problems = parse("file" if text.startswith("{") else "audit", text, str(path))
    return FoundRecords(_merged(records), tuple(problems))


def _texts(environment: Mapping[str, str], since: datetime | None, problems: list[str]) -> Iterator[tuple[str, str]]:
    # Where auditd's log lies, only root can read (auditd.conf(5)); who it is lent to finds it at the usual place.
    may = os.geteuid() == 0 or os.access("/var/log/audit/audit.log", os.R_OK)
    if may and (ausearch := programs.find("ausearch", places.OF_COMMANDS)):
        yield "audit", _output(problems, ausearch, "--input-logs", "--raw", "--message", "VIRT_CONTROL")
    if journalctl := programs.find("journalctl", places.OF_COMMANDS):
        yield (
            "journald",
            _output(problems, journalctl, "--output=json", "--all", "--no-pager", f"MESSAGE_ID={journald.MESSAGE_ID}"),
        )
    for place in places.of_records(environment):
        try:
            # What others could have written is none of ours, as it is no place to write to.
            sinks.require_own(os.lstat(place), str(place))
            trusted.require_secure_path(str(place))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problems.append(f"{place}: {error.strerror or error}")
            continue
        # The newest first: what becomes an old one meanwhile is read twice rather than not at all.
        for name in (sinks.FILE, *sinks.OLD_FILES):
            path = Path(place, name)
            try:
                # Old ones take seconds to read, and have nothing from after they were written.
                if since is None or path.stat().st_mtime >= since.timestamp():
                    yield str(path), wholefile.read(path).decode("utf-8", "backslashreplace")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")


def _output(problems: list[str], program: str, *arguments: str) -> str:
    # An exit code other than 0 only says that there is nothing.
    try:
        done = programs.run([program, *arguments], b"", programs.ASKING, env=programs.BARE)
    except TimeoutExpired:
        problems.append(f"{program}: no answer within {programs.ASKING:.0f} seconds")
        return ""
    return done.stdout.decode("utf-8", "backslashreplace")


def parse(source: str, text: str, place: str = "") -> tuple[list[Data], list[str]]:
    """The records in a text of ``source`` (``audit``, ``journald``, or a file of JSON lines), and what is wrong with the
    others."""
    readers = {"audit": _from_audit, "journald": _from_journal}
    reader = readers.get(source, _from_json)
    records: list[Data] = []
    wrong = 0
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            record = reader(line)
        except (LaunchError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            wrong += 1
            continue
        if record is not None:
            records.append({**record, "source": place or source})
    problems = [f"{place or source}: {wrong} lines are no records"] if wrong else []
    return records, problems


def _from_json(line: str) -> Data:
    """A record as it was written. What others can write is held to the types that the command line builds on."""
    record: Any = jsontext.parse(line.encode("utf-8", "backslashreplace"), "a record")
    if isinstance(record, dict) and record.get("event") == "exception":
        record.setdefault("command", [])  # which the record of the launch has
    if not isinstance(record, dict) or record.get("event") not in EVENTS or not isinstance(record.get("id"), str):
        raise ValueError("no record")
    fits = (
        isinstance(record.get("time"), str)
        and _are(str, record.get("command"))
        and all(type(record.get(name)) in (int, type(None)) for name in _NUMBERS)
        and all(isinstance(record.get(name), (str, type(None))) for name in _TEXTS)
        and all(_are(str, record.get(name, [])) for name in STATES)
        and _are(dict, record.get("profiles", []))
        and all(isinstance(profile.get("name"), str) for profile in record.get("profiles", []))
    )
    if not fits:
        raise ValueError("no record")
    instant(record["time"])
    return record


def _are(kind: type, items: object) -> bool:
    return isinstance(items, list) and all(isinstance(item, kind) for item in items)


def _from_journal(line: str) -> Data:
    entry = json.loads(line)  # of journalctl(1), whose form is its own
    if not isinstance(entry, dict) or not isinstance(entry.get("HARDENING_RECORD"), str):
        raise ValueError("no record")
    record = _from_json(entry["HARDENING_RECORD"])
    # What journald does not say (the login uid of who has not logged in), nobody else may say either.
    for field, name in _TRUSTED.items():
        record[name] = _identity(entry[field]) if field in entry else None
    seconds, rest = divmod(int(entry["__REALTIME_TIMESTAMP"]), 1_000_000)
    return {**record, "time": _stamp(seconds, f"{rest:06d}")}


def _from_audit(line: str) -> Data | None:
    """The record of an audit message; None for one of another program. `ValueError` for a malformed one."""
    if (
        len(line) > _LONGEST_LINE
    ):  # no message of audit is, and the search below looks for each beginning in all that follows
        raise ValueError("no record")
    match = _AUDIT_LINE.search(line)
    fields = dict(part.partition("=")[::2] for part in match[7].split(" ")) if match else {}
    if match is None or fields.get("virt") != audit_text.WRITER:
        return None
    names = {there: here for here, there in audit_text.NAMES.items()}
    record: Data = {
        "time": _stamp(int(match[1]), match[2].ljust(6, "0")),
        "event": "refused" if fields.get("res") == "failed" else _EVENT_OF.get(fields.get("op", "")),
        "loginuid": _identity(match[5]),
        "session": _identity(match[6]),
        "uid": int(match[4]),
        "pid": int(match[3]),
        "terminal": None if fields.get("terminal") in (None, "?") else fields["terminal"],
        "command": [],
    }
    for there, value in fields.items():
        name = names.get(there, there)
        if name in audit_text.TEXTS:
            record[name] = _structured(name, _decoded(value))
        elif name in audit_text.PLAIN:
            record[name] = int(value) if name in _NUMBERS else float(value) if name == "seconds" else value
    if "id" not in record or record["event"] is None:
        raise ValueError("no record")
    return record


def _decoded(value: str) -> str:
    if value.startswith('"'):
        return value.strip('"')
    return bytes.fromhex(value).decode("utf-8", "backslashreplace")


def _structured(name: str, text: str) -> object:
    if name == "command":
        return shlex.split(text)
    if name == "profiles":
        return [
            {"name": audit_text.unescape(profile), "sha256": None if digest in ("", "-") else digest}
            for profile, _, digest in (
                pair.rpartition(":") if ":" in pair else (pair, "", "") for pair in text.split(",")
            )
        ]
    if name in STATES:
        return [audit_text.unescape(part) for part in text.split(",")]
    return text


def _identity(text: object) -> int | None:
    """A number of the kernel that stands for nobody where it is the largest."""
    number = int(str(text))
    return None if number == UNSET else number


class SeenRecords:
    """Records that were read so far. One that went to two sinks, because the first was not sure to keep it, counts once,
    also where one of them has cut its command shorter; one that somebody has forged after it says something else."""

    def __init__(self, records: Iterable[Data] = ()) -> None:
        self._first: dict[tuple[object, ...], list[str]] = {}
        self._exact: set[tuple[object, ...]] = set()
        for record in records:
            self.take(record)

    def take(self, record: Data) -> bool:
        """Whether a record is a new one. From now on it is none."""
        key, command = tuple(map(record.get, _SAME)), record["command"]
        exact = (*key, *command)
        # The first is the one that the others follow; to compare all with all would be slow where many are forged.
        is_new = exact not in self._exact and not _agree(self._first.get(key), command)
        self._first.setdefault(key, command)
        self._exact.add(exact)
        return is_new


def _agree(one: list[str] | None, other: list[str]) -> bool:
    """Whether there are two commands of which one is cut, and as far as it goes they are the same."""
    if one is None:
        return False
    (kept, is_cut), (rest, rest_is_cut) = _kept(one), _kept(other)
    return (is_cut and rest.startswith(kept)) or (rest_is_cut and kept.startswith(rest))


def _kept(command: list[str]) -> tuple[str, bool]:
    """What is there of a command, a NUL after each whole word, and whether something was cut away."""
    for index, word in enumerate(command):
        kept, mark, _ = word.partition(CUT)
        if mark:
            return "".join(f"{word}\0" for word in command[:index]) + kept, True
    return "".join(f"{word}\0" for word in command), False


def _merged(records: Iterable[Data]) -> tuple[Data, ...]:
    """Each record once, in the order of time."""
    seen = SeenRecords()
    kept = [record for record in records if seen.take(record)]
    return tuple(sorted(kept, key=lambda record: (record["time"], EVENTS.index(record["event"]))))


def instant(text: str) -> datetime:
    """The time of a record. `ValueError`."""
    if not _TIME.fullmatch(text):
        raise ValueError("no time")
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _stamp(seconds: int, microseconds: str) -> str:
    """The time of a record. `ValueError` for one that no record has."""
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{microseconds}Z"
    instant(text)
    return text


def whose(record: Data) -> tuple[object, ...]:
    """The launch that a record is of: others could write an id of somebody else's, but not as that user."""
    return (record["id"], record.get("uid"), record.get("loginuid"))


def outcome(record: Data, ended: frozenset[tuple[object, ...]]) -> str:
    """What came of a launch, in a few words; ``ended`` are the launches with an end (`whose`)."""
    match record["event"]:
        case "launch":
            if whose(record) in ended:
                return "started"
            return "running" if _is_running(record) else "no end recorded"
        case "refused":
            return f"refused ({record.get('code')})"
        case "exception":
            return "excepted"
    if record.get("result") == "abandoned":
        return "launcher killed"
    if record.get("result") == "killed":
        return f"signal {record.get('signal')}"
    return f"exit {record.get('code')}"


def _is_running(record: Data) -> bool:
    """Whether the launcher that wrote a record lives: a process of its id that began before the record did."""
    try:
        started = files.started(int(record["pid"]))
        boot = next(line for line in Path("/proc/stat").read_text().split("\n") if line.startswith("btime"))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if started is None:
        return False
    began = int(boot.split()[1]) + started / os.sysconf("SC_CLK_TCK")
    # btime is a whole second, rounded.
    return began <= instant(record["time"]).timestamp() + 1
