"""Whether the filter is the reason of a system call that failed: the answer of the compiled program itself to this call, of
this architecture and with these arguments."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator

import attrs

from hardening.base.linux import abi
from hardening.base.linux.libseccomp import Libseccomp
from hardening.mechanism.denial import Cause, Size, SystemCall, Way
from hardening.mechanism.evidence import LENDING, telling
from hardening.mechanism.mechanism import Context
from hardening_seccomp import bpf, equivalents, groups, multiplex, suid
from hardening_seccomp.actions import ALLOW, DENY, ENOSYS, Action, ActionKind, is_denial, is_fatal
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, Op, Rule, where
from hardening_seccomp.diagrams import apply, constant, select
from hardening_seccomp.filters import Filter
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import ARCHITECTURES
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spans import kernel_token
from hardening_seccomp.spec import filter_of, is_young, may_set_capabilities, unrestricted

#: Errnos of `suid.restricted`, which no rule of a layer says.
_RESTRICTED = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP})
#: Calls of which no use is more dangerous than another: what permits one permits all.
_ALIKE = frozenset({"ptrace", *LENDING})


def denied(settings: SeccompSettings, context: Context, call: SystemCall) -> Iterator[Cause]:
    """The leaves by which the filter answers as the kernel did; of a call without an outcome, by which it denies it."""
    if context.lacks("seccomp.*") or not _may_answer(settings, call):
        return
    library = context.host.of(SeccompFacts).required_library()
    model = filter_of(settings, context)
    action = bpf.evaluate(context.once(_program, settings), call.architecture, call.number, call.arguments).action
    outcome = _outcome(action)
    if not outcome or call.outcome not in ("", outcome):
        return
    if call.any_arguments and not all(map(_outcome, model.rule(call.name).leaves)):
        return
    known = {kernel_token(library, name): name for name in model.architectures}
    if call.architecture not in known or (call.number & abi.X32_SYSCALL_BIT and "x32" not in model.architectures):
        yield from _of_architecture(call, outcome, library)
        return
    by_layers = unrestricted(settings, context)
    what = _words(call, outcome)
    if not context.host.of(SeccompFacts).knows(call.name) or is_young(call.name, library):
        advice = "libseccomp does not know this call, so no profile can allow it: update libseccomp"
        yield Cause("seccomp.*", what, advice=advice, certain=True)
        return
    if _denies(by_layers.rule(call.name), call):
        yield from _of_call(settings, by_layers, call, action, what)
    restriction = context.once(_restriction, settings).rule(call.name).value(call.arguments)
    if settings.restrict_suid_sgid and _outcome(restriction) == outcome:
        leaf = f"seccomp.{suid.SETTING}"
        what = f"{what}, by {suid.SETTING}"
        yield Cause(
            leaf, what, (Way(leaf, False, Size.WIDER),), certain=True, fallback=_fallback(call.name, restriction)
        )


def _program(settings: SeccompSettings, context: Context) -> bpf.Program:
    library = context.host.of(SeccompFacts).required_library()
    return bpf.decode(compile_filter(filter_of(settings, context), library).program)


def _may_answer(settings: SeccompSettings, call: SystemCall) -> bool:
    """Whether some argument can get this outcome, as far as it takes no compilation to see it: most calls that fail look for
    a file that is not there."""
    if not call.error:
        return call.outcome in ("", "SIGSYS") and not call.is_end
    rule = settings.syscalls[call.name]
    return call.error in _RESTRICTED or any(_outcome(action) == call.outcome for action in rule.leaves)


def _outcome(action: Action) -> str:
    """What the caller gets for an answer; empty where the call runs."""
    if is_fatal(action):
        return "SIGSYS"
    if action.kind is ActionKind.TRACE:
        return "ENOSYS"  # without a tracer that takes it (seccomp(2))
    return errno.errorcode.get(action.data, str(action.data)) if is_denial(action) else ""


def _denies(rule: Rule, call: SystemCall) -> bool:
    return bool(_outcome(rule.value(call.arguments)))


def _words(call: SystemCall, outcome: str) -> str:
    numbers = ", ".join(f"{call.arguments[index] & bits:#x}" for index, bits in _telling(call))
    asked = f"{call.name}({numbers})" if numbers else call.name
    return f"seccomp ends the process for {asked}" if outcome == "SIGSYS" else f"seccomp answers {outcome} to {asked}"


def _telling(call: SystemCall) -> Collection[tuple[int, int]]:
    """The arguments that tell this use of a call from others, with their bits that do."""
    is_alike = call.name in _ALIKE and not call.is_question  # who asks has said which
    return () if call.any_arguments or is_alike else telling(call).items()


def _of_architecture(call: SystemCall, outcome: str, library: Libseccomp) -> Iterator[Cause]:
    """A call of an architecture that the filter does not have."""
    names = ["x32"] if call.number & abi.X32_SYSCALL_BIT else ARCHITECTURES
    for name in names:
        if library.architecture(name) is not None and kernel_token(library, name) == call.architecture:
            leaf = f"seccomp.architectures.{name}"
            what = f"{_words(call, outcome)}: it is a call of {name}"
            yield Cause(leaf, what, (Way(leaf, True, Size.WIDER),), certain=True)
            return


def _of_call(
    settings: SeccompSettings, by_layers: Filter, call: SystemCall, action: Action, what: str
) -> Iterator[Cause]:
    """What layers say of the call itself, or of those that it carries."""
    behind = multiplex.culprits(by_layers, call.name) if call.name in multiplex.CARRIED else ()
    if behind:
        advice = f"it can carry {', '.join(behind)}, with arguments that no filter sees: allow all of them, or none"
        yield Cause(f"seccomp.{behind[0]}", what, advice=advice, certain=True)
        return
    leaf = f"seccomp.{call.name}"
    ways = tuple(_ways(leaf, settings.syscalls[call.name], call, action))
    alike = equivalents.families().get(call.name, frozenset())
    yield Cause(leaf, what, ways, certain=True, fallback=_fallback(call.name, action), equivalent=alike - {call.name})


def _fallback(name: str, action: Action) -> frozenset[str] | None:
    """What programs call after an answer; None where that is the end."""
    data = groups.load()
    return data.replacements.get(name) if action == ENOSYS or name in data.lenient else None


def _ways(leaf: str, rule: Rule, call: SystemCall, action: Action) -> Iterator[Way]:
    """Another errno, the call with these arguments, all of the call."""
    falls_back = call.name in groups.load().fallbacks
    if is_fatal(action) or (falls_back and action != ENOSYS):
        yield Way(leaf, apply(lambda was: DENY if is_denial(was) else was, rule), Size.ANSWER)
    asked = where(Comparison(index, Op.MASKED_EQ, call.arguments[index] & bits, bits) for index, bits in _telling(call))
    if not asked.is_constant:
        yield Way(leaf, select(asked, constant(ALLOW), rule), Size.CALL)
    yield Way(leaf, constant(ALLOW), Size.CALL)


def _restriction(settings: SeccompSettings, context: Context) -> Filter:
    """What `suid` denies by itself: of a filter that allows everything."""
    everything = attrs.evolve(unrestricted(settings, context), default=ALLOW, rules={})
    return suid.restricted(everything, may_set_capabilities=may_set_capabilities(context))
