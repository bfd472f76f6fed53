"""The text of /proc/PID/limits as values (proc_pid_limits(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hardening_process.kinds import ResourceLimit

#: How the kernel titles each limit (fs/proc/base.c, lnames), by its name in TOML.
TITLES: Mapping[str, str] = {
    "Max cpu time": "cpu",
    "Max file size": "fsize",
    "Max data size": "data",
    "Max stack size": "stack",
    "Max core file size": "core",
    "Max resident set": "rss",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max locked memory": "memlock",
    "Max address space": "as",
    "Max file locks": "locks",
    "Max pending signals": "sigpending",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
}
_LINE = re.compile(r"(Max [a-z ]+?) +(unlimited|\d+) +(unlimited|\d+)\b")


def parse(text: str) -> dict[str, ResourceLimit]:
    """Every limit that the text holds, by its name in TOML."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and match[1] in TITLES:
            found[TITLES[match[1]]] = ResourceLimit(_number(match[2]), _number(match[3]))
    return found


def _number(text: str) -> int | None:
    return None if text == "unlimited" else int(text)
