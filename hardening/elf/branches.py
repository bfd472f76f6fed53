"""What a program comes to in most of its runs, as far as its branches show that.

Of each branch either way is taken to be as likely, but for one that can only end the process (a message, exit(3)). What is
looked up in a table, of options, commands or types, shows nothing of who takes which way: nobody is taken to. What a library
does itself for a symbol counts as done, since who calls that wants it, but for those that every program uses. Source: Ball
and Larus, Branch prediction for free (PLDI 1993).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import attrs

from hardening.base.values import frozen
from hardening.elf.binary import Binary
from hardening.elf.closure import Linked
from hardening.elf.numbers import Tracer
from hardening.elf.reach import STARTING

#: A function: the place of its file among those that are linked with one another, and its address there.
Node = tuple[int, int]
#: What is taken to happen in most runs; times that loops are followed; and functions that call one another before the last
#: one is seen to end the process.
MOST, ROUNDS, DEEP = 0.5, 40, 3
#: Functions of the C and C++ libraries that do not return.
_ENDS = frozenset(
    "_Unwind_Resume _ZSt9terminatev __assert_fail __chk_fail __cxa_rethrow __cxa_throw __fortify_fail __longjmp_chk "  # noqa: SIM905
    "__stack_chk_fail _exit abort err errx exit longjmp pthread_exit quick_exit siglongjmp verr verrx".split()
)


def usual(linked: Linked, numbers: Collection[int]) -> frozenset[int]:
    """Those of these system calls of a program, which were `reached`, that it comes to in most of its runs by calls alone.
    Nothing shows that of a library. Raises `TooMuchCode`."""
    binary = linked.binaries[0]
    if not binary.elf.is_program:
        return frozenset()
    # The function that the program is entered by hands the address of `main` to the C library.
    entry = binary.functions.get(binary.elf.entry)
    starts = [binary.elf.entry, *(entry.taken if entry is not None else ()), *binary.elf.initial]
    graph = _CallGraph.of(linked, [(0, start) for start in starts if binary.is_function(start)])
    return frozenset(number for number in numbers if graph.chance(number) >= MOST)


@frozen
class _BasicBlock:
    """Instructions that run one after the other: the ``sites`` among them that call something, the blocks ``after`` it, and
    whether it ``leaves`` the function, by a return or by a jump to another one."""

    sites: Sequence[int]
    after: Sequence[int]
    leaves: bool


@attrs.define
class _ControlFlow:
    """The blocks of a file's functions."""

    binary: Binary
    _tracer: Tracer
    _known: dict[tuple[int, int], Mapping[int, _BasicBlock]] = attrs.Factory(dict)

    @classmethod
    def of(cls, binary: Binary) -> _ControlFlow:
        return cls(binary, Tracer(binary.elf, binary.effort))

    def chance(self, start: int, chances: Mapping[int, float]) -> float:
        """How likely a function comes to something that each of its sites does with a chance."""
        blocks = self._blocks(start, DEEP)
        returning = _returning(blocks)
        ways: dict[int, Sequence[int | None]] = {}
        missed = dict.fromkeys(blocks, 1.0)
        for address, block in blocks.items():
            returns = [after for after in block.after if after in returning]
            ways[address] = (*returns, *[None] * block.leaves) or block.after
            for site in block.sites:
                missed[address] *= 1 - chances.get(site, 0)
        found: dict[int | None, float] = dict.fromkeys(blocks, 0.0)
        found[None] = 0.0
        for _ in range(ROUNDS):
            change = 0.0
            for place in reversed(ways):
                later = sum(found[way] for way in ways[place]) / len(ways[place]) if ways[place] else 0
                value = 1 - missed[place] * (1 - later)
                change = max(change, value - found[place])
                found[place] = value
            if change < 1e-3:
                break
        return found.get(start, 0.0)

    def _blocks(self, start: int, deep: int) -> Mapping[int, _BasicBlock]:
        """The blocks of a function by their addresses, in order, where calls that do not return are followed so deep."""
        if (start, deep) not in self._known:
            self._known[start, deep] = self._divided(start, deep)
        return self._known[start, deep]

    def _divided(self, start: int, deep: int) -> Mapping[int, _BasicBlock]:
        listed = self._tracer.instructions(start)
        inside = {address for address, *_ in listed}
        ends: dict[int, tuple[Sequence[int], bool]] = {}  # what is after an instruction that is the last one of a block
        begins = {start}
        for address, size, mnemonic, operands in listed:
            following = [address + size] if address + size in inside else []
            jump = self._tracer.convention.jump(mnemonic, operands)
            if jump is None and not self._is_end(address, mnemonic, deep):
                continue
            target, goes_on = jump if jump is not None else (None, False)
            to = [target] if target in inside and target is not None else []
            leaves = mnemonic.endswith("ret") or (jump is not None and not to and address in self.binary.targets)
            after = (*to, *(following if goes_on else ()))
            ends[address] = after, leaves
            begins.update((*to, *following))
        return dict(_grouped(listed, begins, ends, self.binary.targets))

    def _is_end(self, address: int, mnemonic: str, deep: int) -> bool:
        """Whether nothing comes after an instruction: a call that does not return, say."""
        convention = self._tracer.convention
        if mnemonic not in convention.calls:
            return mnemonic in convention.ends
        target = self.binary.targets.get(address)
        if isinstance(target, str):
            return target in _ENDS
        if target is None or not deep:
            return False
        blocks = self._blocks(target, deep - 1)
        return bool(blocks) and target not in _returning(blocks)


def _grouped(
    listed: Sequence[tuple[int, int, str, str]],
    begins: Collection[int],
    ends: Mapping[int, tuple[Sequence[int], bool]],
    targets: Collection[int],
) -> Iterator[tuple[int, _BasicBlock]]:
    first, sites = 0, list[int]()
    for index, (address, *_) in enumerate(listed):
        if address in begins:
            first, sites = address, []
        sites.append(address)
        following = listed[index + 1][0] if index + 1 < len(listed) else None
        if address in ends or following is None or following in begins:
            after, leaves = ends.get(address, ((following,) if following is not None else (), False))
            yield first, _BasicBlock(sites, after, leaves)


def _returning(blocks: Mapping[int, _BasicBlock]) -> Collection[int]:
    """The blocks from which a function can return."""
    before: dict[int, list[int]] = defaultdict(list)
    for address, block in blocks.items():
        for after in block.after:
            before[after].append(address)
    found = {address for address, block in blocks.items() if block.leaves}
    pending = list(found)
    while pending:
        new = {*before[pending.pop()]} - found
        found |= new
        pending += new
    return found


@attrs.define
class _CallGraph:
    """The functions that are come to by calls alone, from where a program starts."""

    linked: Linked
    starts: Sequence[Node]
    #: Where each function calls others, and who calls each.
    sites: dict[Node, list[tuple[int, Node]]] = attrs.Factory(lambda: defaultdict(list))
    callers: dict[Node, set[Node]] = attrs.Factory(lambda: defaultdict(set))
    _flows: dict[int, _ControlFlow] = attrs.Factory(dict)

    @classmethod
    def of(cls, linked: Linked, starts: Sequence[Node]) -> _CallGraph:
        graph = cls(linked, starts)
        calling: dict[int, dict[int, list[int]]] = {}
        seen, pending = set(starts), list(starts)
        while pending:
            node = pending.pop()
            index, address = node
            binary = linked.binaries[index]
            if index not in calling:
                calling[index] = _by_function(binary, binary.targets)
            for site in calling[index].get(address, ()):
                target = binary.targets[site]
                if target in STARTING:
                    continue
                where, found = (index, [target]) if isinstance(target, int) else linked.providers.get(target, (0, []))
                for called in [(where, each) for each in found]:
                    graph.sites[node].append((site, called))
                    graph.callers[called].add(node)
                    if called not in seen:
                        seen.add(called)
                        pending.append(called)
        return graph

    def chance(self, number: int) -> float:
        """How likely the program comes to a system call."""
        making = [
            _by_function(binary, [site for site, made in calls.sites.items() if number in made])
            for binary, calls in zip(self.linked.binaries, self.linked.system_calls, strict=True)
        ]
        makers = [(index, address) for index, found in enumerate(making) for address in found]
        done = self._leading([node for node in makers if node[0]], same_file=True)
        values = dict.fromkeys(done, 1.0)
        for index, address in self._called_first(self._leading(makers) - done):
            chances = dict.fromkeys(making[index].get(address, ()), 1.0)
            for site, called in self.sites[index, address]:
                chances[site] = max(chances.get(site, 0), values.get(called, 0))
            if index not in self._flows:
                self._flows[index] = _ControlFlow.of(self.linked.binaries[index])
            values[index, address] = self._flows[index].chance(address, chances) if any(chances.values()) else 0
        return max((values.get(start, 0) for start in self.starts), default=0)

    def _leading(self, nodes: Collection[Node], *, same_file: bool = False) -> set[Node]:
        """The functions that lead to one of these, themselves among them."""
        found, pending = set(nodes), list(nodes)
        while pending:
            node = pending.pop()
            callers = {caller for caller in self.callers.get(node, ()) if not same_file or caller[0] == node[0]}
            pending += callers - found
            found |= callers
        return found

    def _called_first(self, nodes: Collection[Node]) -> Iterator[Node]:
        """Those of these functions that the program comes to, each after those that it calls, if they do not call it."""
        seen = {start for start in self.starts if start in nodes}
        stack = [(start, iter(self.sites[start])) for start in seen]
        while stack:
            node, calls = stack[-1]
            called = next((called for _, called in calls if called in nodes and called not in seen), None)
            if called is None:
                stack.pop()
                yield node
            else:
                seen.add(called)
                stack.append((called, iter(self.sites[called])))


def _by_function(binary: Binary, sites: Collection[int]) -> dict[int, list[int]]:
    """Sites of a file by the function that each lies in."""
    found: dict[int, list[int]] = defaultdict(list)
    for site in sorted(sites):
        where = binary.elf.function(site)
        if where is not None:
            found[where].append(site)
    return found
