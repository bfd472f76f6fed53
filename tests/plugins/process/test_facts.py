"""What the caller hands down, as the kernel says it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.errors import HostError
from hardening_process.facts import probe
from hardening_process.kinds import Rlimit


def test_limits_are_those_of_the_kernel() -> None:
    found = probe().rlimits
    for name in ("as", "core", "cpu", "fsize", "memlock", "nofile", "nproc", "stack", "msgqueue", "rttime"):
        numbers = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        assert found[name] == Rlimit(*(None if n == resource.RLIM_INFINITY else n for n in numbers)), name


def test_capability_and_score_are_those_of_the_kernel() -> None:
    found = probe()
    assert found.oom_score_adj == int(Path("/proc/self/oom_score_adj").read_text())
    code = "from hardening_process.facts import probe; f = probe(); print(f.oom_score_adj, f.sys_resource)"
    script = f'echo 700 > /proc/self/oom_score_adj; exec "{sys.executable}" -c "{code}"'
    without = ["setpriv", "--inh-caps=-all"] + (["--bounding-set=-sys_resource"] if os.geteuid() == 0 else [])
    done = subprocess.run([*without, "sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["700", "False"]


def test_the_environment_is_the_callers_and_stays_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "tell-nobody")
    found = probe()
    assert found.environment["MY_SECRET"] == "tell-nobody"
    assert "tell-nobody" not in repr(found)


def test_without_procfs_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot read the caller's limits"):
        probe(tmp_path)
