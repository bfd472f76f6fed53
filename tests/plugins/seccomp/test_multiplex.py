"""socketcall(2) and ipc(2) never do what a call behind them may not: asked of the kernel by 32-bit system calls."""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from pathlib import Path

import pytest

from hardening.base.linux.libseccomp import Libseccomp
from hardening.mechanism.fragment import Fragment
from hardening_seccomp import Seccomp, bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM, KILL_PROCESS, LOG, Action, ActionKind
from hardening_seccomp.build import token_of
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, Rule, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter, is_no_looser_than
from hardening_seccomp.multiplex import CARRIED, guard
from hardening_seccomp.oci import read
from hardening_seccomp.spec import FILE, filter_of
from hardening_seccomp.symbolic import meaning
from tests.plugins.seccomp import kernel
from tests.plugins.seccomp.stacks import context, settings
from tests.support.features import require

LIBRARY = Libseccomp.load()
OPEN = {name: constant(ALLOW) for name in ("socketcall", *CARRIED["socketcall"])}
ONLY_INET = rule_of([ConditionEntry(ALLOW, (Comparison(0, Op.EQ, 2),))], EPERM)
WITH_X86 = 'architectures.add = ["x86"]\n'
BY_GROUP = f'[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@default"]\n{WITH_X86}'
NAMES = ", ".join(f'"{name}"' for name in OPEN)
BY_NAME = f'[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@default", {NAMES}]\n{WITH_X86}'

#: int f(int number, int first, int second): rbx is kept; mov edi, esi, edx to eax, ebx, ecx; int 0x80; sign-extend.
INT_80 = bytes.fromhex("5389f889f389d1cd804863c05bc3")
SOCKETCALL, SOCKET, SYS_SOCKET, AF_UNIX, AF_VSOCK = 102, 359, 1, 1, 40


def answered(rules: dict[str, Rule], default: Action = ENOSYS, names: tuple[str, ...] = ("x86_64", "x86")) -> Rule:
    """What the compiled program answers to socketcall of the last architecture."""
    compiled = compile_filter(guard(Filter(default, rules, frozenset(names)), LIBRARY).normal(), LIBRARY)
    assert not compiled.written
    token = token_of(LIBRARY, names[-1])
    return meaning(bpf.decode(compiled.program), token, LIBRARY.names(token)["socketcall"])


@pytest.mark.parametrize(
    ("changed", "default", "answer"),
    [
        ({}, ENOSYS, ALLOW),
        ({"connect": constant(LOG)}, ENOSYS, LOG),
        ({"socket": ONLY_INET}, ENOSYS, EPERM),
        ({"socket": ONLY_INET}, EPERM, ENOSYS),
        ({"connect": constant(EPERM)}, ALLOW, ENOSYS),
        ({"connect": constant(KILL_PROCESS)}, ENOSYS, KILL_PROCESS),
        ({"connect": constant(KILL_PROCESS)}, KILL_PROCESS, Action(ActionKind.KILL_THREAD)),
        ({"socketcall": constant(Action(ActionKind.ERRNO, 7))}, ENOSYS, Action(ActionKind.ERRNO, 7)),
        ({"socketcall": constant(ENOSYS)}, ENOSYS, EPERM),
        ({"send": constant(EPERM)}, ENOSYS, EPERM),
    ],
)
def test_a_carrier_does_no_more_than_what_it_carries(changed: dict[str, Rule], default: Action, answer: Action) -> None:
    assert answered({**OPEN, **changed}, default) == constant(answer)


@pytest.mark.parametrize("default", [LOG, Action(ActionKind.TRACE, 3)])
@pytest.mark.parametrize("names", [("x86_64", "x86"), ("mipsel64", "mipsel")])
def test_where_nothing_is_denied_each_call_is_answered_as_by_its_own_number(
    default: Action, names: tuple[str, ...]
) -> None:
    rules = {"socket": constant(ALLOW), "socketpair": constant(ALLOW)}
    found = answered(rules, default, names)
    assert {call: found.value((call, 0, 0, 0, 0, 0)) for call in (0, 1, 2, 8, 20, 21)} == {
        **dict.fromkeys((0, 2, 20, 21), default),
        **dict.fromkeys((1, 8), ALLOW),
    }
    assert answered({**rules, "bind": constant(EPERM)}, default, names) == constant(ENOSYS)
    # That libseccomp has the same numbers is proved with the filter.
    some = {name: constant(ALLOW) for name in ("semop", "semtimedop", "msgsnd", "msgctl", "shmat", "shmctl")}
    assert answered(some, default, names) == constant(default)


def test_a_filter_that_only_logs_has_nothing_to_say_of_carriers(tmp_path: Path) -> None:
    text = '[seccomp]\ndefault = "log"\nallow = ["socket"]\narchitectures = ["x86"]\n'
    found = Seccomp().findings(settings(tmp_path, text), context())
    assert [item for item in found if item.rule == "seccomp/multiplexed"] == []


@pytest.mark.parametrize("name", ["s390x", "s390", "ppc64le", "ppc", "mips", "mipsel", "m68k", "sh"])
def test_every_architecture_that_has_carriers(name: str) -> None:
    model = Filter(ENOSYS, {**OPEN, "socket": ONLY_INET}, frozenset({name}))
    assert guard(model, LIBRARY).rule("socketcall") == constant(EPERM)


@pytest.mark.parametrize("names", [("ppc64le",), ("mipsel64", "mipsel")])  # libseccomp builds those of our byte order
def test_programs_of_other_architectures(names: tuple[str, ...]) -> None:
    assert answered({**OPEN, "socket": ONLY_INET}, names=names) == constant(EPERM)
    assert answered(OPEN, names=names) == constant(ALLOW)


def test_a_machine_without_carriers_gets_no_rule() -> None:
    model = Filter(ENOSYS, {"socket": ONLY_INET}, frozenset({"x86_64", "x32"}))
    assert guard(model, LIBRARY) == model


def asked(program: bytes, number: int, first: int, second: int) -> int:
    """The result of a 32-bit system call under a filter; ``second`` 0 stands for the address of AF_VSOCK's arguments."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40  # MAP_32BIT: a 32-bit call sees 32 bits of an address
    page = mmap.mmap(-1, mmap.PAGESIZE, flags, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(INT_80.ljust(32, b"\0") + struct.pack("=3i", AF_VSOCK, 1, 0))
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    call = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int)(start)
    shared = mmap.mmap(-1, 8)
    seccomp = LIBRARY.number(LIBRARY.native(), "seccomp") or 0
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if kernel.install(libc, seccomp, program) == 0:
            struct.pack_into("=q", shared, 0, call(number, first, second or start + 32))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    return int(struct.unpack_from("=q", shared)[0])


@pytest.mark.system
def test_the_kernel_denies_what_goes_round_by_socketcall(tmp_path: Path) -> None:
    require("ia32")
    fragment, opened = Fragment("seccomp"), Fragment("seccomp")
    Seccomp().contribute(settings(tmp_path, BY_GROUP), context(), fragment)
    Seccomp().contribute(settings(tmp_path, BY_NAME), context(), opened)
    program, by_name = fragment.files[FILE].value, opened.files[FILE].value
    assert isinstance(program, bytes)
    assert isinstance(by_name, bytes)
    assert asked(program, SOCKETCALL, SYS_SOCKET, 0) == -EPERM.data
    assert asked(program, SOCKET, AF_VSOCK, 1) == -97  # EAFNOSUPPORT
    assert asked(program, SOCKET, AF_UNIX, 1) >= 0
    # The kernel itself may lack vsock, but it never answers EPERM then.
    assert asked(by_name, SOCKETCALL, SYS_SOCKET, 0) != -EPERM.data
    assert asked(by_name, SOCKET, AF_UNIX, 1) >= 0


def test_a_finding_and_the_answer_say_so(tmp_path: Path) -> None:
    def multiplexed(text: str) -> list[str]:
        found = Seccomp().findings(settings(tmp_path, text), context())
        return [str(finding.leaf) for finding in found if finding.rule == "seccomp/multiplexed"]

    assert multiplexed(BY_GROUP) == ["seccomp.socketcall"]
    assert multiplexed(BY_NAME) == []
    assert Seccomp().answer(settings(tmp_path, BY_GROUP), context(), "socketcall", ["1"]) == "errno:EPERM (on x86)"
    assert Seccomp().answer(settings(tmp_path, BY_NAME), context(), "socketcall", ["1"]) == "allow (on x86)"


def test_a_limit_on_a_call_binds_its_carrier(tmp_path: Path) -> None:
    limit = '[limits.seccomp]\ndeny = ["shmget"]\n'
    found = settings(tmp_path, limit, '[seccomp]\narchitectures.add = ["x86"]\nallow = ["ipc", "shmat"]\n')
    assert filter_of(found, context()).rule("ipc") == constant(EPERM)


def test_a_foreign_filter_is_guarded_too_and_a_second_time_alike(tmp_path: Path) -> None:
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": [*OPEN, "read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["connect"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        ],
    }
    for text in (BY_GROUP, BY_NAME):
        found, seen = settings(tmp_path, text), document
        for _ in range(2):
            fragment = Fragment("seccomp")
            list(Seccomp().tighten(found, {"linux": {"seccomp": seen}}, context(), fragment))
            written = fragment.values["/linux/seccomp"].value
            model = read(written, native="x86_64").model
            assert is_no_looser_than(model, filter_of(found, context()))
            assert model.rule("socketcall") == constant(EPERM)
            assert seen is document or written == seen
            seen = written
