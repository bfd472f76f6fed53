"""What a launch leaves for those who ask later who ran what: one record for each launch, refused launch, used exception and
end of a command (docs/reference/records.md).

A record is JSON data. No value of the environment goes into one; arguments of the command do.
"""

from __future__ import annotations

import errno
import time

from hardening.base import jsontext
from hardening.base.linux.system import os
from hardening.base.pointer import table
from hardening.base.text import CUT, cut, shortened
from hardening.base.units import timestamp
from hardening.errors import LaunchError
from hardening.launch.config import confinement
from hardening.launch.config.bundle import EXCEPTIONS, IMAGE, MECHANISMS, PROFILES, STATES
from hardening.launch.record import sinks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    Places: TypeAlias = Callable[[], Iterable[tuple[str, Callable[[], sinks.Sink]]]]

    Who: TypeAlias = dict[str, int | str | None]
    Row: TypeAlias = dict[str, str | None]

VERSION = 1
EXCEPTION_KEYS = ("setting", "reason", "ticket", "expires", "origin")
MOST = 64  # exceptions, profiles and mechanisms of one launch that are recorded one by one; the others are counted
LONGEST = 400  # bytes of any text but the command, so that a record fits into an audit message


class Facts:
    """What a bundle says of a launch."""

    def __init__(self) -> None:
        self.command: list[str] = []
        self.spec: str | None = None
        self.image: str | None = None
        self.profiles: list[Row] = []
        self.exceptions: list[Row] = []
        self.mechanisms: dict[str, list[str]] = {}


class Recorder:
    """The records of one launch, written by this process. ``identity`` names it; '' makes up a name. ``places`` gives the
    sinks in the order in which they are tried, with what opens each (`sinks.Places`). By a byte in ``pipe`` a child that
    outlives this process learns that the launch is recorded."""

    def __init__(self, identity: str, runtime: str, places: Places, caller: Who, pipe: tuple[int, int]) -> None:
        self.facts = Facts()
        self._places = places
        self.identity = identity
        self._runtime = runtime
        self._who = caller
        self._started: int | None = None  # nanoseconds of the monotonic clock
        self._ended: int | None = None
        self._signal: int | None = None
        self._sinks: list[sinks.Sink] = []
        self._reader, self._writer = pipe
        self._why = ""

    def describe(self, document: object, spec: str, origin: str) -> None:
        """Take from a configuration, whose digest is ``spec``, what is to be recorded; `LaunchError` for an annotation of
        ours that is malformed."""
        self.facts.spec = spec
        self.facts.command = list(map(str, confinement.command(document)))
        read_annotations(self.facts, table(document, "/annotations"), f"{origin}:/annotations")

    def launched(self) -> None:
        """Record that the command is about to be executed, and each exception that this takes. `LaunchError` where nothing
        keeps the record: what nobody could account for is not run."""
        facts = self.facts
        try:
            self._write(
                "launch", {"spec": facts.spec, "image": facts.image, "profiles": facts.profiles, **facts.mechanisms}
            )
            self._started = time.monotonic_ns()
            os.write(self._writer, b"1")
            for exception in facts.exceptions:
                self._write("exception", {"spec": facts.spec, **exception})
        except OSError as error:
            raise LaunchError(
                f"the launch cannot be recorded: {error.strerror}",
                origin=error.filename,
                hint="`hardening doctor` shows where records go; a launch that leaves no record is refused",
            ) from error

    def waited(self, status: int | None, why: str = "") -> None:
        """Take the wait status of the command, which has ended: it says more than the exit code. ``why`` is why the kernel
        has ended it, '' where that is not known."""
        self._why = why
        self._ended = time.monotonic_ns()
        if status is not None and os.WIFSIGNALED(status):
            self._signal = os.WTERMSIG(status)

    def ended(self, code: int) -> None:
        """Record how the command ended. `OSError` where nothing keeps the record."""
        self._end(code, self._why if self._started is not None else "interrupted before the command ran")

    def refused(self, message: str, code: int) -> None:
        """Record why the command did not run. `OSError` where nothing keeps the record."""
        self._end(code, message.partition("\n")[0])

    def abandoned(self, places: Places, code: int, problems: list[str]) -> None:
        """Record, in a child of the process that was to do it, that this one was killed, and the ``problems`` of cleaning up
        after it. `OSError` where nothing keeps it.

        The child connects by itself: what its parent has opened may hold answers that nobody has read.
        """
        self._places, self._sinks = places, []
        facts = self.facts
        error = "; ".join(("the launcher was killed", *problems))
        fields: dict[str, Any] = {"spec": facts.spec, "code": code, "error": error}
        if self._is_launched():
            self._write("end", {**fields, "result": "abandoned", "signal": None})
        else:
            self._write("refused", {"image": facts.image, "profiles": facts.profiles, **fields})

    def _is_launched(self) -> bool:
        """Whether the launch was recorded, by this process or by the one that it is a child of."""
        if self._started is not None:  # and so when the child was made, which may have no pipe then
            return True
        try:
            os.read(self._reader, 1)
        except BlockingIOError:
            return False
        return True

    def _end(self, code: int, error: str) -> None:
        facts = self.facts
        fields: dict[str, Any] = {"spec": facts.spec, "code": code, "error": error or None}
        if self._started is None:
            self._write("refused", {"image": facts.image, "profiles": facts.profiles, **fields})
            return
        result = "not-executed" if self._ended is None else "exited" if self._signal is None else "killed"
        seconds = ((self._ended or time.monotonic_ns()) - self._started) / 1e9
        self._write("end", {**fields, "result": result, "signal": self._signal, "seconds": round(seconds, 6)})

    def _write(self, event: str, fields: dict[str, Any]) -> None:
        record: dict[str, Any] = {
            "version": VERSION,
            "time": timestamp(time.time_ns(), 6),
            "event": event,
            "id": self.identity,
        }
        record |= {**self._who, "runtime": self._runtime}
        fields = {key: cut(value, LONGEST) if isinstance(value, str) else value for key, value in fields.items()}
        # Those that were not sure to keep a record are asked for the next one as well, whoever is not there any more.
        taken: list[sinks.Sink] = []
        certain = False
        for sink in self._sinks:
            try:
                certain |= sink.write(self._bounded(record, fields, sink))
            except OSError:  # gone in the meantime, or full: the next one
                continue
            taken.append(sink)
        self._sinks = taken
        if certain:
            return
        last = OSError(errno.ENOENT, "no directory for it")
        for place, connect in self._places():
            try:
                sink = connect()
                if sink in taken:
                    continue
                certain = sink.write(self._bounded(record, fields, sink))
            except OSError as error:
                last = OSError(error.errno, error.strerror or str(error), place)
                continue
            taken.append(sink)
            if certain:
                return
        raise last

    def _bounded(self, record: dict[str, Any], fields: dict[str, Any], sink: sinks.Sink) -> dict[str, Any]:
        # There may be many exceptions, and each would repeat what the record of the launch says.
        said = {} if record["event"] == "exception" else {"command": shortened(self.facts.command, sink.longest)}
        return {**record, **said, **fields}


def read_annotations(facts: Facts, annotations: dict[str, object], pointer: str) -> None:
    """Take what a bundle says of its composition; `LaunchError` for what is malformed, with its place below ``pointer``."""
    rows = _rows(annotations, PROFILES, ("name", "sha256", "version", "owner"), pointer)
    facts.profiles = [{key: value for key, value in row.items() if value or key in ("name", "sha256")} for row in rows]
    facts.exceptions = _rows(annotations, EXCEPTIONS, EXCEPTION_KEYS, pointer)
    image = annotations.get(IMAGE)
    facts.image = image if isinstance(image, str) else None
    mechanisms = _parsed(annotations, MECHANISMS, pointer)
    if mechanisms is None:
        return
    for state in STATES:
        names = mechanisms.get(state, []) if isinstance(mechanisms, dict) else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            reason = f"must be a JSON object with the lists {', '.join(STATES)}"
            raise LaunchError(reason, origin=f"{pointer}/{MECHANISMS}")
        facts.mechanisms[state] = [cut(name, LONGEST) for name in names[:MOST]]
        if len(names) > MOST:
            facts.mechanisms[state].append(_others(names, "mechanisms"))


def _rows(annotations: dict[str, object], name: str, keys: tuple[str, ...], pointer: str) -> list[Row]:
    rows = _parsed(annotations, name, pointer)
    found: list[Row] = []
    for row in [] if rows is None else rows if isinstance(rows, list) else [None]:
        values: dict[str, Any] = {key: row.get(key) for key in keys} if isinstance(row, dict) else {}
        texts = all(isinstance(value, (str, type(None))) for value in values.values())
        if not texts or values.get(keys[0]) is None:
            reason = f"must be a JSON list of objects with the texts {', '.join(keys)}"
            raise LaunchError(reason, origin=f"{pointer}/{name}")
        found.append(values)
    # Of equal ones one, and of many the first.
    found = list({tuple(values.items()): values for values in found}.values())
    kept = [{key: value and cut(value, LONGEST) for key, value in values.items()} for values in found[:MOST]]
    if len(found) > MOST:
        kept.append({**dict.fromkeys(keys), keys[0]: _others(found, name.rpartition(".")[2])})
    return kept


def _others(found: list[Any], what: str) -> str:
    return f"{CUT}{len(found) - MOST} {what})"


def _parsed(annotations: dict[str, object], name: str, pointer: str) -> object:
    text = annotations.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise LaunchError("must be a string", origin=f"{pointer}/{name}")
    return jsontext.parse(text.encode("utf-8", "surrogatepass"), f"{pointer}/{name}")
