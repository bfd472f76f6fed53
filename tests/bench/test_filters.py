"""Instructions and nanoseconds of filters, and the filter that the kernel runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.mechanism.host import plain
from hardening_seccomp import bpf
from hardening_seccomp.actions import ALLOW, ENOSYS, EPERM
from hardening_seccomp.build import build
from hardening_seccomp.compile import compile_filter
from hardening_seccomp.conditions import Comparison, ConditionEntry, Op, rule_of
from hardening_seccomp.diagrams import constant
from hardening_seccomp.filters import Filter
from hardening_seccomp.host import probe
from tests.bench import filters
from tests.bench.contenders import BenchError
from tests.support.features import require

FACTS = probe(plain())
LIBRARY = FACTS.required_library()
RULE = rule_of([ConditionEntry(EPERM, (Comparison(1, Op.EQ, 0x5412),))], ALLOW)
MODEL = Filter(ENOSYS, {"read": constant(ALLOW), "ioctl": RULE, "mount": constant(EPERM)}, frozenset({FACTS.native}))
COMPILED = compile_filter(MODEL, LIBRARY)


def test_the_worst_arguments_count_and_what_is_denied_does_not() -> None:
    found = filters.instructions(COMPILED.program)
    assert set(found) == {"read", "ioctl"}
    assert found["ioctl"] > found["read"] > 4


def test_a_list_of_rules_takes_one_instruction_a_call_before() -> None:
    names = [*LIBRARY.names(LIBRARY.native())][:100]
    many = compile_filter(Filter(ENOSYS, dict.fromkeys(names, constant(ALLOW)), frozenset({FACTS.native})), LIBRARY)
    found = filters.instructions(build(many.document, LIBRARY, tree=False))
    assert len(found) == 100
    assert max(found.values()) - min(found.values()) == 99


def test_every_way_through_a_program_has_its_vector() -> None:
    number = LIBRARY.names(LIBRARY.native())["ioctl"]
    program = bpf.decode(COMPILED.program)
    vectors = list(filters.vectors(program, LIBRARY.native(), number))
    assert {RULE.value(vector) for vector in vectors} == {ALLOW, EPERM}
    assert all(0 <= argument < 1 << 64 for vector in vectors for argument in vector)


def test_the_loaded_filter_is_the_one_that_was_written(tmp_path: Path) -> None:
    require("root")
    every = compile_filter(Filter(ALLOW, {"reboot": constant(EPERM)}, frozenset({FACTS.native})), LIBRARY)
    path = tmp_path / "filter"
    path.write_bytes(every.program)
    code = (
        "import sys; from pathlib import Path; from hardening.base.linux import abi, kernel;"
        "code = Path(sys.argv[1]).read_bytes(); kernel.prctl(abi.PR_SET_NO_NEW_PRIVS, 1); kernel.seccomp(code, 0);"
        "print(flush=True); input()"
    )

    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert filters.loaded(process.pid) == every.program
        process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("filtered", [False, True])
def test_calls_are_measured(tmp_path: Path, filtered: bool) -> None:
    every = compile_filter(Filter(ALLOW, {"reboot": constant(EPERM)}, frozenset({FACTS.native})), LIBRARY)
    path = tmp_path / "filter"
    path.write_bytes(every.program)
    found = filters.percall(filters.compiled(tmp_path), {"it": path if filtered else None}, 200, 2)
    assert list(found["it"]) == ["read", "write", "futex", "epoll_wait", "openat", "ioctl"]
    assert all(len(samples) == 2 and min(samples) > 0 for samples in found["it"].values())


def test_a_call_that_a_filter_denies_is_no_measurement(tmp_path: Path) -> None:
    denied = compile_filter(Filter(ALLOW, {"futex": constant(EPERM)}, frozenset({FACTS.native})), LIBRARY)
    path = tmp_path / "filter"
    path.write_bytes(denied.program)
    with pytest.raises(BenchError, match="futex"):
        filters.percall(filters.compiled(tmp_path), {"it": path}, 200, 1)
