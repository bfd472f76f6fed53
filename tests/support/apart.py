"""The tests look at what is theirs: root's run in a mount namespace of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from hardening.launch import abi, kernel


def enter() -> None:
    """Leave the mounts of the host to the others.

    What somebody else mounts meanwhile does not appear here, and nobody else's container takes a mount of the tests with
    it. The mounts are shared within (mount_namespaces(7)), as systemd has them: what a launch lets escape from a
    namespace of its own shows here. An ordinary user mounts nothing that others see.
    """
    if os.geteuid() == 0:
        kernel.unshare(abi.CLONE_NEWNS)
        for propagation in ("--make-rprivate", "--make-rshared"):
            subprocess.run(["mount", propagation, "/"], check=True)


def groups(name: str) -> list[Path]:
    """The control groups of a name in every hierarchy, deepest first. Others' groups may come and go meanwhile."""
    return sorted((Path(path) for path, _, _ in os.walk("/sys/fs/cgroup") if path.endswith(f"/{name}")), reverse=True)
