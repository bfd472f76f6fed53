"""What the kernel says of a started command, read from the host's side (proc(5))."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hardening.launch.handed import Handed

# Key of the receipt -> file in /proc/PID, kept as text.
FILES = {
    "uid_map": "uid_map",
    "gid_map": "gid_map",
    "setgroups": "setgroups",
    "mountinfo": "mountinfo",
    "limits": "limits",
    "cgroup": "cgroup",
    "loginuid": "loginuid",
    "oom_score_adj": "oom_score_adj",
    "label": "attr/current",
}


def gather(pid: int, caller: dict[str, str | None], secrets: Handed | None = None) -> dict[str, Any]:
    """Everything that a launch promises, as text of the kernel.

    ``status`` maps the fields of /proc/PID/status to their text; ``namespaces`` are the links in /proc/PID/ns, and
    ``caller_namespaces`` those of the launch stage as it was started (``caller``); the rest is the text of one file
    each, None where this kernel has no such file. Where the configuration names ``secrets``, a list says what their files
    are, without their content.
    """
    place = f"/proc/{pid}"
    status = dict(line.split(":", 1) for line in (_text(f"{place}/status") or "").splitlines() if ":" in line)
    found: dict[str, Any] = {
        "pid": pid,
        "status": {key: value.strip() for key, value in status.items()},
        "namespaces": namespaces(place),
        "caller_namespaces": caller,
        "exe": _link(f"{place}/exe"),
    }
    for key, name in FILES.items():
        text = _text(f"{place}/{name}")
        found[key] = text.rstrip("\0\n") if text is not None else None
    if secrets is not None:
        found["secrets"] = secrets.observe(pid)
    return found


def write(path: str, found: dict[str, Any]) -> None:
    """Write a receipt as JSON; the file appears whole or not at all."""
    import json

    scratch = f"{path}.{os.getpid()}"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1, sort_keys=True)
            file.write("\n")
        os.rename(scratch, path)
    except OSError:
        os.unlink(scratch)
        raise


def namespaces(place: str = "/proc/self") -> dict[str, str | None]:
    """The links that name the namespaces of a process, given by its directory in /proc."""
    names = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
    return {name: _link(f"{place}/ns/{name}") for name in names if os.path.lexists(f"{place}/ns/{name}")}


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
