"""What a launch makes in a directory that outlives it, while somebody else writes there."""

from __future__ import annotations

import os
import posix
from pathlib import Path
from typing import Any

import pytest

from hardening.base import trusted
from hardening.launch.native.channel import pair
from hardening.launch.native.root import Root
from tests.support.features import require

OWNER = 4711


@pytest.mark.parametrize("moved", ["directory", "file", "nothing"])
def test_only_what_was_made_is_given_to_whom_its_directory_belongs(
    moved: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("root")
    monkeypatch.setattr(trusted, "root", trusted.overflow_id)
    secret = tmp_path / "secret"
    if moved == "file":
        secret.write_text("hidden")
    else:
        secret.mkdir(0o700)
        (secret / "key").write_text("hidden")
    os.chown(tmp_path, OWNER, OWNER)

    def made(name: str, make: Any) -> Any:
        def call(part: str, mode: int, *, dir_fd: int) -> None:
            make(part, mode, dir_fd=dir_fd)
            if moved != "nothing":  # as the directory's owner can at that moment
                os.rename(part, "other", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
                os.rename("secret", part, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

        monkeypatch.setattr(posix, name, call)

    made("mkdir", os.mkdir)
    made("mknod", os.mknod)
    near, far = pair()
    root = Root(os.open(tmp_path, os.O_PATH), far)
    os.close(root.target("/made", directory=moved != "file"))
    os.close(root.tree)
    assert (tmp_path / "made").stat().st_uid == (OWNER if moved == "nothing" else 0)
    near.close()
    far.close()
