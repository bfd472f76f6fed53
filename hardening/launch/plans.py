"""Stored plans: what a command line came to the last time, and all that decided it.

A plan lies in a *slot*, a directory of the caller's state directory: `plan.json`, and for ``hardening run`` the bundle
beside it. One launch at a time uses such a bundle: it holds the slot under flock(2). A plan counts only while every look
that its composition took gives the same again (`hardening.launch.looks`), and while the files of its bundle are what they
were. Nothing is believed that somebody else than the caller could have written.
"""

from __future__ import annotations

import _stat as stat
import fcntl
import sys

from hardening import __version__
from hardening.base import jsontext, places, trusted
from hardening.base.digest import sha256
from hardening.base.frozen import Frozen
from hardening.base.linux.system import os
from hardening.errors import LaunchError, UsageError
from hardening.launch import looks
from hardening.launch.config import bundle as bundles
from hardening.launch.config.bundle import Bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias

    #: The text of each look at the composition, by kind and argument.
    Looks: TypeAlias = Mapping[str, Mapping[str, str]]
    #: The words of a command line, and the variables of its environment.
    Line: TypeAlias = tuple[Sequence[str], Mapping[str, str]]

FILE = "plan.json"
BUNDLE = "bundle"
#: The kind of look of which plans of one line may hold different texts, each of which can come again.
VARIABLE = "variable"
#: Changed by every change of what is stored and how it is read.
FORMAT = 5
#: What a run says that has been given input, and does not pass it on.
LOST = "standard input is not passed on: add -i"
_SEEK_CUR = 1  # lseek(2)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(Frozen):
    """A plan that counts, if what is left of its ``looks`` gives the same (`confirm`). ``launch`` is what it keeps of the
    launch request, ``loses`` says whether it is to be told where input is not passed on, ``lock``
    is the descriptor that holds the slot, -1 for a bundle elsewhere, ``file`` the path of the plan."""

    bundle: Bundle
    launch: Mapping[str, object]
    notes: tuple[str, ...]
    loses: bool
    lock: int
    file: str
    looks: Looks


def key(words: Sequence[str]) -> str:
    """The name of what was typed and where: the words, the folder, the caller, the versions. Raises `OSError`."""
    mask = os.umask(0o077)
    os.umask(mask)
    host = os.uname()
    facts = (
        FORMAT,
        __version__,
        sys.version,
        host.release,
        host.machine,
        tuple(words),
        os.getcwd(),
        os.getresuid(),
        os.getresgid(),
        sorted(os.getgroups()),
        mask,
    )
    return sha256(repr(facts).encode("utf-8", "surrogateescape"))


def has_input() -> bool:
    """Whether standard input was given for a command to read: a file with something left in it, or a pipe in which
    something waits. A terminal is there in any case, and jobs that nobody talks to have a pipe that never says anything."""
    status = os.fstat(0)
    if stat.S_ISREG(status.st_mode):
        return status.st_size > os.lseek(0, 0, _SEEK_CUR)
    if not stat.S_ISFIFO(status.st_mode):
        return False
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(0, POLLIN)
    return any(found & POLLIN for _, found in waiting.poll(0))


def find(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    may_wait: Callable[[Mapping[str, object]], bool] | None = None,
) -> Found | None:
    """The plan for a command line, with its slot locked; None where there is none that counts. Where the launch request
    is such that its looks ``may_wait``, those that more than one plan can hold are taken alone."""
    opened: list[int] = []
    try:
        place, name = places.state(environment, os.geteuid()), key(words)
        trusted.require_secure_path(place)
        for step in (place, places.PLANS, name):
            opened.append(own(step, _DIRECTORY, opened[-1] if opened else None))
        shelf = f"{place}/{places.PLANS}/{name}"
        for slot in _recent_first(opened[-1]):
            found = _try(f"{shelf}/{slot}", slot, opened[-1], may_wait, (words, environment))
            if found is not None:
                return found
    except (OSError, UsageError):  # the second is told by whoever composes
        return None
    finally:
        for fd in opened:
            os.close(fd)
    return None


def own(name: str, flags: int, directory: int | None = None) -> int:
    """Open what belongs to the caller, and what no other can write; raises `OSError` for anything else."""
    fd = os.open(name, flags, dir_fd=directory)
    if not trusted.is_own(os.fstat(fd), fd):
        os.close(fd)
        raise PermissionError(f"{name} belongs to another user, or can be written by others")
    return fd


def _recent_first(shelf: int) -> list[str]:
    names = os.listdir(shelf)
    if len(names) > 1:
        names.sort(key=lambda name: os.stat(name, dir_fd=shelf, follow_symlinks=False).st_mtime_ns, reverse=True)
    return names


def _try(
    path: str, name: str, shelf: int, may_wait: Callable[[Mapping[str, object]], bool] | None, line: Line
) -> Found | None:
    """The plan of one slot if it counts. One that never will again loses its file."""
    try:
        slot = own(name, _DIRECTORY, shelf)
    except OSError:
        return None
    found = None
    try:
        fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = _hold(slot, path, may_wait, line)
    except OSError:  # it is in use, or somebody takes it away
        found = None
    finally:
        if found is None or found.lock < 0:
            os.close(slot)
    return found


def _hold(slot: int, path: str, may_wait: Callable[[Mapping[str, object]], bool] | None, line: Line) -> Found | None:
    """The plan of a slot that this process has locked."""
    try:
        plan = read(slot, path)
        tables = dict(plan["inputs"])
        first = {VARIABLE: tables.pop(VARIABLE, {})}
        if may_wait is None or not may_wait(plan["launch"]):
            first, tables = {**first, **tables}, {}
        wrong = "the day" if plan["until"] and today() > plan["until"] else mismatch(first)
        if not wrong:
            place = plan["bundle"] or f"{path}/{BUNDLE}"
            if plan["bundle"] or _is_whole(plan, place):
                loaded = bundles.load(place, plan["config"])
                # Another slot has a group of another name, and so has a bundle that is composed.
                if not plan["bundle"] and _has_lost_its_group(loaded.document):
                    return None
                if plan.get("typed"):
                    from hardening.launch.config import variables

                    variables.fill(loaded.document, variables.find(plan["typed"], *line))
                os.utime(slot)
                return Found(
                    bundle=loaded,
                    launch=plan["launch"],
                    notes=tuple(map(str, plan["notes"])),
                    loses=plan["loses"] is True,
                    lock=-1 if plan["bundle"] else slot,
                    file=f"{path}/{FILE}",
                    looks=tables,
                )
    except (LaunchError, LookupError, TypeError, AttributeError, ValueError):
        wrong = FILE
    if not wrong.startswith(f"{VARIABLE} "):  # the next call may have the value again
        forget(slot)
    return None


def forget(slot: int) -> None:
    """Take the plan of an open slot away, which goes then. Raises `OSError`."""
    os.unlink(FILE, dir_fd=slot)


def read(slot: int, path: str) -> dict[str, Any]:
    """The plan in an open slot. Raises `LaunchError` for one that is missing, broken or not the caller's."""
    data = bundles.read_file(slot, FILE, path, jsontext.MAX_BYTES)
    digest, _, text = data.partition(b"\n")
    if sha256(text).encode() != digest:
        raise LaunchError("is not what was written", origin=f"{path}/{FILE}")
    plan: dict[str, Any] = jsontext.parse(text, path)  # type: ignore[assignment]
    return plan


def confirm(found: Found) -> bool:
    """Take the looks that are left: whether the plan counts. One that does not loses its file."""
    try:
        wrong = mismatch(found.looks)
    except (KeyError, TypeError, AttributeError):
        wrong = FILE
    if not wrong:
        return True
    try:
        os.unlink(found.file)
    except OSError:  # whoever composes will find that it does not count, too
        return False
    return False


def mismatch(tables: Looks) -> str:
    """The first look that gives another text than at the composition, or ''."""
    for kind, table in tables.items():
        for argument, text in table.items():
            if looks.look(kind, argument) != text:
                return f"{kind} {argument}"
    return ""


def today() -> str:
    """The day in UTC, as in ``2030-12-31``: by the calendar of TZ the caller could live on an earlier one."""
    from time import gmtime

    now = gmtime()
    return f"{now[0]:04}-{now[1]:02}-{now[2]:02}"


def _is_whole(plan: dict[str, Any], bundle: str) -> bool:
    """Whether a slot's bundle is as it was written. `config.json` is held to its digest where it is read."""
    try:
        status = os.lstat(bundle)
        if not stat.S_ISDIR(status.st_mode) or not trusted.is_own(status, bundle):
            return False
        for name, digest in plan["files"].items():
            if looks.file(f"{bundle}/{name}") != digest:
                return False
        return bool(looks.tree(bundle) == plan["tree"])
    except OSError:
        return False


def _has_lost_its_group(document: object) -> bool:
    """Whether something else is in the control group that a configuration names."""
    linux = document.get("linux") if isinstance(document, dict) else None
    name = linux.get("cgroupsPath") if isinstance(linux, dict) else None
    if not isinstance(name, str) or not name:
        return False
    from hardening.launch import cgroups

    return cgroups.is_taken(name)
