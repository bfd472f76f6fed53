"""The ids of the process that becomes the command, and what a change of them does to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardening.base.linux import abi, kernel
from hardening.launch.config.wanted import Capabilities, Process
from hardening.launch.native import identity
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


def process(uid: int, gid: int) -> Process:
    return Process(
        args=("true",), env=(), cwd="/", terminal=False, console_size=None, uid=uid, gid=gid, umask=None, groups=(),
        capabilities=Capabilities(), rlimits=(), no_new_privileges=True, oom_score_adj=None, selinux_label="",
    )  # fmt: skip


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (1000, 0), (0, 1000), (1000, 1000)])
def test_who_has_become_the_command_s_user_leaves_no_core_dump(piped: None, uid: int, gid: int) -> None:
    """It may hold secrets until it executes the command."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel.prctl(abi.PR_SET_DUMPABLE, 0)
            identity.become_user(process(uid, gid), may_set_groups=True)
            assert os.getresuid() == (uid, uid, uid)
            assert os.getresgid() == (gid, gid, gid)
            os._exit(kernel.prctl(PR_GET_DUMPABLE))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
