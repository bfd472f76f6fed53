"""The scanners that are always there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from hardening.scankinds import CAPABILITIES, CREDENTIALS, DEVICES, SETGID, SETUID, UNREAD, WORLD_WRITABLE
from hardening.scanning import Entry, Found, Scanner
from hardening_scan import credentials
from hardening_scan.external import External
from hardening_scan.packages import Packages


class Modes(Scanner):
    """What the mode of a file says."""

    name = "modes"
    summary = "setuid and setgid programs, what everybody can write to, device nodes"
    kinds = (SETUID, SETGID, WORLD_WRITABLE, DEVICES)

    def entry(self, entry: Entry) -> Iterator[Found]:
        mode = entry.status.st_mode
        if stat.S_ISLNK(mode):
            return
        shown = f"mode {stat.S_IMODE(mode):04o}"
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            number = f"{os.major(entry.status.st_rdev)}:{os.minor(entry.status.st_rdev)}"
            yield Found(DEVICES, entry.path, f"{'character' if stat.S_ISCHR(mode) else 'block'} device {number}")
            return
        if stat.S_ISREG(mode):
            if mode & stat.S_ISUID:
                yield Found(SETUID, entry.path, shown)
            if mode & stat.S_ISGID:
                yield Found(SETGID, entry.path, shown)
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            yield Found(WORLD_WRITABLE, entry.path, shown)


class Capabilities(Scanner):
    """Capabilities in extended attributes."""

    name = "capabilities"
    summary = "programs with capabilities of their own"
    kinds = (CAPABILITIES,)

    def entry(self, entry: Entry) -> Iterator[Found]:
        if not stat.S_ISREG(entry.status.st_mode):
            return
        try:
            os.getxattr(f"/proc/self/fd/{entry.descriptor}", "security.capability")
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return
            if error.errno != errno.EOVERFLOW:  # of another user namespace, and there all the same
                yield Found(UNREAD, entry.path, f"its capabilities cannot be read: {error.strerror}")
                return
        yield Found(CAPABILITIES, entry.path, "security.capability")


class Credentials(Scanner):
    """Private keys, passwords and tokens."""

    name = "credentials"
    summary = "private keys, passwords and tokens"
    kinds = (CREDENTIALS,)

    def entry(self, entry: Entry) -> Iterator[Found]:
        if not stat.S_ISREG(entry.status.st_mode) or not entry.status.st_size:
            return
        try:
            data = entry.read(credentials.looked_at(entry.status.st_size))
        except OSError as error:
            yield Found(UNREAD, entry.path, f"cannot be read: {error.strerror}")
            return
        what = credentials.what(entry.path, data)
        if what:
            yield Found(CREDENTIALS, entry.path, what)


SCANNERS = (Modes(), Capabilities(), Credentials(), Packages(), External())
