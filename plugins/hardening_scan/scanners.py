"""The scanners that are always there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from hardening.base.linux import abi, executable
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.scanner import (
    CAPABILITIES,
    CREDENTIALS,
    DEVICES,
    SETGID,
    SETUID,
    UNREAD,
    WORLD_WRITABLE,
    Detection,
    RootEntry,
    Scanner,
)
from hardening_scan import credentials
from hardening_scan.packages import Packages


class OfTheRoot(Scanner):
    """Judges by nothing but the root."""

    def inputs(self) -> Inputs:
        return ()


class Modes(OfTheRoot):
    """What the mode of a file says."""

    name = "modes"
    summary = "setuid and setgid programs, what everybody can write to, device nodes"
    kinds = (SETUID, SETGID, WORLD_WRITABLE, DEVICES)

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        mode = entry.status.st_mode
        if stat.S_ISLNK(mode):
            return
        shown = f"mode {stat.S_IMODE(mode):04o}"
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            number = f"{os.major(entry.status.st_rdev)}:{os.minor(entry.status.st_rdev)}"
            yield Detection(DEVICES, entry.path, f"{'character' if stat.S_ISCHR(mode) else 'block'} device {number}")
            return
        if stat.S_ISREG(mode):
            if mode & stat.S_ISUID:
                yield Detection(SETUID, entry.path, shown)
            if mode & stat.S_ISGID:
                yield Detection(SETGID, entry.path, shown)
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            yield Detection(WORLD_WRITABLE, entry.path, shown)


class FileCapabilities(OfTheRoot):
    """Capabilities in extended attributes."""

    name = "capabilities"
    summary = "programs with capabilities of their own"
    kinds = (CAPABILITIES,)

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        if not stat.S_ISREG(entry.status.st_mode):
            return
        value = b""
        try:
            value = os.getxattr(f"/proc/self/fd/{entry.descriptor}", executable.ATTRIBUTE)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return
            if error.errno != errno.EOVERFLOW:  # of another user namespace, and there all the same
                yield Detection(UNREAD, entry.path, f"its capabilities cannot be read: {error.strerror}")
                return
        yield Detection(CAPABILITIES, entry.path, granted(value) or executable.ATTRIBUTE)


def granted(value: bytes) -> str:
    """The capabilities of a file as getcap(8) shows them; empty for what is no such attribute."""
    found = executable.capabilities(value)
    if found is None:
        return ""
    by_letters: dict[str, list[str]] = {}
    for number in range(64):
        there = {"e": found.effective, "i": found.inheritable >> number & 1, "p": found.permitted >> number & 1}
        letters = "".join(letter for letter in "eip" if there[letter])
        if letters.strip("e"):
            name = abi.CAPABILITIES[number].lower() if number < len(abi.CAPABILITIES) else str(number)
            by_letters.setdefault(letters, []).append(name)
    every = len(abi.CAPABILITIES)
    return " ".join(
        f"{'all' if len(names) >= every else ','.join(names)}={letters}" for letters, names in by_letters.items()
    )


class CredentialFiles(OfTheRoot):
    """Private keys, passwords and tokens."""

    name = "credentials"
    summary = "private keys, passwords and tokens"
    kinds = (CREDENTIALS,)

    def entry(self, entry: RootEntry) -> Iterator[Detection]:
        if not stat.S_ISREG(entry.status.st_mode) or not entry.status.st_size:
            return
        try:
            size = entry.status.st_size
            data = entry.read(credentials.looked_at(size))
            what = credentials.what(entry.path, data)
            if not what and credentials.searched(size, data):
                what = credentials.within(entry.pieces(credentials.WHOLE))
        except OSError as error:
            yield Detection(UNREAD, entry.path, f"cannot be read: {error.strerror}")
            return
        if what:
            yield Detection(CREDENTIALS, entry.path, what)


SCANNERS = (Modes(), FileCapabilities(), CredentialFiles(), Packages())
