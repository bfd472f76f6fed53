"""Signing with a key of the caller's, in the caller's GnuPG home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from hardening.base import wholefile
from hardening.base.openpgp import gnupg
from hardening.errors import LaunchError, UsageError

_LONGEST_PASSPHRASE = 4096


@attrs.frozen(eq=False)
class Signer:
    """A key that signs. ``fingerprint`` is its primary key's; ``user`` what GnuPG is told to sign with."""

    _gpg: Any
    fingerprint: str
    user: str
    _passphrase: str | None

    def sign(self, data: bytes, *, detach: bool = False) -> bytes:
        """A signed message of ``data``, or the signature alone, armoured. Raises `LaunchError`."""
        result = self._gpg.sign(
            data, keyid=self.user, passphrase=self._passphrase, clearsign=False, detach=detach, binary=not detach
        )
        if result.returncode != 0 or not result.data:
            raise _failed(result, self.fingerprint)
        return bytes(result.data)


def signer(key: str, passphrase_file: Path | None = None, home: Path | None = None) -> Signer:
    """The caller's secret key that ``key`` names: a fingerprint, an id, or a user id of one key alone.

    The agent asks for a passphrase where there is a terminal; where there is none, one that it does not know comes from
    the file. Raises `UsageError` for a key that is missing, ambiguous or of no use, and `HostError` without GnuPG.
    """
    passphrase = None if passphrase_file is None else _passphrase(passphrase_file)
    options = ["--logger-file", "/dev/null", "--no-auto-key-retrieve", "--no-auto-key-locate"]
    gpg = gnupg.start(home, options, asks=passphrase is None)
    found = [item for item in gpg.list_keys(secret=True, keys=[key]) if item["type"] == "sec"]
    if not found:
        raise UsageError(f'there is no secret key "{key}"', hint="`gpg --list-secret-keys` shows those that you have")
    if len(found) > 1:
        several = ", ".join(item["fingerprint"] for item in found)
        raise UsageError(f'"{key}" is more than one secret key: {several}', hint="name one of them by its fingerprint")
    return Signer(gpg, found[0]["fingerprint"], _user(key, found[0]), passphrase)


def _user(key: str, found: Any) -> str:
    """What to sign with: the primary key where it can sign, for many programs refuse a subkey's signature; else what
    GnuPG chooses. One named with an exclamation mark is taken as it is (gpg(1), how to specify a user id)."""
    fingerprint = str(found["fingerprint"])
    if key.endswith("!"):
        return key
    if "S" not in found["cap"]:
        raise UsageError(
            f"the key {fingerprint} cannot sign, or has expired or been revoked", hint="use another one, or renew it"
        )
    return f"{fingerprint}!" if "s" in found["cap"] else fingerprint


def _passphrase(path: Path) -> str:
    try:
        data = wholefile.read(path, _LONGEST_PASSPHRASE)
    except OSError as error:
        raise UsageError(f"cannot read the passphrase: {error.strerror}", origin=path, hint="name a file") from None
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError("the passphrase is not UTF-8", origin=path, hint="save it as UTF-8") from None
    if "\n" in text or len(data) > _LONGEST_PASSPHRASE:
        raise UsageError("the passphrase is not a single line", origin=path, hint="put it alone into the file")
    return text


def _failed(result: Any, key: str) -> LaunchError:
    """Why GnuPG has not signed, from its status lines."""
    codes = gnupg.codes(result)
    if gnupg.BAD_PASSPHRASE in codes:
        return LaunchError(f"wrong passphrase of key {key}", hint="check the file of --passphrase-file")
    if codes & gnupg.NOBODY_TO_ASK:
        return LaunchError(
            f"key {key} has a passphrase, and nobody can be asked for it: there is no terminal, or no pinentry",
            hint="put it into a file that only you can read: --passphrase-file FILE; or unlock the key first",
        )
    said = ", ".join(map(str, sorted(codes))) or "none"
    return LaunchError(f"GnuPG has not signed with key {key} (error {said})", hint="see what `gpg --sign` says")
