"""What a result was measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_VERSIONS = {
    "crun": ("crun", "--version"),
    "runc": ("runc", "--version"),
    "bubblewrap": ("bwrap", "--version"),
    "podman": ("podman", "--version"),
    "conmon": ("conmon", "--version"),
    "busybox": ("busybox",),
    "gcc": ("gcc", "-dumpfullversion"),
}


def described(program: Path) -> dict[str, str]:
    """The machine, its kernel, and the versions of what is measured; ``program`` is the installed ``hardening``."""
    release = platform.freedesktop_os_release()
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / 1e6:.1f} GB" if memory else "unknown",
        "system": release.get("PRETTY_NAME", "unknown"),
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "hardening": _version((str(program), "--version")),
        "Python": _version((str(program.with_name("python")), "--version")),
        **{name: _version(argv) for name, argv in _VERSIONS.items()},
    }


def busy(load: float, cores: int) -> Iterator[str]:
    """A note where the machine had other work when the bench began."""
    if load > cores / 4:
        yield f"The machine had other work when this began (load {load:.1f} on {cores} cores): an idle one takes less time."


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"model name\s*:\s*(.+)", text)
    virtual = " (virtual)" if re.search(r"flags\s*:.*\bhypervisor\b", text) else ""
    return (found[1] if found else platform.machine()) + virtual


def _version(argv: tuple[str, ...]) -> str:
    if shutil.which(argv[0]) is None:
        return "not installed"
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+\S*", done.stdout + done.stderr)
    return found[0].rstrip(",") if found else "unknown"
