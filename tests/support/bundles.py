"""Small static bundles for tests: a busybox root and a plain OCI configuration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

BUSYBOX = "/usr/bin/busybox"
APPLETS = (
    "sh cat echo id env ls mkdir mount umount sleep true false test touch hostname domainname stty tty kill ps readlink"
    " stat dd head wc grep date ip ulimit"
).split()


def make_root(directory: Path) -> Path:
    """A root with a static busybox and empty mount points."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc", "data", "run"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BUSYBOX, directory / "bin" / "busybox")
    for applet in APPLETS:
        link = directory / "bin" / applet
        if not link.is_symlink():
            link.symlink_to("busybox")
    for path in (directory, *directory.iterdir()):
        path.chmod(0o755)
    return directory


def id_maps(outside: int, count: int) -> list[dict[str, int]]:
    """One line of a map from 0 inside."""
    return [{"containerID": 0, "hostID": outside, "size": count}]


def config(*args: str, uid_maps: list[dict[str, int]] | None = None, gid_maps: list[dict[str, int]] | None = None
           ) -> dict[str, Any]:
    """A plain configuration that native, crun and runc accept; with maps it has a user namespace."""
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    tight = ["nosuid", "noexec", "nodev"]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/acpi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    }
    devpts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    if uid_maps is not None:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"], linux["gidMappings"] = uid_maps, gid_maps if gid_maps is not None else uid_maps
    else:
        devpts.append("gid=5")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "bundle",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": tight},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": devpts},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*tight, "mode=1777", "size=1m"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": tight},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*tight, "ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": [*tight, "mode=1777", "size=1m"]},
        ],
        "linux": linux,
    }


def write(directory: Path, document: dict[str, Any], *, owner: int | None = None) -> Path:
    """Write `config.json` and a busybox root into a bundle directory."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    if not (directory / "rootfs").exists():
        make_root(directory / "rootfs")
    path = directory / "config.json"
    path.write_text(json.dumps(document))
    path.chmod(0o644)
    if owner is not None:
        subprocess.run(["chown", "-R", f"{owner}:{owner}", str(directory)], check=True)
    return directory


def names_of(path: str) -> set[str]:
    """The names in a directory, as a set; empty when it does not exist."""
    return set(os.listdir(path)) if os.path.isdir(path) else set()
