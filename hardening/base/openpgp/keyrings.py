"""Verifying OpenPGP signed messages, and detached signatures, with GnuPG, in a home that is thrown away and holds only the
keys that are named.

The caller's own keyring is never looked at, no agent is started, nothing is fetched from anywhere. What GnuPG found is
taken from its status lines (``doc/DETAILS`` of GnuPG) and from nothing that is meant for people; anything else than
exactly one good signature over exactly one message is refused.
"""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from hardening.base import locks, places, state, trees, wholefile
from hardening.base.digest import sha256
from hardening.errors import HostError

if TYPE_CHECKING:
    from hardening.base.openpgp.gnupg import GnuPGResult

FOLDER = "keyrings"
#: The most that a signed message may hold, in bytes, however small it is compressed.
LONGEST = 4 << 20

_OPTIONS = (
    "--no-options", "--no-autostart", "--no-auto-key-retrieve", "--no-auto-key-import", "--disable-dirmngr",
    "--trust-model", "always", "--no-auto-check-trustdb", "--max-output", str(LONGEST),
    # Words for people hold text of the signature's maker: they stay apart from the status lines.
    "--logger-file", "/dev/null",
)  # fmt: skip
_RESULTS = ("GOODSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG")
_MISSING_KEY = "9"
#: Seconds of processor time to check one message, and how GnuPG ends when they are used up (setrlimit(2)).
_SECONDS = 3
_ENDED = (-signal.SIGXCPU, -signal.SIGKILL)
#: Errors of the system, such as a full disk, among the codes of libgpg-error.
_OF_SYSTEM = 0x8000
_ROOM = state.remedy(OSError(errno.ENOSPC, ""))


class OpenPGPNotSigned(ValueError):
    """The data is no good signature by one of the keys; the text says why."""


class TooSlow(OpenPGPNotSigned):
    """It takes GnuPG too long to check it: a few bytes, compressed several times, become any number."""


@attrs.frozen
class Signed:
    """A message with a good signature: its content, the fingerprint of the key that signed and of its primary key, the
    time when the signature or the key expires, in seconds since 1970, or None, and the digest that is signed, by its number
    (RFC 9580, 9.5)."""

    content: bytes
    key: str
    primary: str
    expires: int | None
    digest: int


@attrs.frozen(eq=False)
class Keyring:
    """The keys of one requirement in a home of their own. ``primaries`` are the fingerprints of its primary keys."""

    _gpg: Any
    _home: Path
    primaries: frozenset[str]
    _expiries: Mapping[str, int]

    def verify(self, data: bytes) -> Signed:
        """What a signed message holds. Raises `OpenPGPNotSigned`, and `HostError` where GnuPG does not work."""
        result = self._gpg.verify(data, extra_args=["--output", "-"])
        return self._signed(result, bytes(result.data), data)

    def verify_detached(self, data: bytes, signature: bytes) -> Signed:
        """Of ``data``, of which this is the signature, the same. Raises as `verify` does."""
        file = self._home / "signature"
        with _errors_of(self._home):
            file.write_bytes(signature)
        return self._signed(self._gpg.verify_data(str(file), data), data, signature, detached=True)

    def _signed(self, result: GnuPGResult, content: bytes, signature: bytes, *, detached: bool = False) -> Signed:
        from hardening.base.openpgp import gnupg

        if result.returncode in _ENDED:
            raise TooSlow("Invalid GPG signature: GnuPG takes too long to check it")
        lines = gnupg.status(result)
        found = _one_result(lines, signature, detached=detached)
        valid = [words for keyword, words in lines if keyword == "VALIDSIG"]
        if found != "GOODSIG" or result.returncode != 0 or len(valid) != 1 or len(valid[0]) < 10:
            raise OpenPGPNotSigned(_reason(found, lines))
        key, until, digest, primary = (valid[0][number] for number in (0, 3, 7, 9))
        if not (_is_number(until) and _is_number(digest)):
            raise OpenPGPNotSigned(f"Invalid GPG signature: GnuPG says that it ends at {until}, with digest {digest}")
        if primary not in self.primaries:
            raise OpenPGPNotSigned(f"Signature by key {primary} is not accepted")
        times = [int(until), self._expiries.get(key, 0), self._expiries.get(primary, 0)]
        return Signed(content, key, primary, min((time for time in times if time), default=None), int(digest))


@attrs.frozen(eq=False)
class Keyrings:
    """The keyrings of a process: one for each set of keys, made when it is asked for."""

    _place: Path
    _made: dict[str, Keyring] = attrs.field(factory=dict)

    def of(self, keys: Sequence[bytes]) -> Keyring:
        """The keyring of these files of keys, armoured or not. Raises `HostError`."""
        name = sha256(b"".join(sha256(data).encode() for data in keys))
        if name not in self._made:
            self._made[name] = _import(self._place / name, keys)
        return self._made[name]


@contextmanager
def keyrings() -> Iterator[Keyrings]:
    """A place for keyrings, in the state directory, and gone afterwards; what a process left there that was killed goes
    with the next one. Raises `LaunchError` without a state directory, and `HostError` where it has no room."""
    folder = state.directory() / FOLDER
    with _errors_of(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        _prune(folder)
        place = locks.lock(str(folder), shared=True)
        name = places.new_id()
        try:
            lock = locks.make(name, place, 0o700)
        finally:
            os.close(place)
    try:
        yield Keyrings(folder / name)
    finally:
        _remove(folder / name)
        os.close(lock)


def _prune(folder: Path) -> None:
    """Remove what nobody holds."""
    if not os.listdir(folder):
        return
    alone = locks.lock(str(folder))
    try:
        left = [(path, lock) for path in folder.iterdir() if (lock := locks.try_lock(str(path))) is not None]
    finally:
        os.close(alone)
    for path, lock in left:
        _remove(path)
        os.close(lock)


def _remove(folder: Path) -> None:
    # A key agent that ends there is no matter: who comes next removes what is left.
    with suppress(OSError):
        trees.remove(str(folder))


def _import(home: Path, keys: Sequence[bytes]) -> Keyring:
    from hardening.base.openpgp import gnupg

    with _errors_of(home.parent.parent):
        home.mkdir(mode=0o700)
    gpg = gnupg.start(home, _OPTIONS)
    checking = gnupg.start(home, _OPTIONS, cpu=_SECONDS)
    primaries: set[str] = set()
    for data in keys:
        result = gpg.import_keys(data)
        if any(code & _OF_SYSTEM for code in gnupg.codes(result)):
            raise HostError("GnuPG cannot write keys", origin=home.parent.parent, hint=_ROOM)
        lines = gnupg.status(result)
        primaries.update(words[1] for keyword, words in lines if keyword == "IMPORT_OK" and len(words) > 1)
    return Keyring(checking, home, frozenset(primaries), _expiries(gpg) if primaries else MappingProxyType({}))


def _errors_of(folder: Path) -> AbstractContextManager[None]:
    """Tell an `OSError` in the place of keyrings."""
    hint = "set HARDENING_STATE to a directory of your own"
    return wholefile.errors_as(HostError, "cannot write the keys", origin=folder, hint=hint, room=_ROOM)


def _expiries(gpg: Any) -> Mapping[str, int]:
    """When each key that expires does so, by fingerprint."""
    found, expires = dict[str, int](), ""
    for row in gpg.rows(["--list-keys"]):
        if row[0] in ("pub", "sub"):
            expires = row[6]
        elif row[0] == "fpr" and expires.isdecimal():
            found[row[9]] = int(expires)
    return MappingProxyType(found)


def _one_result(lines: Sequence[tuple[str, list[str]]], data: bytes, *, detached: bool = False) -> str:
    """The keyword of the one result that a signed message has, or a signature apart from it. Raises `OpenPGPNotSigned`."""
    count = Counter(keyword for keyword, _ in lines)
    results = [keyword for keyword, _ in lines if keyword in _RESULTS]
    if "DECRYPTION_INFO" in count or "BEGIN_DECRYPTION" in count or "UNEXPECTED" in count:
        raise OpenPGPNotSigned("Invalid GPG signature: it is encrypted, or no signed message at all")
    if count["NEWSIG"] > 1 or len(results) > 1:
        raise OpenPGPNotSigned(f"Unexpected GPG signature count {max(count.get('NEWSIG', 0), len(results))}")
    if detached and count["PLAINTEXT"]:
        raise OpenPGPNotSigned("Invalid GPG signature: it is a message of its own, and no detached signature")
    if count["PLAINTEXT"] != 1 and not detached:
        kind = "it is a detached signature, without what it signs" if _is_signature(data) else "it is corrupt"
        raise OpenPGPNotSigned(f"Invalid GPG signature: {kind}")
    if not results:
        raise OpenPGPNotSigned("Invalid GPG signature: the message in it is not signed")
    return results[0]


def _is_signature(data: bytes) -> bool:
    """Whether data begins with a signature packet (RFC 9580, 4.2: tag 2 in the old and the new form)."""
    return data[:1] in (b"\x88", b"\x89", b"\x8a", b"\x8b", b"\xc2")


def _reason(found: str, lines: Sequence[tuple[str, list[str]]]) -> str:
    """Why a signature is refused that is not simply good."""
    words = next(words for keyword, words in lines if keyword == found)
    valid = next((words for keyword, words in lines if keyword == "VALIDSIG"), [])
    key = _named(valid, words)
    if found == "EXPSIG":
        return f"Invalid GPG signature: it expired on {_date(valid[3:4])}, made by key {key}"
    if found == "EXPKEYSIG":
        return f"Invalid GPG signature: key {key} expired{_when_expired(lines)}"
    if found == "REVKEYSIG":
        return f"Invalid GPG signature: key {key} is revoked"
    if found == "BADSIG":
        return (
            f"Invalid GPG signature: what key {key} signed has been changed, or holds a critical part that is unknown"
        )
    if found == "ERRSIG" and words[5:6] == [_MISSING_KEY]:
        return f"Invalid GPG signature: made by the unknown key {key}"
    if found == "ERRSIG":
        return f"Invalid GPG signature: GnuPG cannot check it (code {words[5] if len(words) > 5 else '?'}), key {key}"
    return f"Invalid GPG signature: GnuPG does not accept it, made by key {key}"


def _named(valid: Sequence[str], words: Sequence[str]) -> str:
    """The key that has signed, and of a subkey also its primary key: a signature does not always have its fingerprint."""
    if len(valid) > 9:
        return valid[0] if valid[0] == valid[9] else f"{valid[0]} (a subkey of {valid[9]})"
    fingerprint = next((word for word in words[6:7] if word != "-"), "")  # of ERRSIG alone
    return fingerprint or (words[0] if words else "unknown")


def _when_expired(lines: Sequence[tuple[str, list[str]]]) -> str:
    times = [words[:1] for keyword, words in lines if keyword == "KEYEXPIRED"]
    return f" on {_date(times[-1])}" if times else ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _date(words: Sequence[str]) -> str:
    """A time of a status line, in seconds or in ISO 8601 (``doc/DETAILS``), as a date."""
    import time

    text = words[0] if words else ""
    if "T" in text:
        return f"{text[:4]}-{text[4:6]}-{text[6:8]}"
    return time.strftime("%Y-%m-%d", time.gmtime(int(text))) if _is_number(text) else "an unknown date"
