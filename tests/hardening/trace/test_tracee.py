"""What a stopped process shows of itself."""

from __future__ import annotations

import os
import stat
import struct

import pytest

from hardening.trace.tracee import Status, Tracee


class Unprivileged(Tracee):
    """This process, as one that got nothing from its file."""

    def status(self) -> Status:
        found = os.stat(f"/proc/{self.pid}/exe")
        return Status(f"Uid:\t0\t{found.st_uid}\nGid:\t0\t{found.st_gid}\nCapPrm:\t0\n")


@pytest.mark.parametrize("owner", [0, 1234])
def test_file_capabilities_of_another_user_namespace_are_not_missed(
    owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, owner)
    monkeypatch.setattr(os, "getxattr", lambda path, name: value)
    found = Unprivileged(os.getpid()).without_effect()
    assert found == (None if owner else ((), "file capabilities without effect: CAP_NET_RAW"))


class Unmapped(Tracee):
    """One in a user namespace that has nobody of the host."""

    def status(self) -> Status:
        return Status("Uid:\t0\t7\nGid:\t0\t7\nCapPrm:\t0\n")

    def inside(self, name: str, number: int) -> int:
        return -1


def test_a_set_id_bit_of_who_is_nobody_inside_is_told_by_the_host_s_id(monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.stat_result((stat.S_IFREG | stat.S_ISUID | 0o755, 0, 0, 1, 1234, 1234, 0, 0, 0, 0))
    monkeypatch.setattr(os, "stat", lambda path: found)
    words = "set-user-ID of the host's user 1234, whom no user inside stands for, without effect"
    assert Unmapped(os.getpid()).without_effect() == ((-1,), words)
