"""Where a layer is written to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hardening.cli import trying


def test_a_pipe_or_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    trying.write(path, "a layer\n")
    assert os.read(reader, 100) == b"a layer\n"
    assert stat.S_ISFIFO(path.stat().st_mode)
    os.close(reader)
    trying.write(tmp_path / "file", "a layer\n")
    assert (tmp_path / "file").read_text() == "a layer\n"


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")
    (tmp_path / "link").symlink_to("file")
    trying.write(tmp_path / "link", "a layer\n")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "a layer\n"
