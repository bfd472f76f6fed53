"""Users and groups of a root directory, read from its /etc/passwd and /etc/group (passwd(5), group(5))."""

from __future__ import annotations

import os
from pathlib import Path

from hardening.base import files
from hardening.base.files import Opened
from hardening.base.linux import abi, kernel
from hardening.base.values import frozen
from hardening.errors import HostError
from hardening_process.kinds import ID_DIGITS, MAX_ID

MAX_BYTES = 4 << 20


@frozen
class Account:
    """One entry of passwd(5)."""

    name: str
    uid: int
    gid: int
    home: str


@frozen
class Accounts:
    """The accounts of one root; ``root`` is its directory, for messages."""

    root: Path
    users: tuple[Account, ...]
    groups: tuple[tuple[str, int], ...]

    @classmethod
    def read(cls, root: Path) -> Accounts:
        """Read both files; a missing one is an empty one. Raises `HostError` for one that cannot be read."""
        return cls(root, tuple(_users(_text(root, "etc/passwd"))), tuple(_groups(_text(root, "etc/group"))))

    def user(self, name: str) -> Account | None:
        """The account of this name, or None."""
        return next((account for account in self.users if account.name == name), None)

    def by_uid(self, uid: int) -> Account | None:
        """The first account with this user id, or None."""
        return next((account for account in self.users if account.uid == uid), None)

    def home(self, uid: int) -> str:
        """The home directory of a user id; `/` where there is none."""
        account = self.by_uid(uid)
        return account.home if account is not None and account.home.startswith("/") else "/"

    def group(self, name: str) -> int | None:
        """The id of the group of this name, or None."""
        return next((gid for known, gid in self.groups if known == name), None)


def _users(text: str) -> list[Account]:
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and _is_id(fields[2]) and _is_id(fields[3]):
            found.append(Account(fields[0], int(fields[2]), int(fields[3]), fields[5]))
    return found


def _groups(text: str) -> list[tuple[str, int]]:
    rows = [line.split(":") for line in text.splitlines()]
    return [(row[0], int(row[2])) for row in rows if len(row) >= 3 and _is_id(row[2])]


def _is_id(text: str) -> bool:
    """Whether it is a number that an id can be: the C library passes over what has another."""
    return text.isascii() and text.isdecimal() and len(text) <= ID_DIGITS and int(text) <= MAX_ID


def _text(root: Path, name: str) -> str:
    try:
        with Opened(os.open(root, os.O_PATH | os.O_CLOEXEC)) as top, os.fdopen(_open(top, name), "rb") as file:
            return file.read(MAX_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise HostError(f"cannot read the accounts of the root: {error.strerror}", origin=root / name) from None


def _open(top: int, name: str) -> int:
    """A descriptor of a file in a root that is open, to which links lead as if that were `/`."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    return files.regular(kernel.openat2(top, name.encode(), flags, abi.IN_ROOT), name)
