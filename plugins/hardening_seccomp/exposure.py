"""Which system calls that reach deep into the kernel a filter lets through, and the filters that the kernel reports."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from functools import reduce
from typing import Any

from hardening.base.linux.libseccomp import Libseccomp
from hardening.base.pointer import lookup
from hardening.base.text import listed
from hardening.errors import SpecError
from hardening.mechanism.exposure import Exposure
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening_seccomp import bpf, groups
from hardening_seccomp.actions import ALLOW, is_denial
from hardening_seccomp.answers import AnswerReader
from hardening_seccomp.conditions import Rule
from hardening_seccomp.diagrams import ARGUMENTS
from hardening_seccomp.filters import Filter, intersect
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import POINTER, emit, read, strictest
from hardening_seccomp.spans import KILLED, kernel_token

#: Groups of which no call should get through, and what that weighs: as SystemCallFilter= does in systemd-analyze, where it
#: has such a group.
_GROUPS = {
    "@mount": ("mount, and make namespaces", 1000.0),
    "@debug": ("trace other processes", 1000.0),
    "@module": ("load kernel modules", 1000.0),
    "@raw-io": ("use ports and memory of devices", 1000.0),
    "@bpf": ("load programs into the kernel", 1000.0),
    "@clock": ("set clocks", 1000.0),
    "@reboot": ("restart the machine", 1000.0),
    "@swap": ("change swap space", 1000.0),
    "@keyring": ("use the kernel's key rings", 500.0),
    "@io-uring": ("make requests that no filter sees", 500.0),
    "@host": ("change what the whole machine has", 500.0),
    "@obsolete": ("use calls that nothing needs", 250.0),
}
#: Single calls with arguments: setting below the table -> the call, its arguments, what it does, and its weight.
_CALLS: Mapping[str, tuple[str, tuple[int, ...], str, float]] = {
    "clone": ("clone", (0x10000000,), "make user namespaces", 1500.0),  # CLONE_NEWUSER
    "socket": ("socket", (17, 3, 0), "make packet sockets", 1000.0),  # AF_PACKET, SOCK_RAW
    "ioctl": ("ioctl", (0, 0x5412, 0), "type into its terminal", 250.0),  # TIOCSTI
    "personality": ("personality", (0x0040000,), "switch off address randomization", 100.0),  # ADDR_NO_RANDOMIZE
    "restrict_suid_sgid": ("fchmod", (0, 0o4755), "make set-user-ID programs", 1000.0),
}
_ARCHITECTURES = 500.0
#: Other architectures whose calls a kernel for the first one may take.
_SIBLINGS = {"x86_64": ("x86",), "aarch64": ("arm",), "s390x": ("s390",), "ppc64": ("ppc",)}
_NO_CALL = 1023  # the number of none


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """An item a group, and one for each call of which the arguments decide. Without a filter all get through."""
    native = host.of(SeccompFacts).native
    found = lookup(document, POINTER)
    members = groups.load().members
    asked = {call for call, *_ in _CALLS.values()}.union(*(members[group] for group in _GROUPS))
    model = read(_only(found, asked), native=native).model if found else Filter(ALLOW)
    for group, (meaning, weight) in _GROUPS.items():
        passed = sorted(name for name in members[group] if not all(map(is_denial, model.rule(name).leaves)))
        named = listed(passed, rest="others") if found else "no filter"
        yield Exposure(group, meaning, weight, 1.0 if passed else 0.0, named)
    for name, (call, arguments, meaning, weight) in _CALLS.items():
        answer = model.rule(call).value([*arguments, *[0] * (ARGUMENTS - len(arguments))])
        yield Exposure(name, meaning, weight, 0.0 if is_denial(answer) else 1.0, "" if found else "no filter")
    beyond = sorted(model.architectures - {native})
    share, words = (0.5 if beyond else 0.0, ", ".join(beyond)) if found else (1.0, "no filter")
    yield Exposure("architectures", "make calls of other architectures", _ARCHITECTURES, share, words)


def _only(found: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """A filter with the entries of some calls alone, which are read in a fraction of the time."""
    entries = [(entry, [name for name in entry["names"] if name in names]) for entry in found.get("syscalls") or ()]
    return {**found, "syscalls": [{**entry, "names": kept} for entry, kept in entries if kept]}


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """What all filters of a process let through together, as far as names of calls tell; nothing where there is none, where
    they may not be read, and where one does more than compare."""
    facts = host.of(SeccompFacts)
    programs = receipt["seccomp"]["filters"]
    if facts.library is None or not programs:
        return
    try:
        models = [_model(bytes.fromhex(text), facts.native, facts.library) for text in programs]
    except (SpecError, ValueError):
        return
    fragment.put(POINTER, emit(reduce(intersect, models)).document)


def _model(program: bytes, native: str, library: Libseccomp) -> Filter:
    """A filter by the names of this machine's calls. Raises `SpecError` for a program that cannot be judged."""
    reader = AnswerReader.of(bpf.decode(program))
    token = kernel_token(library, native)
    spans = reader.answers(token)
    firsts = [span.first for span in spans]

    def rule(number: int) -> Rule:
        return spans[bisect_right(firsts, number) - 1].rule

    rules = {name: rule(number) for name, number in library.names(token).items()}
    architectures = {native}
    for other in _SIBLINGS.get(native, ()):
        sibling = library.architecture(other)
        if sibling is not None and any(span.rule != KILLED for span in reader.answers(sibling)):
            architectures.add(other)
    default = strictest(rule(_NO_CALL))
    return Filter(default, rules, frozenset(architectures)).normal()
