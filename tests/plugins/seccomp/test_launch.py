"""The guarantees of `[seccomp]` on real containers: what the kernel answers to their calls.

Answers are errnos that nothing else gives to these calls, so no test passes because of another mechanism. Each guarantee
has its counterpart: loosened by an exception, the same call comes through.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardening_seccomp import Seccomp
from tests.plugins.seccomp.stacks import settings
from tests.support.features import require
from tests.support.runs import RUNTIMES, finished, running

pytestmark = pytest.mark.system

MECHANISMS = ("namespaces", "process", "capabilities", "seccomp")
ID_MAP = "auto" if os.geteuid() == 0 else "root"
COMMON = f'[namespaces]\ntime = "host"\nid_map = "{ID_MAP}"\n[process]\nresources.requirement = "best-effort"\n'
NO_SIGNAL = '{ names = ["kill"], action = "errno:E2BIG", args = [{ index = 1, op = "eq", value = 28 }] }'
DENYING = f'[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@strict"]\nrules = [{NO_SIGNAL}]\n'
EXCEPTION = '[[exceptions]]\nsetting = "seccomp.kill"\nreason = "a test"\n[seccomp]\nallow = ["kill"]\n'


def told(runtime: str, script: str, *layers: str) -> str:
    require("seccomp")
    command = ["/bin/busybox", "sh", "-c", script]
    ended = finished(COMMON, *layers, command=command, runtime=runtime, mechanisms=MECHANISMS)
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_arguments_decide(runtime: str) -> None:
    assert "list too long" in told(runtime, "kill -28 $$", DENYING)
    assert "alive" in told(runtime, "kill -18 $$ && echo alive", DENYING)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_exception_lets_the_same_call_through(runtime: str) -> None:
    assert "alive" in told(runtime, "kill -28 $$ && echo alive", DENYING, EXCEPTION)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_unstated_is_strict(runtime: str) -> None:
    """No sockets: the answer is ENOSYS, which no missing network gives."""
    socket = "nc -l -p 9 -w 1 127.0.0.1"
    assert "not implemented" in told(runtime, socket)
    assert "not implemented" not in told(runtime, socket, '[seccomp]\nallow = ["@network"]\n')


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_kernel_reports_one_filter(runtime: str, tmp_path: Path) -> None:
    require("seccomp")
    with running(COMMON, DENYING, runtime=runtime, mechanisms=MECHANISMS) as found:
        checks = list(Seccomp().verify(settings(tmp_path, DENYING), {"status": found.status}))
        assert [check.holds for check in checks] == [True]
        assert found.status["Seccomp_filters"] == "1"

    # Without the mechanism there is no filter, and the same check fails.
    others = tuple(name for name in MECHANISMS if name != "seccomp")
    with running(COMMON, runtime=runtime, mechanisms=others) as found:
        checks = list(Seccomp().verify(settings(tmp_path, DENYING), {"status": found.status}))
        assert [check.holds for check in checks] == [False]
