"""What of a tree of files matters to a stack, beside system calls: programs and their interpreters, rights that files lend,
and directories that programs write to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence

from hardening.base.linux import executable
from hardening.elf.closure import LinkingRoot
from hardening.mechanism.denial import FileRights

#: Where commands are looked for, and files that are looked at.
COMMANDS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
FILES = 500_000
#: Below these a package has directories of its own to write to (hier(7)).
_WRITTEN = ("/var/lib/", "/var/log/", "/var/cache/", "/var/spool/", "/run/", "/srv/", "/var/opt/")


def command(root: LinkingRoot, word: str) -> str | None:
    """The path of a command as execvp(3) finds it; None where the root has none."""
    for path in [word] if "/" in word else [f"{folder}/{word}" for folder in COMMANDS]:
        if root.find(path) is not None:
            return path
    return None


def interpreters(root: LinkingRoot, path: str) -> Iterator[str]:
    """The program that a file is executed with, and those of scripts on the way to it; the last one that is yielded may be
    missing. Raises `OSError`."""
    for _ in range(executable.INTERPRETERS):
        words = executable.interpreter_line(root.read(path, executable.FIRST_LINE))
        if not words:
            return
        path = os.fsdecode(words[0])
        if os.path.basename(path) == "env" and len(words) > 1:
            path = command(root, os.fsdecode(words[-1])) or os.fsdecode(words[-1])
        yield path
        if root.find(path) is None:
            return


def programs(top: str, folders: Sequence[str] = ("",)) -> Iterator[str]:
    """The ELF files below a directory that can be executed or linked with, as paths in it."""
    for path, status in walk(top, folders):
        if stat.S_ISREG(status.st_mode) and (status.st_mode & 0o111 or ".so" in os.path.basename(path)):
            try:
                with open(top + path, "rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.ENOENT):
                    raise


def walk(top: str, folders: Sequence[str] = ("",)) -> Iterator[tuple[str, os.stat_result]]:
    """Each file below a directory, and its status; no link is followed."""
    count = 0
    for folder in folders:
        for place, below, names in os.walk(top.rstrip("/") + folder):
            for name in (*below, *names):
                count += 1
                if count > FILES:
                    return
                path = f"{place}/{name}"
                try:
                    yield path.removeprefix(top.rstrip("/")), os.lstat(path)
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        raise


def rights(root: LinkingRoot, path: str) -> FileRights | None:
    """What a file lends; None where that is nothing, or the file is not there."""
    found = root.find(path)
    if found is None:
        return None
    place = found[0].rstrip("/") + found[1]
    status = os.lstat(place)
    if not stat.S_ISREG(status.st_mode):
        return None
    capabilities, effective = _capabilities(place)
    set_id = bool(status.st_mode & (stat.S_ISUID | stat.S_ISGID))
    return FileRights(found[1], capabilities, effective, set_id) if capabilities or set_id else None


def _capabilities(place: str) -> tuple[frozenset[int], bool]:
    """The permitted capabilities of a file, and whether they are effective at once."""
    try:
        found = executable.capabilities(os.getxattr(place, executable.ATTRIBUTE, follow_symlinks=False))
    except OSError:
        found = None
    if found is None:
        return frozenset(), False
    return frozenset(bit for bit in range(64) if found.permitted >> bit & 1), found.effective


def written(top: str) -> Iterator[str]:
    """Directories that a tree has for programs to write to, the upper ones alone."""
    last = "\0"
    for place in _WRITTEN:
        if not os.path.isdir(top.rstrip("/") + place):
            continue
        for path, status in walk(top, (place.rstrip("/"),)):
            if stat.S_ISDIR(status.st_mode) and not path.startswith(f"{last}/") and path.count("/") == place.count("/"):
                last = path
                yield path
