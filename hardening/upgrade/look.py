"""Comparing two trees of files, in a process that has nothing else to do: what programs may ask for now and could not
before, and the file that brings it."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.elf.closure import Linked, LinkingRoot
from hardening.elf.file import InvalidElf, TooMuchCode
from hardening.elf.reach import Reached, Via, reached, started
from hardening.mechanism.scanner import ScannedRoot, Scanner
from hardening.upgrade import files

#: Seconds of a processor for everything, and programs that are looked at.
PROCESSOR, PROGRAMS = 3600, 5000


@frozen(eq=False)
class Compared:
    """What to compare: the ``new`` tree and the ``old`` one, each a list of directories; ``brought`` is the directory that
    has what the upgrade brings, where that is not all of it. ``command`` is the program that matters, else all of them do.
    ``set_ids`` are paths that had a set-user-ID bit in their package."""

    new: Sequence[str]
    old: Sequence[str]
    brought: str = ""
    command: str = ""
    set_ids: Sequence[str] = ()


def compare(asked: Compared, scanners: Sequence[Scanner]) -> dict[str, Any]:
    """What is new, as JSON data: ``calls``, and all that each program may have ``called``; ``rights``, ``missing``,
    ``written``; and what could not be looked at: ``computed``, ``loads``, ``unread``. To be called in a process of its own,
    whose processor time it bounds."""
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
    look = _Look(asked, LinkingRoot(asked.new), LinkingRoot(asked.old))
    look.run()
    paths = look.looked | {
        row["path"] for rows in (look.calls, look.rights, look.missing, look.written) for row in rows
    }
    tree = ScannedRoot(-1, look.new.read, look.new.names)
    owners = {path: name for scanner in scanners for path, name in scanner.owners(tree, sorted(paths)).items()}
    if asked.command:  # what other packages have is none of its business
        own = {owners[path] for path in look.looked & owners.keys()}
        look.written = [row for row in look.written if owners.get(row["path"]) in own]
    return {
        "calls": look.calls,
        "called": look.called,
        "rights": look.rights,
        "missing": look.missing,
        "written": look.written,
        "computed": look.computed,
        "loads": sorted(look.loads),
        "unread": look.unread,
        "programs": look.count,
        "machine": look.machine,
        "owners": owners,
    }


@attrs.define
class _Look:
    asked: Compared
    new: LinkingRoot
    old: LinkingRoot
    calls: list[dict[str, Any]] = attrs.Factory(list)
    rights: list[dict[str, Any]] = attrs.Factory(list)
    missing: list[dict[str, Any]] = attrs.Factory(list)
    written: list[dict[str, Any]] = attrs.Factory(list)
    computed: dict[str, int] = attrs.Factory(dict)
    loads: set[str] = attrs.Factory(set)
    unread: dict[str, str] = attrs.Factory(dict)
    called: dict[str, list[int]] = attrs.Factory(dict)
    count: int = 0
    machine: str = ""
    looked: set[str] = attrs.Factory(set)
    _before_all: set[int] = attrs.Factory(set)

    def run(self) -> None:
        """Look at every program."""
        top = self.asked.brought or self.asked.new[0]
        if self.asked.command:
            self._command(self.asked.command)
        else:
            places = [("", "")] if self.asked.brought else [self.new.find(folder) for folder in files.COMMANDS]
            folders = tuple(dict.fromkeys(place[1] for place in places if place is not None))
            paths = list(files.programs(top, folders))
            # First what was there before: a program that is split off another one does what that did.
            for path in sorted(paths, key=lambda path: self.old.find(path) is None):
                self._program(path)
        self.written = [{"path": path, "program": ""} for path in files.written(top) if self.old.find(path) is None]
        for path in self.asked.set_ids:
            before = files.rights(self.old, path)
            if before is None or not before.set_id:
                self.rights.append(
                    {"path": path, "program": path, "capabilities": [], "effective": False, "set_id": True}
                )

    def _command(self, word: str) -> None:
        path = files.command(self.new, word)
        if path is None:
            self.missing.append({"path": word, "program": word, "what": "the command"})
            return
        for used in files.interpreters(self.new, path):
            if self.new.find(used) is None:
                self.missing.append({"path": path, "program": path, "what": f"the interpreter {used}"})
                return
            self._rights(path)
            path = used
        self._program(path)

    def _program(self, path: str) -> None:
        found = self.new.find(path)
        if found is None or found[1] in self.looked or len(self.looked) >= PROGRAMS:
            return
        real = found[1]
        self.looked.add(real)
        self._rights(real)
        try:
            linked = self.new.linked(real)
        except (InvalidElf, OSError) as error:
            self.unread[real] = str(error)
            return
        before = self._before(path)
        if before is not None and self._is_same(linked, before):
            return
        try:
            now = reached(linked)
            if before is not None:
                known = set(reached(before).calls)
                self._before_all |= known
            else:  # what each program may do is nothing new, nor is what others of the same packages did
                known = {*started(linked).calls, *(self._before_all if self.asked.brought else ())}
        except TooMuchCode as error:  # of itself, or of a library
            self.unread[real] = str(error)
            return
        self.count += 1
        self.machine = linked.binaries[0].elf.machine
        self._compared(real, now, known, before)
        self.missing += [
            {"path": real, "program": real, "what": f"the library {name}"}
            for name in now.missing
            if before is None or name not in before.missing
        ]
        self.loads.update(now.loads)
        self.computed |= now.computed

    def _before(self, path: str) -> Linked | None:
        """The program as it was, at its path, or as a command of its name."""
        for place in (path, *(f"{folder}/{os.path.basename(path)}" for folder in files.COMMANDS)):
            if self.old.find(place) is not None:
                try:
                    return self.old.linked(place)
                except (InvalidElf, OSError):
                    continue
        return None

    def _is_same(self, now: Linked, before: Linked) -> bool:
        """Whether a program and all of its libraries are what they were."""
        pairs = {binary.path for binary in now.binaries}, {binary.path for binary in before.binaries}
        return pairs[0] == pairs[1] and all(self._is_alike(path) for path in pairs[0])

    def _is_alike(self, path: str) -> bool:
        """Whether both trees have the same file at a path, or the same content."""
        places = [root.find(path) for root in (self.new, self.old)]
        if None in places:
            return False
        names = [place[0].rstrip("/") + place[1] for place in places if place is not None]
        first, second = (os.stat(name) for name in names)
        if (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino):
            return True
        if first.st_size != second.st_size:
            return False
        with open(names[0], "rb") as one, open(names[1], "rb") as other:
            while piece := one.read(1 << 20):
                if piece != other.read(1 << 20):
                    return False
        return True

    def _compared(self, program: str, now: Reached, known: Collection[int], before: Linked | None) -> None:
        edges = _edges(before)
        self.called[program] = sorted(now.calls)
        for number, way in sorted(now.calls.items()):
            if number not in known:
                row = {"number": number, "program": program, "path": _brought(way, edges).path}
                self.calls.append({**row, "way": [[step.path, step.symbol] for step in way]})

    def _rights(self, path: str) -> None:
        now, before = files.rights(self.new, path), files.rights(self.old, path)
        if now is None:
            return
        known = before.capabilities if before is not None else frozenset()
        more = now.capabilities - known
        set_id = now.set_id and (before is None or not before.set_id)
        if more or set_id:
            row = {"capabilities": sorted(more), "effective": now.effective, "set_id": set_id}
            self.rights.append({"path": now.path, "program": now.path, **row})


def _edges(linked: Linked | None) -> Mapping[str, frozenset[str]]:
    """What each file of a program used of others, by its name without the directory."""
    binaries: Iterable[Any] = linked.binaries if linked is not None else ()
    return {os.path.basename(binary.path): binary.elf.imports for binary in binaries}


def _brought(way: Sequence[Via], before: Mapping[str, frozenset[str]]) -> Via:
    """The first file on a way to a system call that uses of the next one what it did not use before; where each did, the
    last one, which does something else now."""
    for via in way:
        if via.symbol and via.symbol not in before.get(os.path.basename(via.path), frozenset()):
            return via
    return way[-1]
