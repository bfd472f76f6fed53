"""`plugins/hardening_seccomp` on real containers: what the kernel answers to their calls.

Answers are errnos that nothing else gives to these calls, so no test passes because of another mechanism. Each guarantee
has its counterpart: loosened by an exception, the same call comes through.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from hardening_seccomp.multiplex import CARRIED
from tests.support.features import require
from tests.support.reports import verdict
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
    """No sockets: the answer is EPERM, which no missing network gives."""
    socket = "nc -l -p 9 -w 1 127.0.0.1"
    assert "not permitted" in told(runtime, socket)
    assert "not permitted" not in told(runtime, socket, '[seccomp]\nallow = ["@network"]\n')


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_kernel_reports_one_filter(runtime: str, tmp_path: Path) -> None:
    require("seccomp")
    with running(COMMON, DENYING, runtime=runtime, mechanisms=MECHANISMS) as found:
        checks = verdict(found, "seccomp", MECHANISMS, COMMON, DENYING)
        assert checks
        assert all(check.holds for check in checks)
        assert found.status["Seccomp_filters"] == "1"

    # Without the mechanism there is no filter, and the same check fails.
    others = tuple(name for name in MECHANISMS if name != "seccomp")
    with running(COMMON, runtime=runtime, mechanisms=others) as found:
        checks = verdict(found, "seccomp", MECHANISMS, COMMON, DENYING)
        assert not any(check.holds for check in checks)


#: By int $0x80: socketcall(SYS_SOCKET, {AF_VSOCK, SOCK_STREAM, 0}), then socket(AF_VSOCK, SOCK_STREAM, 0). The exit
#: code has a bit for each that the filter let through, and 4 so that it is not mistaken for success.
PROGRAM = """
static int arguments[3] = {40, 1, 0};
static int call(long number, long first, long second, long third) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third)
                   : "memory", "r8", "r9", "r10", "r11");
  return (int)result;
}
void _start(void) {
  int carried = call(102, 1, (long)arguments, 0), direct = call(359, 40, 1, 0);
  call(1, 4 | (carried != -1) | (direct != -97) << 1, 0, 0);
  for (;;) {}
}
"""
X86 = '[seccomp]\ndefault = "errno:ENOSYS"\nallow = ["@default"]\narchitectures.add = ["x86"]\n'
BY_NAME = f"[seccomp]\nallow = [{', '.join(map(json.dumps, ('socketcall', *CARRIED['socketcall'])))}]\n"
ALL_CALLS = "".join(
    f'[[exceptions]]\nsetting = "seccomp.{name}"\nreason = "a test"\n'
    for name in ("socket", "socketpair", "socketcall")
)


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """A static program without a C library that makes the system calls of 32-bit x86."""
    require("ia32")
    with TemporaryDirectory(dir="/var/tmp") as name:  # whoever the command is, it reaches this one
        folder = Path(name)
        folder.chmod(0o755)
        source, built = folder / "calls.c", folder / "calls"
        source.write_text(PROGRAM)
        flags = ["-nostdlib", "-static", "-no-pie", "-fno-stack-protector", "-o"]
        subprocess.run(["gcc", *flags, str(built), str(source)], check=True)
        built.chmod(0o755)
        yield built


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_32_bit_programs_do_not_go_round_by_socketcall(runtime: str, program: Path) -> None:
    require("seccomp")

    def shown(document: dict[str, Any]) -> None:
        mount = {"destination": "/data", "type": "bind", "source": str(program.parent), "options": ["rbind", "ro"]}
        document["mounts"].append(mount)

    def code(*layers: str) -> int:
        ended = finished(COMMON, *layers, command=["/data/calls"], runtime=runtime, mechanisms=MECHANISMS, change=shown)
        assert ended.code != 125, ended.stderr
        return ended.code

    assert code(X86) == 4
    assert code(X86, ALL_CALLS + BY_NAME) == 7
