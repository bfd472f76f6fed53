"""What the kernel and the caller's account offer for namespaces."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from pathlib import Path

import attrs

from hardening.host import Host
from hardening_namespaces.settings import TYPES

#: /proc/self/ns names of the TOML names
_PROC_NAMES = {name: "mnt" if name == "mount" else name for name in TYPES}


@attrs.frozen
class NamespaceFacts:
    """``supported`` are TOML names; ``user_blocked`` says why the caller may not make user namespaces; ``subuids`` and
    ``subgids`` are the caller's (start, size) ranges; ``newuidmap`` is whether both setuid helpers are installed."""

    supported: frozenset[str]
    user_blocked: str
    subuids: tuple[tuple[int, int], ...]
    subgids: tuple[tuple[int, int], ...]
    newuidmap: bool


def probe(host: Host) -> NamespaceFacts:
    """Read the facts from proc(5) and subuid(5)."""
    present = set(os.listdir("/proc/self/ns"))
    supported = frozenset(name for name, proc in _PROC_NAMES.items() if proc in present)
    names = _account_names(host.uid)
    return NamespaceFacts(
        supported,
        _user_blocked(host),
        _ranges(Path("/etc/subuid"), names),
        _ranges(Path("/etc/subgid"), names),
        shutil.which("newuidmap") is not None and shutil.which("newgidmap") is not None,
    )


def _account_names(uid: int) -> frozenset[str]:
    names = {str(uid)}
    # An id without an account can still be named by number in subuid(5).
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    return frozenset(names)


def _ranges(path: Path, names: frozenset[str]) -> tuple[tuple[int, int], ...]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return ()
    found = []
    for line in lines:
        name, _, numbers = line.partition(":")
        start, _, size = numbers.partition(":")
        if name in names and start.isdecimal() and size.isdecimal():
            found.append((int(start), int(size)))
    return tuple(found)


def _user_blocked(host: Host) -> str:
    if _sysctl("user/max_user_namespaces") == "0":
        return "user.max_user_namespaces is 0"
    if not host.root and _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "kernel.unprivileged_userns_clone is 0"
    if not host.root and _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "kernel.apparmor_restrict_unprivileged_userns is 1"
    return ""


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except FileNotFoundError:
        return None
