"""A control group for one container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardening.errors import LaunchError
from hardening.launch.cgroup import group as cgroup
from hardening.launch.cgroup.hierarchy import Hierarchy
from hardening.launch.cgroup.limits import limits
from hardening.launch.config.model import Resources


def test_a_file_of_version_two_needs_its_controller_there(monkeypatch: pytest.MonkeyPatch) -> None:
    legacy = Hierarchy(mount="/v1", controllers=("pids",), unified=False, own="/")
    unified = Hierarchy(mount="/v2", controllers=("hugetlb",), unified=True, own="/")
    monkeypatch.setattr(cgroup, "read_hierarchies", lambda: (legacy, unified))
    for file, reason in {"pids.max": "version 1", "io.max": "no cgroup hierarchy"}.items():
        with pytest.raises(LaunchError, match=reason) as caught:
            cgroup.Cgroup().create("/x", limits(Resources(unified=((file, "1"),))))
        assert f"config.json:/linux/resources/unified/{file}: " in str(caught.value)
        assert "\nhint: " in str(caught.value)


def test_nobody_else_can_open_a_group_before_it_is_locked(tmp_path: Path) -> None:
    trace, group = tmp_path / "trace", tmp_path / "group"
    code = f"from hardening.launch.cgroup import group; group._claim({str(group)!r})"
    argv = ["strace", "-qq", "-e", "trace=mkdir,flock,fchmod", "-o", str(trace), sys.executable, "-c", code]
    subprocess.run(argv, check=True, timeout=60)
    lines = trace.read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if str(group) in line)
    made, locked, opened = lines[start : start + 3]
    assert "0700) = 0" in made
    assert locked.startswith("flock(")
    assert opened.startswith("fchmod(")
    assert group.stat().st_mode & 0o777 == 0o755
