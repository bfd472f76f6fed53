"""What the kernel says of a started command, read from the host's side (proc(5))."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LINES = {
    "uid_map": "uid_map",
    "gid_map": "gid_map",
    "mountinfo": "mountinfo",
    "limits": "limits",
    "cgroup": "cgroup",
}
WORDS = {
    "loginuid": "loginuid",
    "sessionid": "sessionid",
    "oom_score_adj": "oom_score_adj",
    "attr_current": "attr/current",
}


def gather(pid: int) -> dict[str, Any]:
    """Everything that a launch promises, as text of the kernel.

    ``status`` maps the fields of /proc/PID/status to their text, ``namespaces`` the links in /proc/PID/ns; the rest
    are whole files, as lists of lines or as one word. A file that this kernel lacks is None.
    """
    place = f"/proc/{pid}"
    status = dict(line.split(":\t", 1) for line in _lines(f"{place}/status") or [] if ":\t" in line)
    found: dict[str, Any] = {"pid": pid, "status": {key: value.strip() for key, value in status.items()}}
    found["namespaces"] = {name: _link(f"{place}/ns/{name}") for name in sorted(os.listdir(f"{place}/ns"))}
    found["exe"] = _link(f"{place}/exe")
    found["root"] = _link(f"{place}/root")
    for key, name in LINES.items():
        found[key] = _lines(f"{place}/{name}")
    for key, name in WORDS.items():
        lines = _lines(f"{place}/{name}")
        found[key] = lines[0].rstrip("\0") if lines else None
    return found


def write(path: str, found: dict[str, Any]) -> None:
    """Write a receipt as JSON; the file appears whole or not at all."""
    import json

    scratch = f"{path}.{os.getpid()}"
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1, sort_keys=True)
        file.write("\n")
    os.rename(scratch, path)


def _lines(path: str) -> list[str] | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
