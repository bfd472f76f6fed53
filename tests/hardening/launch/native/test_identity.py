"""The ids of the process that becomes the command, and what a change of them does to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from hardening.base.linux import abi, kernel
from hardening.launch.native import identity
from hardening.launch.native.operation import LaunchState
from tests.support.features import require

SETTING = Path("/proc/sys/fs/suid_dumpable")
PR_GET_DUMPABLE = 3


@pytest.fixture
def piped() -> Iterator[None]:
    """As where systemd-coredump is installed: who has changed ids leaves a core dump for root's program."""
    require("suid-dumpable")
    before = SETTING.read_text()
    SETTING.write_text("2")
    try:
        yield
    finally:
        SETTING.write_text(before)


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (1000, 0), (0, 1000), (1000, 1000)])
def test_who_has_become_the_command_s_user_leaves_no_core_dump(piped: None, uid: int, gid: int) -> None:
    """It may hold secrets until it executes the command."""
    state = cast("LaunchState", None)
    pid = os.fork()
    if pid == 0:
        try:
            kernel.prctl(abi.PR_SET_DUMPABLE, 0)
            identity.BecomeGroup(gid=gid).execute(state)
            identity.BecomeUser(uid=uid).execute(state)
            assert os.getresuid() == (uid, uid, uid)
            assert os.getresgid() == (gid, gid, gid)
            os._exit(kernel.prctl(PR_GET_DUMPABLE))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
