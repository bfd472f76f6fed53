"""The sockets of the host that a volume would show. No read-only mount protects one: who connects has the rights of the
service behind it, which is root's or the caller's for container engines, D-Bus, systemd and agents."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from hardening.base.files import is_below
from hardening_rootfs import aliases
from hardening_rootfs.paths import holds, real_path

MOST = 1 << 18  # names in a volume among which sockets are looked for: a second's worth
#: The ends of the names that engines, buses and managers give to theirs.
KNOWN = (
    "/docker.sock",
    "/podman.sock",
    "/containerd.sock",
    "/crio.sock",
    "/bus",
    "/system_bus_socket",
    "/systemd/private",
    "/libvirt-sock",
    "/snapd.socket",
)


def seen_in(source: str, kept: Iterable[str] = ()) -> tuple[str, ...]:
    """The sockets that a source is, or has in itself, and those on which somebody listens below it (unix(7)); not those in
    what is ``kept`` hidden in it, paths in the source. Each by its path on the host."""
    real = real_path(source)
    if not os.path.isdir(real):
        return (real,) if is_socket(real) else ()
    hidden = [os.path.normpath(f"{real}/{path}") for path in kept]
    mounts = aliases.mounted()
    found = {name for path in _bound() for name in aliases.names(real_path(path), mounts) if is_below(name, real)}
    # What the caller cannot list it can name all the same: those that listen are known.
    with suppress(OSError):
        found |= {os.path.join(real, name) for name in os.listdir(real)}
    return tuple(sorted(path for path in found if is_socket(path) and not _lies_in(path, hidden)))


def search(source: str, kept: Iterable[str] = (), most: int = MOST) -> str | None:
    """The same for who wants to be certain, in words for a message; None where there is none. Everything that can be listed
    is looked at: the name by which somebody listens may be relative, or one that the socket had before, or of another
    network namespace, whose sockets the kernel does not tell (unix(7), rename(2), link(2))."""
    for socket in seen_in(source, kept):
        return f"it shows the socket {socket}"
    pending, left = [real_path(source)], most
    hidden = {os.path.normpath(f"{pending[0]}/{path}") for path in kept}
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    return f"it holds more than {most} names, too many to look for sockets among them"
                if entry.path in hidden or entry.is_symlink() or entry.is_file(follow_symlinks=False):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif is_socket(entry.path):
                    return f"it shows the socket {entry.path}"
    return None


def gives_control(path: str) -> bool:
    """Whether the service behind a socket has the rights of root or of the caller, by its name or its owner."""
    try:
        return path.endswith(KNOWN) or os.lstat(path).st_uid in (0, os.geteuid())
    except OSError:
        return True


def _lies_in(path: str, places: Iterable[str]) -> bool:
    return any(holds(place, path) for place in places)


def is_socket(path: str) -> bool:
    """Whether a socket lies at a path, or somebody keeps the caller from looking."""
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _bound() -> set[str]:
    """The paths of the sockets in the caller's network namespace (proc_pid_net(5), unix)."""
    lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()
    rows = (line.split(maxsplit=7) for line in lines[1:])
    return {row[7] for row in rows if len(row) == 8 and row[7].startswith("/")}
