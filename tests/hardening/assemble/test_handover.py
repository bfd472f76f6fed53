"""The memfd that secrets are handed over in."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from hardening.assemble import handover
from hardening.launch.secret import secrets
from tests.support.users import ordinary, program


def test_nobody_can_change_what_was_sealed() -> None:
    fd = handover.seal({"a": b"one", "b": b""})
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        for seal in (fcntl.F_SEAL_SEAL, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE):
            assert seals & seal
        for change in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 1)):
            with pytest.raises(PermissionError):
                change()
        assert os.get_inheritable(fd)
        assert os.pread(fd, 100, 0) == secrets.pack({"a": b"one", "b": b""})
    finally:
        os.close(fd)


def test_a_process_that_leaves_no_core_can_leave_one_again_once_it_executes() -> None:
    code = (
        "import os, resource; from hardening.assemble import handover; handover.leave_no_core();"
        "assert os.stat('/proc/self/mem').st_uid == 0;"
        "os.execv('/bin/sh', ['sh', '-c', 'stat -c %u /proc/$$/mem'])"
    )
    # An ordinary user owns the files in /proc of processes that can be looked at; root owns those of the others.
    user = ordinary()
    python = Path(program(user)).with_name("python") if user.uid != os.geteuid() else Path(sys.executable)
    done = user.run([str(python), "-c", code])
    assert (done.returncode, done.stdout) == (0, f"{user.uid}\n"), done.stderr
