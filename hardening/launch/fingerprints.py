"""Fingerprints: what a composition depends on, asked again in the same words.

A fingerprint is the text that a kind and an argument give; a cache entry holds those of when it was composed. Long texts,
and all values of the environment, are there as SHA-256 only. Taking one neither blocks nor raises. What cannot be read as a
whole gives another text every time.
"""

from __future__ import annotations

import _stat as stat
import errno

from hardening.base import files
from hardening.base.digest import sha256
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_BYTES = 16 << 20
ABSENT = "-"
#: What is seen of a variable that is set, whatever its value.
SET = "+"
#: The kind of a command's own, for what was judged of one alone: whoever takes it knows the command.
COMMAND = "command"
_LONGEST = 64
_PACKAGES = (".dist-info", ".egg-info", ".egg-link", ".pth")
_ANNOUNCED = "entry_points.txt"


def take(kind: str, argument: str) -> str:
    """One fingerprint; `KeyError` for a kind that there is not."""
    try:
        return KINDS[kind](argument)
    except ValueError:  # a NUL, or what no file system's encoding can say: nothing has such a name
        return f"!{errno.EINVAL}"


def name(path: str) -> str:
    """One name, not followed: the mode of what it stands for, its owner, and the target of a link (lstat(2)). As long as
    each name on a way is the same, the way leads to the same place."""
    try:
        status = os.lstat(path)
        target = f" {os.readlink(path)}" if stat.S_ISLNK(status.st_mode) else ""
    except OSError as error:
        return _failure(error)
    return f"{status.st_mode:o} {status.st_uid}{target}"


def file(path: str) -> str:
    """The content of a regular file, or of one that the kernel makes up; one of more than `MAX_BYTES` is never the same."""
    try:
        return _digest(_read(path))
    except OSError as error:
        return _failure(error)


def lines(argument: str) -> str:
    """The lines of a file that begin with certain words: the argument is the path and each word, between newlines."""
    path, *words = argument.split("\n")
    try:
        text = _read(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        return _failure(error)
    return _short("\n".join(line for line in text.split("\n") if line.startswith(tuple(words))))


def code(path: str) -> str:
    """A file that is too large or one of too many to be read: its inode, and when it was changed last (ctime,
    stat(2)). Every change of its content, its mode or its attributes sets that, and nobody can set it to what they like."""
    try:
        status = os.stat(path)
    except OSError as error:
        return _failure(error)
    return f"{status.st_ino} {status.st_ctime_ns}"


def inode(path: str) -> str:
    """Which file a path leads to, whatever becomes of its content, and how many names it has (stat(2))."""
    try:
        status = os.stat(path)
    except OSError as error:
        return _failure(error)
    return f"{status.st_dev} {status.st_ino} {status.st_nlink}"


def entries(path: str) -> str:
    """The names in a directory, with the type of each and the targets of links."""
    try:
        with os.scandir(path) as found:
            rows = sorted(_entry(entry) for entry in found)
    except OSError as error:
        return _failure(error)
    return _short("\n".join(rows))


def _entry(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return f"{entry.name} l {os.readlink(entry.path)}"
    return f"{entry.name} {'d' if entry.is_dir(follow_symlinks=False) else 'f'}"


def names(path: str) -> str:
    """The names in a directory, and nothing else of them."""
    try:
        return _short(" ".join(sorted(os.listdir(path))))
    except OSError as error:
        return _failure(error)


def empty(path: str) -> str:
    """Whether a directory holds nothing."""
    try:
        return "no" if os.listdir(path) else "yes"
    except OSError as error:
        return _failure(error)


def access(argument: str) -> str:
    """What the caller may do with a file, of the letters before the path: ``rw /sys/fs/cgroup`` (access(2))."""
    letters, _, path = argument.partition(" ")
    modes = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}
    return "".join(letter for letter in letters if os.access(path, modes[letter])) or ABSENT


def mounts(kinds: str) -> str:
    """The mounts of the caller, without the numbers that each mount namespace gives them anew: those of the named types of
    file systems, or all, and then what each is mounted in, and which no bind mount takes along (proc_pid_mountinfo(5))."""
    from hardening.base.linux import mountinfo

    wanted = kinds.split()
    try:
        text = _read("/proc/self/mountinfo").decode("utf-8", "surrogateescape")
    except OSError as error:
        return _failure(error)
    table = [mountinfo.fields(line) for line in mountinfo.lines(text)]
    places = {before[0]: str(index) for index, (before, _) in enumerate(table)}
    rows = []
    for before, after in table:
        if not wanted:
            parent = places.get(before[1], "-") if len(before) > 1 else "-"
            rows.append(" ".join((parent, *before[2:6], *(tag for tag in before[6:] if tag == "unbindable"), *after)))
        elif after[0] in wanted:
            rows.append(" ".join((*before[2:6], *after)))
    return _short("\n".join(rows))


def packages(path: str) -> str:
    """The packages that are installed in a directory of `sys.path`, with their versions and what each announces of itself
    or does not, and the links to others."""
    try:
        found = sorted(entry for entry in os.listdir(path) if entry.endswith(_PACKAGES))
    except OSError as error:
        return _failure(error)
    files = (f"{entry}/{_ANNOUNCED}" if entry.endswith("-info") else entry for entry in found)
    return _short("\n".join([f"{file} {code(f'{path}/{file}')}" for file in files]))


def variable(key: str) -> str:
    """A variable of the environment, of which only the digest is told."""
    value = _value(key)
    return ABSENT if value is None else sha256(value)


def passed(key: str) -> str:
    """A variable that is passed on as it is at each run: whether it is set, and which value where that has the form of an
    address, which may hold a password, or is no text."""
    return of_passed(_value(key))


def _value(key: str) -> bytes | None:
    variables: dict[bytes, bytes] = os.environ  # type: ignore[assignment]  # which `posix` has as bytes
    return variables.get(files.encode(key))


def of_passed(value: bytes | None) -> str:
    """What `passed` says of a value, None where the variable is not set."""
    if value is None:
        return ABSENT
    try:
        value.decode()
    except UnicodeDecodeError:
        return sha256(value)
    return sha256(value) if b"://" in value else SET


def folder(_: str) -> str:
    """The folder where somebody stands, where a path counts from there."""
    return _short(os.getcwd())


def before(seconds: str) -> str:
    """Whether a time, in seconds since 1970, is still to come."""
    from time import time  # which some time zones forbid, as `guarded.require_clock` says before any look is taken

    return "yes" if time() < int(seconds) else "no"


KINDS: dict[str, Callable[[str], str]] = {
    "name": name,
    "file": file,
    "lines": lines,
    "code": code,
    "inode": inode,
    "entries": entries,
    "names": names,
    "empty": empty,
    "access": access,
    "mounts": mounts,
    "packages": packages,
    "variable": variable,
    "passed": passed,
    "folder": folder,
    "before": before,
}


def of_command(words: Sequence[str]) -> str:
    """What is seen of a command."""
    return sha256("\0".join(words).encode("utf-8", "surrogateescape"))


def tree(directory: str) -> str:
    """Everything below a directory, by mode, owner, group, and content's size or link's target. Raises `OSError`."""
    rows: list[str] = []
    _grow(directory, "", rows)
    return sha256("\n".join(sorted(rows)).encode("utf-8", "surrogateescape"))


def _grow(directory: str, above: str, rows: list[str]) -> None:
    with os.scandir(directory) as found:
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            what = ""
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(entry.path)
            elif stat.S_ISDIR(status.st_mode):
                _grow(entry.path, f"{above}{entry.name}/", rows)
            else:
                what = str(status.st_size)
            rows.append(f"{above}{entry.name} {status.st_mode:o} {status.st_uid} {status.st_gid} {what}")


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        parts = []
        left = MAX_BYTES
        while part := os.read(fd, 1 << 16):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise OSError(errno.EFBIG, "too large to be looked at")
        return b"".join(parts)
    finally:
        os.close(fd)


def _failure(error: OSError) -> str:
    if error.errno == errno.EFBIG:  # nobody can tell whether it is the same
        return f"!{errno.EFBIG} {os.urandom(8).hex()}"
    return ABSENT if error.errno in (errno.ENOENT, errno.ENOTDIR) else f"!{error.errno}"


def _digest(data: bytes) -> str:
    return sha256(data)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else sha256(text.encode("utf-8", "surrogateescape"))
