"""A program that shows what a stack permits: whole, short, and clear about what the kernel said."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hardening.mechanism.evidence import Witness, unless

#: Lines of a program, so that somebody reads it before it is run.
MOST_LINES = 20


@pytest.mark.parametrize(
    ("attempt", "code", "said"),
    [
        ("os.getpid()", 0, "permitted"),
        ("os.stat('/no/such/file')", 1, "refused: No such file or directory"),
        (unless("held > 1", "too few", "held = 1"), 1, "refused: too few"),
        (unless("held > 0", "too few", "held = 1"), 0, "permitted"),
    ],
)
def test_it_says_what_the_kernel_said(attempt: str, code: int, said: str) -> None:
    program = Witness("tries", attempt).program
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, (done.stdout + done.stderr).strip()) == (code, said)
    assert len(program.splitlines()) <= MOST_LINES
