"""Programs that make a system call which one filter permits and another one refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from hardening.mechanism.evidence import TO_PROCESSES, Witness, call_attempt, may_be_made
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening_seccomp import groups, suid
from hardening_seccomp.actions import Action, ActionKind, is_denial, is_fatal
from hardening_seccomp.conditions import Rule, described_where
from hardening_seccomp.diagrams import ARGUMENTS, MAX_ARGUMENT, WIDTH, Diagram, apply
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spec import filter_of

#: The greatest pid there could be is none.
_NO_PROCESS = MAX_ARGUMENT ^ (1 << 31)
#: Of the calls that no layer names, so many are made: of some the kernel says what the filter does.
_SOME = 5
#: Why no program shows these.
_SILENT: Mapping[str, str] = MappingProxyType(
    {"architectures": "no program of Python makes calls of another architecture",
     "flags.spec-allow": "what a processor does ahead of time no call shows"}
)  # fmt: skip
_UNSEEN = "such a call ends who makes it, outlasts it, or is answered alike"
_SET_ID = """\
import tempfile
with tempfile.NamedTemporaryFile() as file:
    os.chmod(file.name, 0o4700)"""


def witness(settings: SeccompSettings, context: Context, leaf: Leaf, value: object, floor: object) -> Iterator[Witness]:
    """A call with arguments that the filter permits and the floor refuses. Most of them are no address and no descriptor,
    so that the kernel answers with another error. A filter that kills ends the program instead."""
    if leaf.setting == suid.SETTING:
        yield Witness("gives a file of its own a set-user-ID bit", _SET_ID)
    if leaf.setting in _SILENT:
        yield Witness(_SILENT[leaf.setting])
    if leaf.setting or not isinstance(floor, Diagram):
        return
    library = context.host.of(SeccompFacts).required_library()
    numbers = library.names(library.native())
    unnamed = (name for name in sorted(numbers) if name not in settings.syscalls.named)
    for name in islice(unnamed, _SOME) if leaf.member == WILDCARD else [leaf.member]:
        if name in numbers:
            yield from _calls(name, numbers[name], filter_of(settings, context).rule(name), floor)
    yield Witness(_UNSEEN if leaf.member in {*numbers, WILDCARD} else "this machine has no such call")


def _calls(name: str, number: int, rule: Rule, floor: Rule) -> Iterator[Witness]:
    pairs = apply(lambda *pair: pair, rule, groups.load().answered(name, floor))
    for pair in dict.fromkeys(pairs.leaves):
        if not is_denial(pair[1]) or (is_denial(pair[0]) and (is_fatal(pair[0]) or not is_fatal(pair[1]))):
            continue
        arguments = vector(pairs, pair, _NO_PROCESS if name in TO_PROCESSES else MAX_ARGUMENT)
        if not may_be_made(name, arguments):
            continue
        answered = pair[1].data if pair[1].kind is ActionKind.ERRNO else 0  # it ends here
        where = described_where(pairs, pair)
        attempt = call_attempt(name, number, arguments, answered)
        yield Witness(f"makes the system call {name}{f', where {where}' if where else ''}", attempt)


def vector(pairs: Diagram[tuple[Action, Action]], wanted: tuple[Action, Action], free: int) -> list[int]:
    """Arguments that lead to a value, each as near to ``free`` as that has it."""
    known: list[bool] = []

    def leads(ref: int) -> bool:
        return pairs.leaves[~ref] == wanted if ref < 0 else known[ref]

    for _, low, high in pairs.branches:  # children before parents
        known.append(leads(low) or leads(high))
    arguments, ref = [free] * ARGUMENTS, pairs.root
    while ref >= 0:
        bit, low, high = pairs.branches[ref]
        place = 1 << (WIDTH - 1 - bit % WIDTH)
        is_set = bool(free & place) if leads(low) and leads(high) else leads(high)
        ref = high if is_set else low
        arguments[bit // WIDTH] = arguments[bit // WIDTH] & ~place | (place if is_set else 0)
    return arguments
