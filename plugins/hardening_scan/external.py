"""An external scanner, started by the command of `[scan]`: a program of the host's that is given the read-only mount."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from hardening.inputs import Inputs
from hardening.launch import abi, kernel
from hardening.scankinds import EXTERNAL, UNREAD
from hardening.scanning import Entry, Found, Root, Scanner
from hardening_scan.settings import PLACE

#: Seconds that it may take, and bytes that it may say.
PATIENCE, LONGEST = 600, 64 << 20
_MOST = 10_000
#: Kinds of results that are no findings (SARIF 2.1.0, 3.27.9).
_FINE = ("pass", "notApplicable", "informational")


class External(Scanner):
    """Takes what the command says as SARIF, or else its exit code."""

    name = "command"
    summary = "an external scanner, if a profile names one"
    kinds = (EXTERNAL,)

    def inputs(self) -> Inputs:
        return ()  # what a program looks at is told by `hardening_inputs`

    def entry(self, entry: Entry) -> Iterable[Found]:
        return ()

    def whole(self, root: Root) -> Iterator[Found]:
        if not root.command:
            return
        program = shutil.which(root.command[0])
        if program is None:
            yield Found(UNREAD, "/", f"the scanner {root.command[0]} is not installed")
            return
        place = f"/proc/self/fd/{root.tree}"
        words = [program, *(word.replace(PLACE, place) for word in root.command[1:])]
        name = posixpath.basename(program)
        with tempfile.TemporaryFile() as said:
            try:
                code = subprocess.run(
                    words, stdin=subprocess.DEVNULL, stdout=said, cwd="/", pass_fds=(root.tree,), timeout=PATIENCE,
                    check=False, preexec_fn=partial(_end_with, os.getpid()),
                ).returncode  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                yield Found(UNREAD, "/", f"the scanner {name} failed: {type(error).__name__}")
                return
            if os.fstat(said.fileno()).st_size > LONGEST:
                yield Found(UNREAD, "/", f"the scanner {name} says more than {LONGEST} bytes")
                return
            said.seek(0)
            yield from answer(name, code, said.read(), place)


def _end_with(scan: int) -> None:
    """Before the program is executed: it ends with the scan, however that ends (prctl(2), PR_SET_PDEATHSIG)."""
    kernel.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != scan:
        os._exit(1)  # which it has already


def answer(name: str, code: int, data: bytes, place: str) -> list[Found]:
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
                return [Found(UNREAD, "/", f"the scanner {name} says that it has failed")]
            found = [_found(name, item, run, place) for run in said["runs"] for item in run.get("results") or ()
                     if item.get("kind", "fail") not in _FINE]  # fmt: skip
        except (AttributeError, TypeError, LookupError, ValueError):
            return [Found(UNREAD, "/", f"the scanner {name} says what is no SARIF")]
        if len(found) > _MOST:
            return [Found(UNREAD, "/", f"the scanner {name} finds more than {_MOST} things")]
        if found or code == 0:
            return found
    return [Found(EXTERNAL, "/", f"{name}: exit code {code}")] if code else []


def _found(name: str, item: dict[str, Any], run: dict[str, Any], place: str) -> Found:
    locations = item.get("locations") or ()
    path = _path(locations[0].get("physicalLocation") or {}, run, place) if locations else "/"
    text = str((item.get("message") or {}).get("text") or "").partition("\n")[0][:200]
    return Found(EXTERNAL, path, f"{name}: {item.get('ruleId') or 'finding'}{': ' if text else ''}{text}")


def _path(location: dict[str, Any], run: dict[str, Any], place: str) -> str:
    """The path in the root of a physicalLocation (SARIF 2.1.0, 3.29 and 3.4): its URI, or the one of the artifact that it
    names by number, in the base that it names."""
    artifact = location.get("artifactLocation") or {}
    if "uri" not in artifact and artifact.get("index", -1) >= 0:
        artifact = run["artifacts"][artifact["index"]]["location"]
    uri, bases, base = artifact.get("uri", ""), run.get("originalUriBaseIds") or {}, artifact.get("uriBaseId")
    for _ in range(len(bases)):
        if base not in bases:
            break
        uri, base = urljoin(bases[base].get("uri") or "", uri), bases[base].get("uriBaseId")
    text = os.fsdecode(unquote_to_bytes(urlsplit(uri).path))
    return posixpath.normpath("/" + text.removeprefix(place).lstrip("/"))
