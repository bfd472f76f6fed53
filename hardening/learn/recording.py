"""What runs asked for, as it is kept: merged from as many runs and commands as somebody likes, each counted once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import date
from pathlib import Path
from typing import Any

import attrs

from hardening.base import jsontext, wholefile
from hardening.base.linux import abi
from hardening.base.values import frozen
from hardening.errors import LaunchError, UsageError
from hardening.launch.record import behalf
from hardening.learn.rules import collapsed
from hardening.learn.software import Software
from hardening.mechanism.denial import Caller, SystemCall
from hardening.mechanism.evidence import KEPT, Evidence, Usage
from hardening.profile import fingerprint
from hardening.profile.fingerprint import Fingerprint
from hardening.trace import calls

VERSION = 1
#: The calls that execute a program; what else is mapped to be executed is a library.
EXECUTE = ("execve", "execveat")
_HINT = "it is written by `hardening learn --into FILE`; begin with a new file"


#: Names of system calls, and the full names of leaves, whose members may be paths.
_CALL, _LEAF = re.compile(r"[a-z0-9_]+"), re.compile(r"[a-z0-9_-]+\..+", re.DOTALL)
_ACCESS = frozenset({"read", "write", "create", "remove", "execute", "search", "mount", "change"})
#: What marks a call that no run has made, but a program could.
_UNMADE = {"static": True}
#: How many tables of a layer lie in one another, at most.
_DEEPEST = 8


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object, holds: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _is_path(value: object) -> bool:
    return isinstance(value, str) and value[:1] in ("", "/") and "\0" not in value


def _is_access(value: object) -> bool:
    return _is_list(value, _is_text) and _ACCESS.issuperset(value)  # type: ignore[arg-type]


def _is_name(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_day(value: object) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


#: How what is kept of a call is read back; what has its default is left out.
_FORMS: Mapping[str, tuple[Callable[[object], bool], Callable[[Any], Any]]] = {
    "name": (lambda value: _is_name(value, _CALL), str),
    "number": (_is_number, int),
    "architecture": (_is_number, int),
    "arguments": (lambda value: _is_list(value, _is_number) and len(value) == 6, tuple),  # type: ignore[arg-type]
    "error": (_is_number, int),
    "signal": (_is_number, int),
    "path": (_is_path, str),
    "target": (_is_text, str),
    "access": (_is_access, frozenset),
    "address": (_is_text, str),
    "request": (_is_number, int),
    "ids": (lambda value: _is_list(value, _is_number), tuple),
    "capabilities": (lambda value: _is_list(value, _is_text), frozenset),
    "attribute": (_is_text, str),
    "namespaces": (_is_number, int),
    "text": (_is_text, str),
}
_NEEDED = ("name", "number", "architecture", "arguments")


@frozen
class Run:
    """One run. ``id`` no other one has; ``day`` is its date (ISO 8601), ``program`` what was run, without its arguments,
    ``kernel`` its release and machine, ``software`` what was executed. ``uses`` are calls as `normal` leaves them, each with
    how often it was made and by which programs. ``peaks`` are as for `Evidence`; ``needed`` are the leaves that had to be
    looser than the strictest, each with the layer that loosens it as JSON; None where that was not tried."""

    id: str
    day: str
    program: str
    kernel: str
    uses: frozenset[Usage]
    peaks: tuple[tuple[str, int], ...] = ()
    needed: tuple[tuple[str, str], ...] | None = None
    software: Software = Software()


@frozen
class Recording:
    """Runs: the union of two recordings has each run once, in whatever order they are merged."""

    runs: frozenset[Run] = frozenset()

    def merged(self, other: Recording) -> Recording:
        """Both."""
        return Recording(self.runs | other.runs)

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day."""
        days = sorted(run.day for run in self.runs)
        return days[0], days[-1]

    def changed(self, change: Callable[[str], str]) -> Recording:
        """These runs with a change of all texts that a command itself has made: names of files, addresses, and the like."""

        def of_run(run: Run) -> Run:
            files = tuple((_changed(path, change), digest) for path, digest in run.software.files)
            software = attrs.evolve(run.software, files=files)
            return attrs.evolve(run, uses=frozenset(_changed_uses(run.uses, change)), software=software)

        return Recording(frozenset(map(of_run, self.runs)))

    def fingerprint(self) -> Fingerprint:
        """What these runs were seen on. Of a file that has changed between them it has the last digest."""
        runs = sorted(self.runs, key=lambda run: (run.day, run.id))
        return Fingerprint(
            date.fromisoformat(self.days[1]),
            tuple(sorted({run.kernel for run in runs})),
            tuple(sorted({package for run in runs for package in run.software.packages})),
            dict(sorted({path: digest for run in runs for path, digest in run.software.files}.items())),
        )

    def evidence(self) -> Evidence:
        """What all runs together asked for."""
        together: dict[SystemCall, list[Usage]] = {}
        for run in self.runs:
            for use in run.uses:
                together.setdefault(use.call, []).append(use)
        uses = [
            Usage(
                call,
                sum(use.often for use in uses),
                sum(use.runs for use in uses),
                tuple(sorted({name for use in uses for name in use.programs})),
            )
            for call, uses in together.items()
        ]
        peaks: dict[str, int] = {}
        for run in self.runs:
            peaks |= {name: max(value, peaks.get(name, 0)) for name, value in run.peaks}
        tries = [run.needed for run in self.runs]
        tried = [found for found in tries if found is not None]
        needed = frozenset(leaf for found in tried for leaf, _ in found) if tried and len(tried) == len(tries) else None
        return Evidence(tuple(sorted(uses, key=_order)), len(self.runs), peaks, needed)

    def needed(self) -> dict[str, Any]:
        """The leaves that some run needed looser than the strictest, each with the data of the layer that loosens it."""
        kept = {leaf: text for run in sorted(self.runs, key=lambda run: run.id) for leaf, text in run.needed or ()}
        return {leaf: jsontext.parse(text.encode(), leaf) for leaf, text in sorted(kept.items())}

    def called(self) -> Mapping[str, Set[int]]:
        """The numbers of the system calls that programs were seen to make, by the names of these; of this machine's own
        architecture, since another has the same numbers for other calls. A clone(2) that shares no memory is left out: it is
        a fork(2), which C libraries make of it whatever they start threads by."""
        found: dict[str, set[int]] = {}
        for use in (use for run in self.runs for use in run.uses if use.runs):
            is_fork = use.call.name == "clone" and not use.call.arguments[0] & abi.CLONE_VM
            for name in use.programs if use.call.architecture == calls.own() and not is_fork else ():
                found.setdefault(name, set()).add(use.call.number)
        return found

    def paths(self) -> Mapping[str, frozenset[str]]:
        """What was read, written and executed without an error, names that each run made anew as their directory."""
        created = [
            {use.call.path for use in run.uses if "create" in use.call.access and use.call.path and not use.call.error}
            for run in sorted(self.runs, key=lambda run: run.id)
        ]
        made = collapsed(created)
        anew = made - frozenset().union(*created)
        found: dict[str, set[str]] = {"read": set(), "written": set(made), "executed": set()}
        groups = {"read": {"read", "search"}, "written": {"write", "remove", "change"}, "executed": {"execute"}}
        for use in (use for run in self.runs for use in run.uses if use.call.path and not use.call.error):
            if any(use.call.path.startswith(place + "/") for place in anew):
                continue
            for name, wanted in groups.items():
                if use.call.access & wanted and (name != "executed" or use.call.name in EXECUTE):
                    found[name].add(use.call.path)
        return {name: frozenset(places) for name, places in found.items()}


def _changed_uses(uses: Iterable[Usage], change: Callable[[str], str]) -> Iterable[Usage]:
    for use in uses:
        call = use.call
        path = _changed(call.path, change) if call.path else ""
        texts: dict[str, Any] = {
            name: change(getattr(call, name)) for name in ("target", "address", "attribute", "text")
        }
        call = attrs.evolve(call, path=path, **texts)
        yield attrs.evolve(use, call=call, programs=tuple(map(change, use.programs)))


def _changed(path: str, change: Callable[[str], str]) -> str:
    """An absolute path with a change, as one."""
    return "/" + change(path).removeprefix("/")


def read(path: Path) -> Recording:
    """The recording in a file; an empty one where there is none. Raises `UsageError` for anything else."""
    try:
        text = wholefile.read(path, jsontext.MAX_BYTES)
    except FileNotFoundError:
        return Recording()
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", origin=path, hint=_HINT) from None
    try:
        return Recording(frozenset(_runs(jsontext.parse(text, str(path)))))
    except LaunchError as error:
        raise UsageError(error.message, origin=path, hint=_HINT) from None
    except _Malformed as error:
        raise UsageError(f"{error} is not as it should be", origin=path, hint=_HINT) from None


def write(path: Path, recording: Recording) -> None:
    """Have a recording in a file. Raises `UsageError`."""
    runs = [_dumped(run) for run in sorted(recording.runs, key=lambda run: (run.day, run.id))]
    text = jsontext.dump({"version": VERSION, "runs": runs}) + "\n"
    if len(text) > jsontext.MAX_BYTES:
        raise UsageError("it would be too large to be read again", origin=path, hint="begin with a new file")
    with wholefile.errors_as(UsageError, "cannot write it", origin=path, hint="name a file that you can write to"):
        behalf.save(str(path), text.encode())


class _Malformed(Exception):
    """What of a recording cannot be understood."""


def _dumped(run: Run) -> dict[str, object]:
    uses = [
        {"often": use.often, "programs": list(use.programs), **_dumped_call(use.call), **({} if use.runs else _UNMADE)}
        for use in sorted(run.uses, key=_order)
    ]
    return {
        "id": run.id,
        "day": run.day,
        "program": run.program,
        "kernel": run.kernel,
        "peaks": dict(run.peaks),
        "needed": None if run.needed is None else dict(run.needed),
        "packages": list(run.software.packages),
        "files": dict(run.software.files),
        "uses": uses,
    }


def _dumped_call(call: SystemCall) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in ("arguments", *KEPT):
        value = getattr(call, name)
        if value or name in _NEEDED:
            found[name] = (
                sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, tuple) else value
            )
    return found


def _runs(data: object) -> Iterable[Run]:
    table = _table(data, "the file", {"version", "runs"})
    if table["version"] != VERSION:
        raise _Malformed("its version")
    for item in _require(table["runs"], lambda value: isinstance(value, list), "runs"):
        run = _table(item, "a run", {"id", "day", "program", "kernel", "peaks", "needed", "packages", "files", "uses"})
        for name in ("id", "program"):
            _require(run[name], _is_text, name)
        _require(run["kernel"], fingerprint.is_pair, "kernel")
        packages = _require(run["packages"], lambda value: _is_list(value, fingerprint.is_pair), "packages")
        files = _require(run["files"], lambda value: isinstance(value, dict), "files")
        for path, digest in files.items():
            _require(path, _is_path, "files")
            _require(digest, fingerprint.is_digest, "files")
        _require(run["day"], _is_day, "day")
        peaks = _require(run["peaks"], lambda value: isinstance(value, dict), "peaks")
        _require(list(peaks.values()), lambda value: _is_list(value, _is_number), "peaks")
        needed = run["needed"]
        _require(needed, lambda value: value is None or isinstance(value, dict), "needed")
        for leaf, text in (needed or {}).items():
            _require(leaf, lambda value: _is_name(value, _LEAF), "needed")
            _require(text, _is_layer, "needed")
        uses = _require(run["uses"], lambda value: isinstance(value, list), "uses")
        yield Run(
            run["id"],
            run["day"],
            run["program"],
            run["kernel"],
            frozenset(map(_use, uses)),
            tuple(sorted(peaks.items())),
            None if needed is None else tuple(sorted(needed.items())),
            Software(tuple(sorted(packages)), tuple(sorted(files.items()))),
        )


def _use(data: object) -> Usage:
    fields = _table(data, "a call", {"often", "programs", *_NEEDED}, frozenset({*_FORMS, *_UNMADE}))
    runs = 0 if _require(fields.pop("static", False), lambda value: isinstance(value, bool), "static") else 1
    often = _require(fields.pop("often"), _is_number, "often")
    programs = _require(fields.pop("programs"), lambda value: _is_list(value, _is_text), "programs")
    read = {
        name: form(_require(value, holds, name)) for name, value in fields.items() for holds, form in [_FORMS[name]]
    }
    return Usage(SystemCall(caller=Caller(0), **read), often, runs, tuple(programs))


def _is_layer(text: object) -> bool:
    """Whether this is JSON of the data of a layer: tables of mechanisms, and exceptions. Raises `LaunchError`."""
    data = jsontext.parse(text.encode("utf-8", "surrogatepass"), "needed") if isinstance(text, str) else None
    if not isinstance(data, dict):
        return False
    return all(
        _is_list(value, lambda item: isinstance(item, dict)) if name == "exceptions" else _is_table(value, _DEEPEST)
        for name, value in data.items()
    )


def _is_table(value: object, deepest: int) -> bool:
    """Whether this is a table of what TOML can say."""
    return isinstance(value, dict) and deepest > 0 and all(_is_value(item, deepest - 1) for item in value.values())


def _is_value(value: object, deepest: int) -> bool:
    if isinstance(value, list):
        return deepest > 0 and all(_is_value(item, deepest - 1) for item in value)
    return isinstance(value, str | int | float) or _is_table(value, deepest)


def _table(data: object, what: str, needed: set[str], further: frozenset[str] = frozenset()) -> dict[str, Any]:
    if not isinstance(data, dict) or not needed <= data.keys() or data.keys() - needed - further:
        raise _Malformed(what)
    return dict(data)


def _require(value: Any, holds: Callable[[object], bool], what: str) -> Any:
    if not holds(value):
        raise _Malformed(f'"{what}"')
    return value


def _order(use: Usage) -> tuple[object, ...]:
    call = use.call
    return (
        call.name,
        call.arguments,
        call.path,
        call.target,
        call.address,
        call.error,
        sorted(call.access),
        call.ids,
        repr(call),
    )
