"""Comparing two trees of files, in a process that has nothing else to do: what programs may ask for now and could not
before, and the file that brings it."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from types import MappingProxyType

import attrs

from hardening.base.values import frozen
from hardening.elf.branches import usual
from hardening.elf.closure import Linked, LinkingRoot
from hardening.elf.exchange import exchanged
from hardening.elf.malformed import InvalidElf, TooMuchCode
from hardening.elf.reach import Reached, Via, loaded, reached, started
from hardening.mechanism.scanner import ScannedRoot, Scanner
from hardening.upgrade import files, written
from hardening.upgrade.difference import Difference, Missing, NewCall, NewPort, NewRights

#: Seconds of a processor for everything, and programs that are looked at.
PROCESSOR, PROGRAMS = 3600, 5000
#: Bytes of a name of a process (TASK_COMM_LEN, without the end).
_NAME = 15
#: Files on the way to a system call that a program asks the C library for.
_WRAPPED = 2


@frozen(eq=False)
class Compared:
    """What to compare: the ``new`` tree and the ``old`` one, each a list of directories; ``brought`` is the directory that
    has what the upgrade brings, where that is not all of it. ``command`` is the program that matters, else all of them do.
    ``set_ids`` are paths that had a set-user-ID bit in their package, ``given`` what its scripts give to files.
    ``permitted`` are system calls that do not matter, by number; ``instead`` are those that do the same as one that is
    refused, and ``seen`` those that programs, by their names (comm), have really made."""

    new: Sequence[str]
    old: Sequence[str]
    brought: str = ""
    command: str = ""
    set_ids: Sequence[str] = ()
    given: Sequence[NewRights] = ()
    permitted: Set[int] = frozenset()
    instead: Mapping[int, Set[int]] = MappingProxyType({})
    seen: Mapping[str, Set[int]] = MappingProxyType({})


def compare(asked: Compared, scanners: Sequence[Scanner]) -> Difference:
    """What is new. To be called in a process of its own, whose processor time it bounds."""
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR))
    new = LinkingRoot(asked.new)
    look = _Look(asked, new, LinkingRoot(asked.old, new))
    look.run()
    named = {item.path for items in (look.calls, look.rights, look.missing, look.ports) for item in items}
    paths = sorted({*look.looked, *named, *look.directories})
    tree = ScannedRoot(-1, look.new.read, look.new.names)
    owners = {path: name for scanner in scanners for path, name in scanner.owners(tree, paths).items()}
    directories, ports = look.directories, look.ports
    if asked.command:  # what other packages have is none of its business
        own = {owners[path] for path in look.looked & owners.keys()}
        directories = [path for path in directories if owners.get(path) in own]
        ports = [item for item in ports if owners.get(item.path) in own]
    return Difference(
        calls=look.calls,
        called=look.called,
        rights=look.rights,
        missing=look.missing,
        ports=ports,
        directories=directories,
        gone=look.gone,
        computed=look.computed,
        loads=sorted(look.loads),
        unread=look.unread,
        programs=look.count,
        machine=look.machine,
        owners=owners,
    )


@attrs.define
class _Look:
    asked: Compared
    new: LinkingRoot
    old: LinkingRoot
    calls: list[NewCall] = attrs.Factory(list)
    rights: list[NewRights] = attrs.Factory(list)
    missing: list[Missing] = attrs.Factory(list)
    ports: list[NewPort] = attrs.Factory(list)
    directories: list[str] = attrs.Factory(list)
    gone: list[str] = attrs.Factory(list)
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
        self.directories = [path for path in files.written(top) if self.old.find(path) is None]
        self.gone = [path for path in files.written(self.asked.old[0]) if self.new.find(path) is None]
        self.ports = [*self._ports(top)]
        for given in self.asked.given:
            before = files.rights(self.old, given.path)
            more = {*given.capabilities} - (before.capabilities if before is not None else frozenset())
            if more:
                self.rights.append(attrs.evolve(given, capabilities=sorted(more)))
        for path in self.asked.set_ids:
            before = files.rights(self.old, path)
            if before is None or not before.set_id:
                self.rights.append(NewRights(path, set_id=True))

    def _ports(self, top: str) -> Iterator[NewPort]:
        """The ports that configuration names, and did not name before."""
        for path, status in files.walk(top, written.CONFIGURED):
            if stat.S_ISREG(status.st_mode) and status.st_size <= written.LONGEST:
                before = self._named(self.old, path)
                yield from (NewPort(path, port, before) for port in self._named(self.new, path) if port not in before)

    def _named(self, root: LinkingRoot, path: str) -> list[int]:
        try:
            text = root.read(path, written.LONGEST).decode("utf-8", "replace")
        except OSError:
            return []
        return [*dict.fromkeys(written.ports(text))]

    def _command(self, word: str) -> None:
        path = files.command(self.new, word)
        if path is None:
            self.missing.append(Missing(word, word, "the command"))
            return
        for used in files.interpreters(self.new, path):
            if self.new.find(used) is None:
                self.missing.append(Missing(path, path, f"the interpreter {used}"))
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
        if self._is_one_tree:
            return
        try:
            linked = self.new.linked(real)
        except (InvalidElf, OSError) as error:
            self.unread[real] = str(error)
            return
        before = self._before(path)
        if self.asked.command:
            near = os.path.dirname(os.path.dirname(path))
            linked = self.new.with_modules(linked, near)
            before = self.old.with_modules(before, near) if before is not None else None
        if before is not None and self._is_same(linked, before):
            return
        try:
            now = reached(linked)
            if before is not None:
                known = set(reached(before).calls)
                self._before_all |= known
            else:  # what each program may do is nothing new, nor is what others of the same packages did
                known = {*started(linked).calls, *(self._before_all if self.asked.brought else ())}
            self._compared(real, linked, now, known, before, self._seen(path, real))
        except TooMuchCode as error:  # of itself, or of a library
            self.unread[real] = str(error)
            return
        self.count += 1
        self.machine = linked.binaries[0].elf.machine
        self.missing += [
            Missing(real, real, f"the library {name}")
            for name in now.missing
            if before is None or name not in before.missing
        ]
        self.loads.update(now.loads)
        self.computed |= now.computed

    def _seen(self, *paths: str) -> Set[int]:
        """The system calls that a program was seen to make, by the names that it may have had: a script's is its own."""
        names = {os.path.basename(path)[:_NAME] for path in (*paths, self.asked.command)}
        return frozenset[int]().union(*(self.asked.seen.get(name, ()) for name in names))

    @cached_property
    def _is_one_tree(self) -> bool:
        """Whether both trees are the same directories, as where a root is held against itself."""
        pairs = zip(self.asked.new, self.asked.old, strict=False)
        return len(self.asked.new) == len(self.asked.old) and all(os.path.samefile(*pair) for pair in pairs)

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

    def _compared(
        self, program: str, linked: Linked, now: Reached, known: Set[int], before: Linked | None, seen: Set[int]
    ) -> None:
        used = _used(before)
        ever = frozenset[str]().union(*used.values())
        self.called[program] = sorted(now.calls)
        calls = {number: way for number, way in now.calls.items() if number not in self.asked.permitted}
        new = calls.keys() - known
        is_static = linked.binaries[0].elf.is_static  # where the C library's functions are the program's
        always = started(linked).calls.keys() if new and not is_static else frozenset[int]()
        likely = usual(linked, new - always)
        if before is not None and seen:
            own = seen - loaded(before)  # not what each program is seen to make
            likely |= exchanged(linked, before, {number: own & self.asked.instead.get(number, set()) for number in new})
        # Last what every program may come to that is linked with these libraries.
        for number, way in sorted(calls.items(), key=lambda call: (call[0] in always, call[0])):
            first = _new_use(way, used)
            # What a library did for somebody before is news where the program itself asks for it.
            asks = before is not None and first is way[0] and len(way) == _WRAPPED and first.symbol not in ever
            if number in known and not asks:
                continue
            symbols = [step.symbol for step in way if step.symbol]
            self.calls.append(NewCall(number, program, (first or way[-1]).path, symbols, number in likely))

    def _rights(self, path: str) -> None:
        now, before = files.rights(self.new, path), files.rights(self.old, path)
        if now is None:
            return
        more = now.capabilities - (before.capabilities if before is not None else frozenset())
        set_id = now.set_id and (before is None or not before.set_id)
        if more or set_id:
            self.rights.append(NewRights(now.path, sorted(more), now.effective, set_id))


def _used(linked: Linked | None) -> Mapping[str, frozenset[str]]:
    """What each file of a program used of others, by its name without the directory."""
    binaries = linked.binaries if linked is not None else ()
    return {os.path.basename(binary.path): binary.elf.imports for binary in binaries}


def _new_use(way: Sequence[Via], used: Mapping[str, frozenset[str]]) -> Via | None:
    """The first file on a way to a system call that uses of the next one what it did not use before; None where each did,
    and the last one does something else now."""
    return next((via for via in way if via.symbol and via.symbol not in used.get(os.path.basename(via.path), ())), None)
