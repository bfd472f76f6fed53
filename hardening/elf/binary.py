"""One program or library: what each function of it calls, refers to, and asks of the kernel."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property

import attrs

from hardening.base.values import frozen
from hardening.elf.edges import CALL, JUMP, LOAD, SHORT, edges, system_calls
from hardening.elf.file import ElfFile
from hardening.elf.numbers import Effort, Location, Traced, Tracer

#: Bytes of a table of pointers that is followed, in a library and in what is linked statically, where the tables of its
#: commands lie; and bytes between two pointers of one table.
TABLE, WHOLE_TABLE, GAP = 256, 1 << 16, 64


@attrs.define
class Function:
    """What a function refers to: functions that it calls and those whose address it takes, symbols of other files, and
    places where pointers are."""

    calls: set[int] = attrs.Factory(set)
    taken: set[int] = attrs.Factory(set)
    symbols: set[str] = attrs.Factory(set)
    tables: set[int] = attrs.Factory(set)


@frozen(eq=False)
class _References:
    """The ``functions`` of a file, by their addresses; and the places that call one, or jump to it, by its address, or by a
    symbol that another file has."""

    functions: Mapping[int, Function]
    callers: Mapping[int | str, Sequence[int]]


@frozen(eq=False)
class CallsMade:
    """The numbers that a file makes system calls with, or hands to what makes one of an argument: ``functions`` by the
    function that does, ``sites`` by the place where that is."""

    functions: Mapping[int, Traced]
    sites: Mapping[int, Set[int]]


class Binary:
    """A file at its ``path`` in the root. What looks through its code, here and below, raises `TooMuchCode` where that is
    without end."""

    def __init__(self, path: str, elf: ElfFile) -> None:
        self.effort = Effort()
        self.path, self.elf = path, elf if elf.has_frames else _with_called(elf, self.effort)
        elf = self.elf
        self._known = frozenset(elf.functions)
        self._system_calls: dict[str, CallsMade] = {}
        #: What functions of it make of an argument: a system call with that number. Known as far as those were asked for.
        self.wrappers: dict[str, set[Location]] = {}

    @property
    def functions(self) -> Mapping[int, Function]:
        """What each function refers to."""
        return self._references.functions

    @cached_property
    def _references(self) -> _References:
        callers: dict[int | str, list[int]] = defaultdict(list)
        found: dict[int, Function] = defaultdict(Function)
        tracer = Tracer(self.elf, self.effort)
        stubs: dict[int, int] = {}
        symbols: dict[int, str] = {}
        others = list[tuple[int, int, int]]()
        for kind, at, target in self.effort.each(edges(self.elf)):
            where = self.elf.function(at)
            if kind == SHORT and (target == where or target not in self._known or not tracer.is_instruction(at)):
                continue
            here = found[at if where is None else where]
            if target in self._known and kind in (CALL, JUMP, SHORT):
                here.calls.add(target)
                callers[target].append(at)
            elif target in self._known:
                here.taken.add(target)
            elif kind in (CALL, JUMP, SHORT):
                others.append((at, target, where if where is not None else at))
            elif target in self.elf.slots:
                symbol = self.elf.slots[target]
                here.symbols.add(symbol)
                stubs |= dict.fromkeys((at, at - 4, at - 5, at & ~15, at & ~7), at)
                symbols[at] = symbol
            elif kind == LOAD:
                here.tables.update(self._pointed(target))
            elif next(self.pointers(target), None) is not None:
                here.tables.add(target)
        through = {target: stubs[target] for _, target, _ in others if target in stubs}
        for at, target, where in others:
            if target in through:
                symbol = symbols[through[target]]
                found[where].symbols.add(symbol)
                callers[symbol].append(at)
        for at in symbols.keys() - set(through.values()):
            callers[symbols[at]].append(at)
        return _References(found, callers)

    @cached_property
    def targets(self) -> Mapping[int, int | str]:
        """Where the code calls functions, or jumps to them, and which: an address, or a symbol of another file."""
        return {at: target for target, sites in self._references.callers.items() for at in sites}

    def callers(self, target: int | str) -> set[int]:
        """The functions that call another one, or jump to it: by its address, or by a symbol that another file has."""
        sites = self._references.callers.get(target, ())
        return {where for at in sites if (where := self.elf.function(at)) is not None}

    def _pointed(self, place: int) -> Iterator[int]:
        """Where the one pointer at a place leads."""
        index = bisect_left(self._places, place)
        if index < len(self._places) and self._places[index] == place:
            yield self.elf.pointers[index][1]

    @cached_property
    def _places(self) -> list[int]:
        return [place for place, _ in self.elf.pointers]

    @cached_property
    def _slots(self) -> list[int]:
        return sorted(self.elf.slots)

    def pointers(self, address: int, size: int = TABLE) -> Iterator[int | str]:
        """Where the pointers of a table lead that begins at an address: addresses, and symbols of other files."""
        end, last = address + size, address
        places = self._places
        index, slot = bisect_left(places, address), bisect_left(self._slots, address)
        while True:
            place = places[index] if index < len(places) else end
            other = self._slots[slot] if slot < len(self._slots) else end
            last, before = min(place, other), last
            if last >= end or last - before > GAP:
                return
            if place <= other:
                yield self.elf.pointers[index][1]
                index += 1
            if other <= place:
                yield self.elf.slots[other]
                slot += 1

    def is_function(self, address: int) -> bool:
        """Whether a function begins at an address."""
        return address in self._known

    def system_calls(self, foreign: Mapping[str, set[Location]]) -> CallsMade:
        """The system calls that it makes, where ``foreign`` functions of other files make one of an argument; its own ones
        that do are in `wrappers` from then on."""
        wanted = {name: foreign[name] for name in sorted(foreign.keys() & self.elf.imports)}
        key = repr(wanted)
        if key not in self._system_calls:
            self._system_calls[key] = self._found(wanted)
        return self._system_calls[key]

    def _found(self, foreign: Mapping[str, set[Location]]) -> CallsMade:
        tracer = Tracer(self.elf, self.effort)
        found: dict[int, Traced] = defaultdict(Traced)
        made: dict[int, set[int]] = defaultdict(set)
        wrapping: dict[int, set[Location]] = defaultdict(set)
        pending = [(at, tracer.number(at)) for at in self.effort.each(system_calls(self.elf))]
        for symbol, places in foreign.items():
            sites = self._references.callers.get(symbol, ())
            pending += [(at, tracer.argument(at, place)) for at in sites for place in places]
        while pending:
            at, value = pending.pop()
            where = self.elf.function(at)
            if value is None:
                continue
            here = found[at if where is None else where]
            here.constants |= value.constants
            made[at] |= value.constants
            here.computed |= value.computed
            for place in value.parameters if where is not None else ():
                if where is None or place in wrapping[where]:
                    continue
                wrapping[where].add(place)
                sites = self._references.callers.get(where, ())
                pending += [(caller, tracer.argument(caller, place)) for caller in sites]
        for name, symbols in self.elf.exports.items():
            parameters = set[Location]().union(*(wrapping.get(symbol.address, ()) for symbol in symbols))
            if parameters:
                self.wrappers[name] = parameters
        return CallsMade(found, made)


def _with_called(elf: ElfFile, effort: Effort) -> ElfFile:
    """A file that does not describe its functions, with those that are called in it."""
    spans = [(start, start + len(content)) for start, content in elf.code]
    called = {
        target
        for kind, _, target in effort.each(edges(elf))
        if kind == CALL and any(low <= target < high for low, high in spans)
    }
    return attrs.evolve(elf, functions=sorted(called.union(elf.functions)))
