"""Files of keys: whose they are, until when they hold, and who else could have written them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import attrs

from hardening.base import places, wholefile
from hardening.base.values import frozen
from hardening.errors import ProfileError

LONGEST = 16 << 20
_REVOKED = "r"


@frozen
class Key:
    """A key: its fingerprint, the first user that its primary key names, and when it expires, in seconds since 1970.
    ``may_sign`` says whether it was made to sign, and ``signs`` whether it or a subkey of it can at present."""

    fingerprint: str
    user: str
    expires: int | None
    revoked: bool
    may_sign: bool = False
    signs: bool = False
    subkeys: tuple[Key, ...] = ()

    @property
    def expired(self) -> bool:
        """Whether it has expired."""
        return self.expires is not None and self.expires <= time.time()


def read(path: Path) -> bytes:
    """The content of a file of keys. Raises `ProfileError` where it is missing, or other users can write to it: whoever can
    does decide which images are used."""
    return wholefile.read_trusted(path, "the key", LONGEST, hint="name a file that is there")


def read_bare(path: Path) -> bytes:
    """The content of a file of keys, whoever could have written it, as podman and skopeo take it. Raises `ProfileError`."""
    try:
        data = wholefile.read(path, LONGEST)
    except OSError as error:
        problem = f"cannot read the key: {error.strerror}"
        raise ProfileError(problem, origin=path, hint="name a file that is there") from None
    if len(data) > LONGEST:
        raise ProfileError(f"the key is larger than {LONGEST} bytes", origin=path, hint="export less keys into it")
    return data


def gpg(data: bytes) -> tuple[Key, ...]:
    """The OpenPGP keys in a file's content; none where it holds none. Raises `HostError` where GnuPG does not work."""
    from hardening.base.openpgp import gnupg

    with tempfile.TemporaryDirectory(prefix="hardening-keys-", dir=places.temporary(os.environ)) as home:
        options = ("--no-options", "--no-autostart", "--no-auto-key-locate")
        rows = gnupg.start(Path(home), options).rows(["--show-keys"], data)
    return tuple(_keys(rows))


def _keys(rows: list[list[str]]) -> Iterator[Key]:
    """The primary keys of GnuPG's listing with colons (doc/DETAILS)."""
    starts = [number for number, row in enumerate(rows) if row[0] == "pub"]
    for start, end in pairwise([*starts, len(rows)]):
        part = rows[start:end]
        user = next((row[9] for row in part if row[0] == "uid"), "")
        below = [number for number, row in enumerate(part) if row[0] == "sub"]
        yield attrs.evolve(_key(part, user), subkeys=tuple(_key(part[number:], user) for number in below))


def _key(rows: list[list[str]], user: str) -> Key:
    """The key of the first row."""
    first = rows[0]
    fingerprint = next((row[9] for row in rows if row[0] == "fpr"), "")
    expires = int(first[6]) if first[6].isdecimal() else None
    return Key(fingerprint, user, expires, first[1] == _REVOKED, "s" in first[11], "S" in first[11])
