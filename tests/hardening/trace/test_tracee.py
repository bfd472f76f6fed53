"""What a stopped process shows of itself."""

from __future__ import annotations

import os
import struct

import pytest

from hardening.trace.tracee import Tracee


class Unprivileged(Tracee):
    """This process, as one that got nothing from its file."""

    def status(self) -> dict[str, str]:
        found = os.stat(f"/proc/{self.pid}/exe")
        return {"Uid": f"0 {found.st_uid}", "Gid": f"0 {found.st_gid}", "CapPrm": "0"}


@pytest.mark.parametrize("owner", [0, 1234])
def test_file_capabilities_of_another_user_namespace_are_not_missed(
    owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, owner)
    monkeypatch.setattr(os, "getxattr", lambda path, name: value)
    found = Unprivileged(os.getpid()).without_effect()
    assert found == (None if owner else ((), "file capabilities without effect: CAP_NET_RAW"))
