"""An external scanner, started by the command of `[scan]`: a program of the host's that is given the read-only mount."""

from __future__ import annotations

import json
import os
import posixpath
import select
import signal
import subprocess
import time
from collections.abc import Iterable
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from hardening.base import programs
from hardening.base.linux import abi, kernel
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.scanner import EXTERNAL, UNREAD, Detection, RootEntry, ScannedRoot, Scanner
from hardening_scan.settings import PLACE

#: Seconds that it may take, and bytes that it may say.
PATIENCE, LONGEST = 600, 64 << 20
_MOST = 10_000
#: Letters of a URI, and bases that stand in one another.
_LONGEST_URI, _BASES = 3 * 4096, 16
#: Kinds of results that are no findings (SARIF 2.1.0, 3.27.9).
_FINE = ("pass", "notApplicable", "informational")


class _Failed(Exception):
    """A program that has not answered, and why."""


class External(Scanner):
    """Takes what the command says as SARIF, or else its exit code."""

    name = "command"
    summary = "an external scanner, if a profile names one"
    kinds = (EXTERNAL,)

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def inputs(self) -> Inputs:
        return (Unknown("an external scanner looks at each run"),)

    def entry(self, entry: RootEntry) -> Iterable[Detection]:
        return ()

    def whole(self, root: ScannedRoot) -> list[Detection]:
        program = programs.find(self._command[0])
        if program is None:
            return [Detection(UNREAD, "/", f"the scanner {self._command[0]} is not installed")]
        place = f"/proc/self/fd/{root.tree}"
        words = [program, *(word.replace(PLACE, place) for word in self._command[1:])]
        name = posixpath.basename(program)
        try:
            code, said = _ran(words, root.tree)
        except OSError as error:
            return [Detection(UNREAD, "/", f"the scanner {name} cannot be started: {error.strerror}")]
        except _Failed as error:
            return [Detection(UNREAD, "/", f"the scanner {name} {error}")]
        return answer(name, code, said, place)


def _ran(words: list[str], tree: int) -> tuple[int, bytes]:
    """Run a program, with all that it starts in a group that ends with it. Its exit code and output. Raises `_Failed`."""
    before = {number: signal.signal(number, _stopped) for number in (signal.SIGINT, signal.SIGTERM)}
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=writer, cwd="/", env=programs.environment(), pass_fds=(tree,),
            process_group=0, preexec_fn=partial(_end_with, os.getpid()),
        )  # fmt: skip
        os.close(writer)
        writer = -1
        try:
            said = _said(process.pid, reader)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # nobody has waited for it, so that the number is its own
            code = process.wait()
    finally:
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
    return code, said


def _said(pid: int, reader: int) -> bytes:
    """What a program says until it ends, whoever else holds its output open. Raises `_Failed`."""
    end = time.monotonic() + PATIENCE
    said = bytearray()
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.register(ended, select.POLLIN)
        while ready := [number for number, _ in poll.poll(max(0, end - time.monotonic()) * 1000)]:
            if reader in ready:
                piece = os.read(reader, 1 << 16)
                said += piece
                if len(said) > LONGEST:
                    raise _Failed(f"printed more than {LONGEST} bytes")
                if piece:
                    continue
                poll.unregister(reader)
            if ended in ready:
                return bytes(said)
    finally:
        os.close(ended)
    raise _Failed(f"takes longer than {PATIENCE} seconds")


def _stopped(number: int, frame: object) -> None:
    """The group of the program is not the terminal's: it is ended on the way out."""
    raise SystemExit(128 + number)


def _end_with(scan: int) -> None:
    """Before the program is executed: it ends with the scan, however that ends (prctl(2), PR_SET_PDEATHSIG)."""
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != scan:
        os._exit(1)  # which it has already


def answer(name: str, code: int, data: bytes, place: str) -> list[Detection]:
    """What a scanner means by its exit code and output; ``place`` is where it saw the root."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and isinstance(said.get("runs"), list):
        try:
            if any(
                item.get("executionSuccessful") is False
                for run in said["runs"]
                for item in run.get("invocations") or ()
            ):
                return [Detection(UNREAD, "/", f"the scanner {name} reports a failure")]
            every = (_found(name, item, run, place) for run in said["runs"] for item in run.get("results") or ()
                     if item.get("kind", "fail") not in _FINE)  # fmt: skip
            found = list(islice(every, _MOST + 1))
        except (AttributeError, TypeError, LookupError, ValueError, RecursionError):
            return [Detection(UNREAD, "/", f"the scanner {name} did not print SARIF")]
        if len(found) > _MOST:
            return [Detection(UNREAD, "/", f"the scanner {name} finds more than {_MOST} things")]
        if found or code == 0:
            return found
    return [Detection(EXTERNAL, "/", f"{name}: exit code {code}")] if code else []


def _found(name: str, item: dict[str, Any], run: dict[str, Any], place: str) -> Detection:
    locations = item.get("locations") or ()
    path = _path(locations[0].get("physicalLocation") or {}, run, place) if locations else "/"
    rule, text = _line(item.get("ruleId") or "finding"), _line((item.get("message") or {}).get("text") or "")
    return Detection(EXTERNAL, path, f"{name}: {rule}{': ' if text else ''}{text}")


def _line(text: object) -> str:
    return str(text).partition("\n")[0][:200]


def _path(location: dict[str, Any], run: dict[str, Any], place: str) -> str:
    """The path in the root of a physicalLocation (SARIF 2.1.0, 3.29 and 3.4): its URI, or the one of the artifact that it
    names by number, in the base that it names."""
    artifact = location.get("artifactLocation") or {}
    if "uri" not in artifact and artifact.get("index", -1) >= 0:
        artifact = run["artifacts"][artifact["index"]]["location"]
    uri, bases, base = _bounded(artifact.get("uri", "")), run.get("originalUriBaseIds") or {}, artifact.get("uriBaseId")
    passed: set[object] = set()
    while base in bases and base not in passed:
        passed.add(base)
        if len(passed) > _BASES:
            raise ValueError(base)
        uri, base = urljoin(_bounded(bases[base].get("uri") or ""), uri), bases[base].get("uriBaseId")
    text = os.fsdecode(unquote_to_bytes(urlsplit(uri).path))
    return posixpath.normpath("/" + text.removeprefix(place).lstrip("/"))


def _bounded(uri: str) -> str:
    """A URI, which every result may be put together from. Raises `ValueError` for one that is longer than a path."""
    if len(uri) > _LONGEST_URI:
        raise ValueError(uri[:80])
    return uri
