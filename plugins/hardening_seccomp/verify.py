"""Hold the filter of a process against the composed one.

Where it could be read back (ptrace(2), PTRACE_SECCOMP_GET_FILTER), every system call with every argument vector is compared,
whoever compiled it. Else there is the digest of what the launcher has loaded, or given to the runtime, and how many
filters the process has beyond those of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from hardening.base import digest
from hardening.base.linux import abi
from hardening.base.linux.libseccomp import Libseccomp
from hardening.errors import SpecError
from hardening.mechanism.mechanism import Context, Verification
from hardening_seccomp import bpf
from hardening_seccomp.actions import EPERM
from hardening_seccomp.answers import AnswerReader
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.filters import rule_is_no_looser_than
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import strictest
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.spans import KILLED, WIDE, Span, overlaps, wanted
from hardening_seccomp.spec import filter_of

_LEAF, _FLAGS = "seccomp.*", "seccomp.flags.spec-allow"
#: What else the program tells.
_ALSO = ("seccomp.architectures.*", "seccomp.restrict_suid_sgid")
OTHER_CALLS, OTHER_ARCHITECTURE = "numbers of no known call", "calls of another architecture"
_MANY = 1024  # numbers of one span whose names are told
#: What the kernel says of a mitigation that a filter brings unless it is asked not to, where there is one or none is
#: needed (arch_prctl_spec_ctrl_get in proc_pid_status(5)).
_SAFE = ("not vulnerable", "not affected", "thread force mitigated", "globally mitigated", "conditional force disabled",
         "always disabled")  # fmt: skip


def verify(settings: SeccompSettings, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
    """The filter, its architectures and its flags."""
    if context.host.of(SeccompFacts).library is None:
        yield Verification.unseen(_LEAF, str(strictest(settings.syscalls.rest)), "there is no libseccomp here", *_ALSO)
        return
    loaded = receipt["seccomp"]["digest"] in context.once(_digests, settings)
    expected = context.once(_expected, settings)
    programs = receipt["seccomp"]["filters"]
    if programs is not None:
        yield from _read_back(context.once(_judge, settings), programs, expected)
    elif context.has_run and receipt["status"].get("Seccomp") == "2":
        yield Verification.unseen(_LEAF, expected, "its filters may not be read", *_ALSO)
    else:
        beyond = _beyond(receipt)
        words = f"the digest of {'this' if loaded else 'another'} filter, {beyond} beyond the caller's"
        yield Verification.of(_LEAF, expected, words, loaded and beyond == 1, *_ALSO)
    yield _flags(settings, receipt, loaded=loaded)


def _beyond(receipt: Mapping[str, Any]) -> int:
    """How many filters the process has that the caller has not; 0 where the kernel does not count them."""
    text, own = receipt["status"].get("Seccomp_filters", ""), receipt["seccomp"]["caller"]
    return int(text) - own if text.isdecimal() and own is not None else 0


def _expected(settings: SeccompSettings, context: Context) -> str:
    whole, partly = settings.permitted(context.host.of(SeccompFacts).native_names)
    return f"{whole} calls, {partly} more with some arguments, else {strictest(settings.syscalls.rest)}"


def _digests(settings: SeccompSettings, context: Context) -> tuple[str, str]:
    """Of this very filter, as a launcher has given it to a runtime, and as it has loaded it."""
    compiled = compile_filter(filter_of(settings, context), context.host.of(SeccompFacts).required_library())
    given = digest.sha256(digest.canonical(compiled.document))
    return given, digest.of_filter(compiled.document, compiled.program)


def _flags(settings: SeccompSettings, receipt: Mapping[str, Any], *, loaded: bool) -> Verification:
    """Which flags a filter was loaded with no program tells. Without spec-allow the kernel mitigates, where it does for
    filters at all (spec_store_bypass_disable=seccomp)."""
    status = receipt["status"]
    fields = [status.get(key, "") for key in ("Speculation_Store_Bypass", "SpeculationIndirectBranch")]
    flags = [name for name, held in (("log", settings.log), ("spec-allow", settings.spec_allow)) if held]
    expected = ", ".join(flags) or "none"
    if loaded:
        return Verification.of(_FLAGS, expected, f"as loaded: {expected}", True)
    if settings.spec_allow or all(field in _SAFE for field in fields):
        return Verification.of(_FLAGS, expected, "; ".join(filter(None, fields)) or "no mitigation is told", True)
    return Verification.unseen(_FLAGS, expected, "another filter was loaded, and no program tells its flags")


def _judge(settings: SeccompSettings, context: Context) -> Callable[[str], list[str]]:
    """What tells the calls that a program, in hexadecimal, answers more loosely, once of each: many processes have the
    same. It raises `SpecError` or `ValueError` for one that cannot be judged."""
    library = context.host.of(SeccompFacts).required_library()
    spans = wanted(filter_of(settings, context), library)

    @cache
    def looser(text: str) -> list[str]:
        return sorted(set(_looser(spans, bpf.decode(bytes.fromhex(text)), library)), key=_order)

    return looser


def _read_back(judge: Callable[[str], list[str]], programs: Sequence[str], expected: str) -> Iterator[Verification]:
    """The kernel takes the strictest answer of all filters, so that one which is strict enough is enough."""
    if not programs:
        yield Verification.of(_LEAF, expected, "no filter", False, *_ALSO)
        return
    problems = []
    for text in programs:
        try:
            looser = judge(text)
        except (SpecError, ValueError) as error:
            problems.append(f"a filter that cannot be judged: {error}")
            continue
        if not looser:
            yield Verification.of(_LEAF, expected, "read back: no call is answered more loosely", True, *_ALSO)
            return
        problems.append(f"looser: {', '.join(looser[:8])}{' and others' if len(looser) > 8 else ''}")
    judged = any(problem.startswith("looser") for problem in problems)
    make = Verification.of(_LEAF, expected, problems[0], False, *_ALSO)
    yield make if judged else Verification.unseen(_LEAF, expected, problems[0], *_ALSO)


def _order(name: str) -> tuple[bool, str]:
    """Names first."""
    return name in (OTHER_CALLS, OTHER_ARCHITECTURE), name


def _looser(spans: Mapping[int, Sequence[Span]], program: bpf.Program, library: Libseccomp) -> Iterator[str]:
    """The system calls that a program answers more loosely than `wanted`, for any argument vector, with words for
    numbers that no call has, and for architectures that the filter has not. A number that no call has may be denied in any
    way."""
    reader = AnswerReader.of(program)
    for token in {*reader.architectures, *spans}:
        for first, last, found, expected in overlaps(
            reader.answers(token), spans.get(token, (Span(0, bpf.U32, KILLED),))
        ):
            if rule_is_no_looser_than(found, expected):
                continue
            denied = all(action.is_no_looser_than(EPERM) for action in found.leaves)
            x32 = bool(token & WIDE) and first >= abi.X32_SYSCALL_BIT
            numbers = range(first, min(last, first + _MANY) + 1) if token in spans and not x32 else ()
            named = {name for number in numbers if (name := library.name(token, number)) is not None}
            yield from named
            if not denied and not named:
                yield OTHER_CALLS if token in spans else OTHER_ARCHITECTURE
