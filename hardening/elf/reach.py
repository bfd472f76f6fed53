"""The system calls that a program may make: those of the functions that it can come to, here and in its libraries.

Of a program every function counts, for its maker put them there. Of a library only those do that can be reached from what
others use of it: through direct calls, functions whose address is taken, and tables of pointers (`hardening.elf.binary`). A
call through a pointer goes wherever a function went that was reachable before it: more than it does, never less, unless the
pointer was computed, or came from outside (dlopen(3), code that is made at run time).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence, Set

import attrs

from hardening.base.values import frozen
from hardening.elf.binary import TABLE, WHOLE_TABLE, Binary
from hardening.elf.closure import LOADERS, Linked

#: What every program uses of the C library.
STARTING = frozenset(
    {"__cxa_finalize", "__libc_start_main", "__stack_chk_fail", "abort", "calloc", "exit", "fclose", "free", "malloc",
     "printf", "puts", "realloc", "setlocale"}
)  # fmt: skip


@frozen
class Via:
    """A part of the way to a system call: a file, and the symbol of another one that it uses there, empty where it makes
    the call itself."""

    path: str
    symbol: str = ""


@frozen(eq=False)
class Reached:
    """What a program may ask of the kernel. ``calls`` are the numbers of system calls with the shortest way to one of
    its places, by calls alone where there is one; ``machine`` says whose numbers. ``computed`` is how many functions of a
    file compute a number. ``loads`` are files that load others at run time; ``missing`` are libraries that are not there."""

    machine: str
    calls: Mapping[int, Sequence[Via]]
    computed: Mapping[str, int]
    loads: Sequence[str]
    missing: Sequence[str]


@attrs.define
class _Reach:
    binaries: Sequence[Binary]
    providers: Mapping[str, tuple[int, Sequence[int]]]
    #: Where each function was reached from, and by which symbol.
    parents: dict[tuple[int, int], tuple[tuple[int, int] | None, str]] = attrs.Factory(dict)
    pending: deque[tuple[int, int]] = attrs.Factory(deque)
    tables: set[tuple[int, int]] = attrs.Factory(set)

    def enter(self, index: int, address: int, parent: tuple[int, int] | None, symbol: str = "") -> None:
        """Go to a function, or to the table of pointers that is at an address."""
        binary = self.binaries[index]
        if binary.is_function(address):
            if (index, address) not in self.parents:
                self.parents[index, address] = parent, symbol
                self.pending.append((index, address))
        else:
            self.table(index, address, parent, symbol)

    def table(self, index: int, address: int, parent: tuple[int, int] | None, symbol: str = "", size: int = 0) -> None:
        """Go wherever the pointers of a table lead."""
        waiting = [(address, size)]
        while waiting:
            start, length = waiting.pop()
            if (index, start) in self.tables:
                continue
            self.tables.add((index, start))
            binary = self.binaries[index]
            most = WHOLE_TABLE if binary.elf.is_static else TABLE
            for target in binary.effort.each(binary.pointers(start, length or most)):
                if isinstance(target, str):
                    self.use(target, parent, index)
                elif binary.is_function(target):
                    self.enter(index, target, parent, symbol)
                else:
                    waiting.append((target, 0))

    def use(self, name: str, parent: tuple[int, int] | None, index: int) -> None:
        """Go to what a symbol stands for, in each version that the first library with it has."""
        provider, addresses = self.providers.get(name, (0, ()))
        for address in addresses:
            self.enter(provider, address, parent if parent is not None else (index, 0), name)


def started(linked: Linked) -> Reached:
    """What any program may ask for that is linked with the same libraries, before it does something of its own."""
    return reached(linked, STARTING)


def loaded(linked: Linked) -> Set[int]:
    """What the dynamic linker asks for, whatever program it is that it loads."""
    linker = linked.linker
    return reached(Linked((linker,), linker), frozenset()).calls.keys() if linker is not None else frozenset()


def reached(linked: Linked, only: frozenset[str] | None = None) -> Reached:
    """What the first of several files that are linked with one another may ask of the kernel; with ``only`` as if it used
    nothing but these symbols. Raises `TooMuchCode`."""
    binaries = linked.binaries
    numbers = [made.functions for made in linked.system_calls]
    walk = _Reach(binaries, linked.providers)
    _begin(walk, linked, only)
    calls: dict[int, Sequence[Via]] = {}
    computed: Counter[str] = Counter()
    loads: dict[str, None] = {}
    own = () if only is not None else tuple(index for index in _own(linked) if _is_whole(binaries[index]))
    for index in own:
        for value in numbers[index].values():
            calls |= dict.fromkeys(value.constants - calls.keys(), (Via(binaries[index].path),))
            computed[binaries[index].path] += value.computed
        loads |= dict.fromkeys([binaries[index].path] if binaries[index].elf.imports & LOADERS else [])
    pointers: list[tuple[int, int]] = []  # functions whose pointers are followed after all calls are
    while walk.pending or pointers:
        if not walk.pending:
            _follow_pointers(walk, pointers)
            continue
        node = walk.pending.popleft()
        index, address = node
        binary = binaries[index]
        made = numbers[index].get(address)
        if made is not None:
            calls |= {number: tuple(_way(walk, binaries, node)) for number in made.constants - calls.keys()}
            computed[binary.path] += made.computed
        function = binary.functions.get(address)
        if function is None:
            continue
        pointers.append(node)
        for target in sorted(function.calls):
            walk.enter(index, target, node)
        for symbol in sorted(function.symbols):
            walk.use(symbol, node, index)
            if symbol in LOADERS:
                loads.setdefault(binary.path)
        if address == binary.elf.entry:  # which has the address of `main`
            for target in sorted(function.taken):
                walk.enter(index, target, node)
    counted = {path: count for path, count in computed.items() if count}
    machine = binaries[0].elf.machine
    return Reached(machine, calls, counted, tuple(loads), linked.missing)


def _follow_pointers(walk: _Reach, nodes: list[tuple[int, int]]) -> None:
    """Go where the addresses lead that functions take, and the tables that they refer to."""
    for node in nodes:
        function = walk.binaries[node[0]].functions[node[1]]
        for target in sorted(function.taken):
            walk.enter(node[0], target, node)
        for place in sorted(function.tables):
            walk.table(node[0], place, node)
    nodes.clear()


def _own(linked: Linked) -> Iterator[int]:
    """The places of the files that are the program's: itself, and the modules that it loads."""
    modules = {id(binary) for binary in linked.modules}
    return (index for index, binary in enumerate(linked.binaries) if not index or id(binary) in modules)


def _is_whole(binary: Binary) -> bool:
    """Whether all of a file counts: of what is linked statically, the parts of its libraries that it uses count alone."""
    return not (binary.elf.is_static and binary.elf.has_frames)


def _begin(walk: _Reach, linked: Linked, only: frozenset[str] | None) -> None:
    """Enter what runs by itself, and what the program uses of others."""
    own = {index for index in _own(linked) if _is_whole(linked.binaries[index])}
    for index in sorted(own):
        for name in sorted(linked.binaries[index].elf.imports if only is None else only):
            walk.use(name, None, index)
    for index, binary in enumerate(linked.binaries):
        if index not in own:
            for address in binary.elf.initial:
                walk.enter(index, address, None)
        if binary is linked.linker or (not index and index not in own):
            walk.enter(index, binary.elf.entry, None)


def _way(walk: _Reach, binaries: Sequence[Binary], node: tuple[int, int]) -> Iterator[Via]:
    """The files on the way to a function, with the symbols by which each uses the next one."""
    steps = [Via(binaries[node[0]].path)]
    here: tuple[int, int] | None = node
    while here is not None and here in walk.parents:
        parent, symbol = walk.parents[here]
        if parent is not None and parent[0] != here[0]:
            steps.append(Via(binaries[parent[0]].path, symbol))
        here = parent
    return reversed(steps)
