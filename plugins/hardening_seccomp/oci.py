"""Between the model and ``linux.seccomp`` of the OCI runtime specification (config-linux.md, "Seccomp")."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from hardening.base.values import frozen
from hardening.errors import SpecError
from hardening.mechanism.schema import WILDCARD
from hardening_seccomp.actions import MOST_ERRNO, RET_DATA, SUCCESS, Action, ActionKind, is_denial, stricter
from hardening_seccomp.conditions import (
    Comparison,
    ConditionEntry,
    Op,
    Rule,
    Style,
    TooManyEntries,
    coarser,
    entries,
    is_ambiguous,
    rule_of,
)
from hardening_seccomp.diagrams import ARGUMENTS, MAX_ARGUMENT, apply, constant, judged_at
from hardening_seccomp.filters import Filter

POINTER = "/linux/seccomp"
MAX_ENTRIES = 256
NO_LISTENER = "nothing here serves a seccomp listener, which would decide about calls while they wait"
INSTEAD = "remove it, and use SCMP_ACT_ERRNO for the calls that would have asked it"
NONE_TRIED: Mapping[str, int] = MappingProxyType({})
FLAGS = {
    "log": "SECCOMP_FILTER_FLAG_LOG",
    "spec-allow": "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "tsync": "SECCOMP_FILTER_FLAG_TSYNC",
}
#: The kernel takes it with a listener only.
OF_LISTENERS = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
_FLAG_WORDS = {name: word for word, name in FLAGS.items()}
_ACTIONS = {
    "SCMP_ACT_KILL": ActionKind.KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": ActionKind.KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": ActionKind.KILL_PROCESS,
    "SCMP_ACT_TRAP": ActionKind.TRAP,
    "SCMP_ACT_ERRNO": ActionKind.ERRNO,
    "SCMP_ACT_TRACE": ActionKind.TRACE,
    "SCMP_ACT_LOG": ActionKind.LOG,
    "SCMP_ACT_ALLOW": ActionKind.ALLOW,
}
_OPERATORS = {f"SCMP_CMP_{op.name}": op for op in Op}
ARCHITECTURES = (
    "x86",
    "x86_64",
    "x32",
    "arm",
    "aarch64",
    "mips",
    "mips64",
    "mips64n32",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "ppc",
    "ppc64",
    "ppc64le",
    "s390",
    "s390x",
    "parisc",
    "parisc64",
    "riscv64",
    "loongarch64",
    "m68k",
    "sh",
    "sheb",
)
#: Names of machines (uname(2)) that libseccomp names otherwise.
_MACHINES = {"i386": "x86", "i486": "x86", "i586": "x86", "i686": "x86", "armv7l": "arm", "armv6l": "arm"}
#: How many entries a part of a rule may have that looks at later arguments than the first, ever fewer (`coarser`).
PARTS = (64, 16, 4, 1, 0)


@frozen
class Form:
    """One way to write a rule: as it is or plainer, with some comparisons."""

    rule: Rule
    style: Style


@frozen(eq=False)
class Emission:
    """An OCI object, the rules of the system calls whose own rule was too long for it, as they were written instead, and for
    each system call which of its `forms` was taken."""

    document: dict[str, Any]
    written: Mapping[str, Rule]
    taken: Mapping[str, int]


def emit(model: Filter, *, tried: Mapping[str, int] = NONE_TRIED, bound: int = MAX_ENTRIES) -> Emission:
    """The OCI object of a filter: entries of one system call are disjoint, so their order does not matter.

    A rule is written in the first of its `forms`, from that on which ``tried`` has, that needs no more than ``bound``
    entries.
    """
    groups: dict[tuple[ConditionEntry, ...], list[str]] = {}
    plainer, taken = {}, {}
    for name, rule in model.normal().rules.items():
        taken[name], written, found = _written(rule, model.default, bound, tried.get(name, 0))
        if written != rule:
            plainer[name] = written
        if found:
            groups.setdefault(found, []).append(name)
    ordered = sorted(groups.items(), key=lambda item: (len(item[0]) > 1 or bool(item[0][0].comparisons), item[1]))
    document: dict[str, Any] = {"defaultAction": _action_name(model.default)}
    if model.default.kind in (ActionKind.ERRNO, ActionKind.TRACE):
        document["defaultErrnoRet"] = model.default.data
    document["architectures"] = [oci_architecture(name) for name in sorted(model.architectures)]
    if model.flags:
        document["flags"] = sorted(FLAGS[flag] for flag in model.flags)
    document["syscalls"] = [_syscall(names, entry) for found, names in ordered for entry in found]
    return Emission(document, MappingProxyType(plainer), MappingProxyType(taken))


def _written(rule: Rule, default: Action, bound: int, first: int) -> tuple[int, Rule, tuple[ConditionEntry, ...]]:
    """The first form from ``first`` on that needs no more entries than ``bound``, and these; the last one needs one at most.
    Masks, which need more of them, are for what libseccomp did not take without."""
    if not first:
        with suppress(TooManyEntries):
            return 0, rule, entries(rule, default, bound)
    for number, form in enumerate(forms(rule, default)[first:], first):
        if form.style is Style.NATIVE or number == first:
            with suppress(TooManyEntries):
                return number, form.rule, entries(form.rule, default, bound, form.style)
    raise AssertionError("a rule without conditions needs one entry")


@lru_cache(maxsize=1024)
def forms(rule: Rule, default: Action) -> tuple[Form, ...]:
    """All ways to write a rule, from the exact one to one answer for every call: each of `flatter`, as comparisons come, and
    as masks."""
    *levels, last = flatter(rule, default)
    return (*(Form(level, style) for level in levels for style in Style), Form(last, Style.NATIVE))


@lru_cache(maxsize=1024)
def flatter(rule: Rule, default: Action) -> tuple[Rule, ...]:
    """A rule, and ever plainer ones, none looser than any before it for any arguments: one errno for all that get any, that
    of the ``default``, one denial, one answer for all that run; then with ever fewer entries for later arguments than the
    first, at last the strictest action for every call. What may run is given up last."""
    if rule.is_constant:
        return (rule,)
    candidates = [rule, _with_one(rule, _is_errno)]
    if default.kind is ActionKind.ERRNO:
        candidates.append(apply(lambda action: default if _is_errno(action) else action, rule))
    for alike in (is_denial, lambda action: not is_denial(action)):
        candidates.append(_with_one(candidates[-1], alike))
    candidates += [coarser(candidates[-1], default, most) for most in PARTS]
    return tuple(dict.fromkeys([*candidates, constant(strictest(rule))]))


def _is_errno(action: Action) -> bool:
    return action.kind is ActionKind.ERRNO


def _with_one(rule: Rule, alike: Callable[[Action], bool]) -> Rule:
    """The rule with one action in the place of all that are ``alike``: the strictest, of equally strict ones that which
    answers most arguments."""
    shares = {action: share for action, share in rule.shares().items() if alike(action)}
    if len(shares) < 2:
        return rule
    chosen = max(shares, key=lambda action: (action.kind, shares[action], -action.data))
    return apply(lambda action: chosen if alike(action) else action, rule)


def strictest(rule: Rule) -> Action:
    """The strictest action that a rule has for any argument vector."""
    result, *others = rule.leaves
    for action in others:
        result = stricter(action, result)
    return result


def architecture_of(machine: str) -> str:
    """The architecture, as libseccomp names it, of a machine as uname(2) names it."""
    return _MACHINES.get(machine, machine)


def oci_architecture(name: str) -> str:
    """``x86_64`` -> ``SCMP_ARCH_X86_64``."""
    return f"SCMP_ARCH_{name.upper()}"


def _action_name(action: Action) -> str:
    return f"SCMP_ACT_{action.kind.name}"


def _syscall(names: Sequence[str], entry: ConditionEntry) -> dict[str, Any]:
    item: dict[str, Any] = {"names": list(names), "action": _action_name(entry.action)}
    if entry.action.kind in (ActionKind.ERRNO, ActionKind.TRACE):
        item["errnoRet"] = entry.action.data
    if entry.comparisons:
        item["args"] = [_argument(comparison) for comparison in entry.comparisons]
    return item


def _argument(comparison: Comparison) -> dict[str, Any]:
    name = f"SCMP_CMP_{comparison.op.name}"
    if comparison.op is Op.MASKED_EQ:
        return {"index": comparison.index, "value": comparison.mask, "valueTwo": comparison.value, "op": name}
    return {"index": comparison.index, "value": comparison.value, "op": name}


@frozen(eq=False)
class FilterReading:
    """A filter read from an OCI object. ``ambiguous`` names system calls with overlapping entries of different actions:
    runtimes disagree about those, the model holds the strictest. ``pretended`` holds the JSON pointer and the names of
    each errno 0, with which a call that never ran seems to succeed; the model holds EPERM."""

    model: Filter
    ambiguous: tuple[str, ...] = ()
    pretended: tuple[tuple[str, tuple[str, ...]], ...] = ()


def read(document: object, *, native: str, origin: object | None = None, pointer: str = POINTER) -> FilterReading:
    """Read an OCI object as the runtimes do; ``native`` is the architecture where the object names none.

    Raises `SpecError` with the JSON pointer for what is malformed, and for a listener, which there is none of.
    """
    top = _object(
        document,
        ("defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"),
        origin,
        pointer,
    )
    for key in ("listenerPath", "listenerMetadata"):
        if top.get(key):
            raise SpecError(f"{pointer}/{key}: {NO_LISTENER}", origin=origin, hint=INSTEAD)
    pretended: list[tuple[str, tuple[str, ...]]] = []
    number = top.get("defaultErrnoRet")
    if _pretends(top.get("defaultAction"), number):
        pretended.append((f"{pointer}/defaultErrnoRet", (WILDCARD,)))
        number = errno.EPERM
    default = read_action(top.get("defaultAction"), number, origin, f"{pointer}/defaultAction")
    found: dict[str, list[ConditionEntry]] = {}
    for index, item in enumerate(_list(top.get("syscalls"), origin, f"{pointer}/syscalls")):
        place = f"{pointer}/syscalls/{index}"
        fields = _object(item, ("names", "action", "errnoRet", "args"), origin, place)
        names = read_names(fields.get("names"), origin, f"{place}/names")
        number = fields.get("errnoRet")
        if _pretends(fields.get("action"), number):
            pretended.append((f"{place}/errnoRet", tuple(names)))
            number = errno.EPERM
        action = read_action(fields.get("action"), number, origin, f"{place}/action")
        cases = read_cases(fields.get("args"), origin, f"{place}/args")
        for name in names:
            found.setdefault(name, []).extend(ConditionEntry(action, case) for case in cases)
    rules = {}
    for name, listed in found.items():
        with judged_at(f"{origin or ''}{pointer}/syscalls ({name})"):
            rules[name] = rule_of(listed, default)
    model = Filter(
        default=default,
        rules=rules,
        architectures=_architectures(top.get("architectures"), native, origin, f"{pointer}/architectures"),
        flags=_flags(top.get("flags"), origin, f"{pointer}/flags"),
    )
    ambiguous = sorted(name for name, listed in found.items() if is_ambiguous(listed))
    return FilterReading(model.normal(), tuple(ambiguous), tuple(pretended))


def _pretends(action: object, number: object) -> bool:
    return action == "SCMP_ACT_ERRNO" and number == 0 and not isinstance(number, bool)


def _object(value: object, keys: Sequence[str], origin: object | None, pointer: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{pointer} is not an object", origin=origin)
    unknown = sorted(set(value) - set(keys))
    if unknown:
        raise SpecError(
            f"{pointer} has the unknown key {unknown[0]!r}", origin=origin, hint="known: " + ", ".join(keys)
        )
    return value


def _list(value: object, origin: object | None, pointer: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise SpecError(f"{pointer} is not an array", origin=origin)
    return value


def _number(value: object, low: int, high: int, origin: object | None, pointer: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SpecError(f"{pointer} is not a number from {low} to {high}", origin=origin)
    return value


def read_action(name: object, data: object, origin: object | None, pointer: str) -> Action:
    """An action from its OCI name and the errno beside it (EPERM where there is none). `SpecError` for what is unknown,
    and for errno 0."""
    if name == "SCMP_ACT_NOTIFY":
        raise SpecError(
            f"{pointer}: SCMP_ACT_NOTIFY needs a supervisor, and {NO_LISTENER}", origin=origin, hint=INSTEAD
        )
    kind = _ACTIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SpecError(f"{pointer}: unknown action {name!r}", origin=origin, hint="one of " + ", ".join(_ACTIONS))
    if kind not in (ActionKind.ERRNO, ActionKind.TRACE):
        return Action(kind)
    if data is None:
        return Action(kind, errno.EPERM)
    high = MOST_ERRNO if kind is ActionKind.ERRNO else RET_DATA
    place = f"{pointer.rpartition('/')[0]}/{'defaultErrnoRet' if pointer.endswith('defaultAction') else 'errnoRet'}"
    read = Action(kind, _number(data, 0, high, origin, place))
    if read == Action(ActionKind.ERRNO, 0):
        raise SpecError(f"{place}: {SUCCESS}", origin=origin, hint="write 1 (EPERM) or 38 (ENOSYS)")
    return read


def read_names(value: object, origin: object | None, pointer: str) -> Sequence[str]:
    """The names of one entry; at least one, and none that C, or no text, would hold in part."""
    names = _list(value, origin, pointer)
    if not names or not all(isinstance(name, str) and name and name.isascii() and name.isprintable() for name in names):
        raise SpecError(f"{pointer} is not a list of system call names", origin=origin)
    return names


def read_cases(value: object, origin: object | None, pointer: str) -> list[tuple[Comparison, ...]]:
    """The alternatives that the ``args`` of one entry describe.

    All conditions must hold; but where one argument index is repeated, runtimes make each condition its own alternative.
    """
    comparisons = [
        _comparison(item, origin, f"{pointer}/{number}") for number, item in enumerate(_list(value, origin, pointer))
    ]
    if len({comparison.index for comparison in comparisons}) < len(comparisons):
        return [(comparison,) for comparison in comparisons]
    return [tuple(comparisons)]


def _comparison(item: object, origin: object | None, pointer: str) -> Comparison:
    fields = _object(item, ("index", "value", "valueTwo", "op"), origin, pointer)
    op = _OPERATORS.get(str(fields.get("op")))
    if op is None:
        known = ", ".join(_OPERATORS)
        raise SpecError(f"{pointer}: unknown operator {fields.get('op')!r}", origin=origin, hint=f"one of {known}")
    index = _number(fields.get("index"), 0, ARGUMENTS - 1, origin, f"{pointer}/index")
    value = _number(fields.get("value"), 0, MAX_ARGUMENT, origin, f"{pointer}/value")
    second = _number(fields.get("valueTwo") or 0, 0, MAX_ARGUMENT, origin, f"{pointer}/valueTwo")
    if op is Op.MASKED_EQ:
        # libseccomp looks at the masked bits of the value only.
        return Comparison(index, op, second & value, value)
    return Comparison(index, op, value)


def _architectures(value: object, native: str, origin: object | None, pointer: str) -> frozenset[str]:
    names = _list(value, origin, pointer)
    known = {oci_architecture(name): name for name in ARCHITECTURES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SpecError(f"{pointer}: unknown architecture {unknown[0]!r}", origin=origin)
    # A runtime's filter holds its own architecture even where the list does not.
    return frozenset([native, *(known[name] for name in names)])


def _flags(value: object, origin: object | None, pointer: str) -> frozenset[str]:
    names = _list(value, origin, pointer)
    for index, name in enumerate(names):
        if name == OF_LISTENERS:
            raise SpecError(
                f"{pointer}/{index}: {name} is for a listener, and {NO_LISTENER}", origin=origin, hint=INSTEAD
            )
        if name not in _FLAG_WORDS:
            hint = "known: " + ", ".join(FLAGS.values())
            raise SpecError(f"{pointer}/{index}: unknown flag {name!r}", origin=origin, hint=hint)
    return frozenset(_FLAG_WORDS[name] for name in names)
