"""What a result says of its machine."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from tests.bench.machine import busy, described


def test_the_machine_its_kernel_and_every_version_are_named() -> None:
    found = described(Path(sys.executable).with_name("hardening"))
    assert found["kernel"] == platform.release()
    assert found["Python"] == platform.python_version()
    assert int(found["cores"]) >= 1
    for name in ("hardening", "crun", "runc", "bubblewrap", "podman", "busybox"):
        assert found[name][0].isdigit(), name


def test_a_machine_with_other_work_is_told() -> None:
    assert list(busy(0.2, 2)) == []
    assert "load 3.5 on 2 cores" in next(busy(3.5, 2))
