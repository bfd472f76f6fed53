"""`docs/reference/seccomp.md`, "Where libseccomp's programs are wrong": two filters of which it, and with it crun and runc,
makes programs that let through what the filter denies, and ours does not."""

from __future__ import annotations

import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, Action, is_denial
from hardening_seccomp.build import build, token_of
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter, rule_is_no_looser_than
from hardening_seccomp.multiplex import guard
from hardening_seccomp.oci import emit
from hardening_seccomp.spans import kernel_token
from tests.plugins.seccomp import kernel
from tests.support.features import require

LIBRARY = Libseccomp.load()
AF_INET, SYS_SOCKET = 2, 1
#: The versions that were seen to make the wrong chain; ours is held whatever the version is.
FAULTY = ((2, 6, 0), (2, 6, 1))
#: Long messages are denied, on three architectures, of which one has a carrier with a rule of its own.
LONG = Filter(
    ALLOW,
    {
        "socketcall": constant(KILL_PROCESS),
        "sendto": rule_of([ConditionEntry(EPERM, (Comparison(2, Op.GE, 3),))], ALLOW),
    },
    frozenset({"x86_64", "x86", "x32"}),
)
#: What docker's profile does: one family of sockets is denied, and socketcall is allowed.
FAMILIES = Filter(
    ENOSYS,
    {
        "socketcall": constant(ALLOW),
        "socket": rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, AF_INET),))], ENOSYS),
    },
    frozenset({"x86_64", "x86"}),
)


def answer(program: bytes, architecture: str, name: str, *arguments: int) -> Action:
    number = LIBRARY.names(token_of(LIBRARY, architecture))[name]
    return bpf.evaluate(bpf.decode(program), kernel_token(LIBRARY, architecture), number, arguments).action


def ours(model: Filter) -> bytes:
    return compile_filter(guard(model, LIBRARY), LIBRARY).program


def test_a_chain_that_forgets_to_load_the_number() -> None:
    chain = build(emit(LONG).document, LIBRARY, tree=False)
    for architecture in ("x86_64", "x32"):
        theirs = answer(chain, architecture, "sendto", 0, 0, 5)
        assert theirs == ALLOW or LIBRARY.version not in FAULTY
        assert is_denial(answer(ours(LONG), architecture, "sendto", 0, 0, 5))
    compiled = compile_filter(guard(LONG, LIBRARY), LIBRARY)
    assert all(rule_is_no_looser_than(rule, LONG.rule(name)) for name, rule in compiled.written.items())


def test_the_kernel_runs_what_that_chain_lets_through() -> None:
    require("x86_64")
    require("seccomp")
    names = LIBRARY.names(LIBRARY.native())
    calls = [(names["sendto"], (-1 & bpf.U32, 0, 5))]
    assert kernel.answers(names["seccomp"], [ours(LONG)], calls) == ["EPERM"]
    theirs = kernel.answers(names["seccomp"], [build(emit(LONG).document, LIBRARY, tree=False)], calls)
    assert theirs == ["EBADF"] or LIBRARY.version not in FAULTY  # it ran: there is no such descriptor


@pytest.mark.parametrize("tree", [True, False])
def test_a_carrier_that_goes_round_the_rule_of_what_it_carries(tree: bool) -> None:
    theirs = build(emit(FAMILIES).document, LIBRARY, tree=tree)
    assert answer(theirs, "x86", "socketcall", SYS_SOCKET) == ALLOW
    assert is_denial(answer(ours(FAMILIES), "x86", "socketcall", SYS_SOCKET))
    # Without a rule for it, too: libseccomp adds one by itself.
    rules = {"socket": FAMILIES.rule("socket")}
    added = Filter(ENOSYS, rules, FAMILIES.architectures)
    assert answer(build(emit(added).document, LIBRARY, tree=tree), "x86", "socketcall", SYS_SOCKET) == ALLOW
    assert is_denial(answer(ours(added), "x86", "socketcall", SYS_SOCKET))
