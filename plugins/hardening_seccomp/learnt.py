"""The filter that allows what runs were seen to call, and what each program needs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.mechanism.denial import SystemCall
from hardening.mechanism.evidence import LENDING, SIGNIFICANT, Evidence, LearntStatement, Usage, seen, telling
from hardening.mechanism.mechanism import Context
from hardening.mechanism.schema import Leaf
from hardening_seccomp import equivalents, groups, suid
from hardening_seccomp.actions import DENY, is_denial
from hardening_seccomp.conditions import fill
from hardening_seccomp.diagrams import ARGUMENTS
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import FAMILY, RuleKind, SeccompSettings
from hardening_seccomp.spans import kernel_token

#: Calls of which a learnt filter permits the uses that were seen, and no other. Of those that lend rights `suid` says more.
_APART = frozenset(
    {"bpf", "clone", "ioctl", "keyctl", "personality", "prctl", "ptrace", "seccomp", "setns", "socket", "socketpair",
     "unshare"}
)  # fmt: skip
_SWAPPED = ("s390", "s390x")  # clone has its flags elsewhere there (clone(2), C library/kernel differences)


@frozen(eq=False)
class Knowledge:
    """The data file. ``always`` are the calls that each program needs; ``usual`` are the values of the telling argument of a
    call, by their names."""

    always: frozenset[str]
    usual: Mapping[str, Mapping[str, int]]


@cache
def load() -> Knowledge:
    """Read the data file; it belongs to the package, so any fault in it is a bug."""
    data = tomllib.loads(Path(__file__).with_name("learnt.toml").read_text(encoding="utf-8"))
    return Knowledge(frozenset(data["always"].split()), data["usual"])


def recording(settings: SeccompSettings, context: Context) -> tuple[Mapping[str, object], Sequence[str]]:
    """What permits each call of this machine, within the limits, and the leaves that this loosens."""
    names = [
        name
        for name in sorted(context.host.of(SeccompFacts).native_names)
        if not _is_permitted(settings, name, [0] * ARGUMENTS) and context.limit(Leaf("seccomp", FAMILY, name)) is None
    ]
    return ({"allow": names}, names) if names else ({}, ())


def learnt(settings: SeccompSettings, context: Context, evidence: Evidence) -> Iterator[LearntStatement]:
    """A complete filter: what was called, what does the same, what each program needs, and what programs could call. What
    the settings deny of what was called loosens them."""
    facts = context.host.of(SeccompFacts)
    if not evidence.uses or facts.library is None:
        return
    allowed = _by_name(use for use in evidence.uses if use.runs and _allows(settings, use.call))
    denied = _by_name(use for use in evidence.uses if use.often and not _allows(settings, use.call))
    yield LearntStatement(("default",), str(settings.syscalls.rest.leaves[0]), "what no run has called")
    apart = {name for name in allowed if _is_told_apart(name, facts)}
    for name in sorted(allowed.keys() - apart):
        yield LearntStatement(("allow",), name, seen(allowed[name]), element=True)
    beside = [*_besides(settings, facts, allowed)]
    yield from beside
    known = {*allowed, *(str(statement.value) for statement in beside)}
    could = _by_name(use for use in evidence.uses if not use.runs and use.call.name not in known)
    yield from _possible(settings, facts, could)
    for name in sorted(apart):
        yield from _rules(name, allowed[name])
        yield from _usual(settings, name, allowed[name])
    for name, uses in sorted(denied.items()):
        leaf = f"seccomp.{name}"
        if _is_told_apart(name, facts):
            yield from (attrs.evolve(statement, loosens=frozenset({leaf})) for statement in _rules(name, uses))
        else:
            yield LearntStatement(("allow",), name, seen(uses), element=True, loosens=frozenset({leaf}))
    lending = [use for use in evidence.of(*LENDING) if any(use.call.arguments)]
    if lending and settings.restrict_suid_sgid:
        yield LearntStatement((suid.SETTING,), False, seen(lending), loosens=frozenset({f"seccomp.{suid.SETTING}"}))
    yield from _architectures(settings, facts, evidence.uses)


def _by_name(uses: Iterable[Usage]) -> dict[str, list[Usage]]:
    found: dict[str, list[Usage]] = {}
    for use in uses:
        found.setdefault(use.call.name, []).append(use)
    return found


def _besides(settings: SeccompSettings, facts: SeccompFacts, called: Mapping[str, object]) -> Iterator[LearntStatement]:
    """What the settings allow of what does the same as a call that was seen, and of what each program needs."""
    native, alike = facts.native_names, equivalents.families()
    reasons = dict.fromkeys(load().always, "each program")
    reasons |= {other: name for name in sorted(called) for other in alike.get(name, ())}
    for name, why in sorted(reasons.items()):
        if name in called or name not in native or not _is_permitted(settings, name, [0] * ARGUMENTS):
            continue
        if _is_told_apart(name, facts):  # of which it was not seen what somebody asks for: nothing beyond the least
            yield _rule(name, {place: (0, mask) for place, mask in SIGNIFICANT[name].items()}, f"as {why}")
        else:
            yield LearntStatement(("allow",), name, why if why == "each program" else f"as {why}", element=True)


def _possible(
    settings: SeccompSettings, facts: SeccompFacts, could: Mapping[str, Sequence[Usage]]
) -> Iterator[LearntStatement]:
    """What the settings allow of what programs could call and have not. Of a call whose arguments tell uses apart that is
    what its own group allows, where the settings allow no less."""
    for name, uses in sorted(could.items()):
        rule, group = settings.syscalls[name], f"{groups.PREFIX}{name}"
        if rule.is_constant and not is_denial(rule.leaves[0]):
            yield LearntStatement(("allow",), name, seen(uses), element=True)
        elif group in groups.load().members:
            guarded = fill(groups.load().allowed(name, facts.native), DENY)
            if RuleKind().is_no_looser_than(guarded, rule):
                yield LearntStatement(("allow",), group, seen(uses), element=True)


def _rules(name: str, uses: Iterable[Usage]) -> Iterator[LearntStatement]:
    """A rule for each telling value of the arguments of a call."""
    alike: dict[tuple[tuple[int, tuple[int, int]], ...], list[Usage]] = {}
    for use in uses:
        asked = use.call.arguments
        values = tuple((place, (asked[place] & mask, mask)) for place, mask in telling(use.call).items())
        alike.setdefault(values, []).append(use)
    for values, made in sorted(alike.items()):
        words = _in_words(made)
        yield _rule(name, dict(values), f"{words}: {seen(made)}" if words else seen(made))


def _in_words(uses: Iterable[Usage]) -> str:
    """What the words of all calls have in common, in their order: ``ioctl TCGETS`` of some on several files."""
    texts = [use.call.text.split() for use in uses]
    return " ".join(word for word in texts[0] if all(word in text for text in texts))


def _usual(settings: SeccompSettings, name: str, uses: Iterable[Usage]) -> Iterator[LearntStatement]:
    """Rules for what is usual of a call that was made in another way, as far as the settings allow it, neighbours as one."""
    usual = load().usual.get(name, {})
    place = next(iter(SIGNIFICANT[name]))
    left = {value: word for word, value in usual.items() if _is_permitted(settings, name, [0] * place + [value])}
    for value in {use.call.arguments[place] for use in uses}:
        left.pop(value, None)
    for value in sorted(left):
        if value - 1 in left:
            continue
        last = next(end for end in count(value) if end + 1 not in left)
        words = ", ".join(left[number] for number in range(value, last + 1))
        ends = [("eq", value)] if last == value else [("ge", value), ("le", last)]
        arguments = [{"index": place, "op": op, "value": end} for op, end in ends]
        yield _allowed(name, arguments, f"{words}: each program")


def _rule(name: str, compared: Mapping[int, tuple[int, int]], comment: str) -> LearntStatement:
    arguments = [
        {"index": place, "op": "masked_eq", "value": value, "mask": mask}
        if mask & (mask + 1)
        else {"index": place, "op": "eq", "value": value}
        for place, (value, mask) in compared.items()
    ]
    return _allowed(name, arguments, comment)


def _allowed(name: str, arguments: Sequence[Mapping[str, object]], comment: str) -> LearntStatement:
    return LearntStatement(("rules",), {"names": [name], "action": "allow", "args": arguments}, comment, element=True)


def _architectures(settings: SeccompSettings, facts: SeccompFacts, uses: Sequence[Usage]) -> Iterator[LearntStatement]:
    """A complete filter has this machine's architecture alone, unless it names those that were used."""
    library = facts.required_library()
    tokens = {use.call.architecture: use for use in uses}
    for name in settings.architectures.having(True):
        token = kernel_token(library, name)
        if token in tokens:
            asked = [use for use in uses if use.call.architecture == token]
            yield LearntStatement(("architectures", "add"), name, seen(asked), element=True)


def _is_told_apart(name: str, facts: SeccompFacts) -> bool:
    return name in _APART and not (name == "clone" and facts.native in _SWAPPED)


def _allows(settings: SeccompSettings, call: SystemCall) -> bool:
    return _is_permitted(settings, call.name, call.arguments)


def _is_permitted(settings: SeccompSettings, name: str, arguments: Sequence[int]) -> bool:
    rule = settings.syscalls[name]
    padded: list[Any] = [*arguments, *[0] * (ARGUMENTS - len(arguments))]
    return not is_denial(rule.value(padded[:ARGUMENTS]))
