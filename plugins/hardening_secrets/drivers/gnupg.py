"""The driver `gpg`: values are encrypted at rest to a key of the caller's (GnuPG through python-gnupg)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardening import wholefile
from hardening.errors import UsageError
from hardening.secrets import SecretDriver, SecretError
from hardening_secrets.drivers import terminal
from hardening_secrets.drivers.files import Files
from hardening_secrets.store import read_private

if TYPE_CHECKING:
    import gnupg

_LONGEST = 1 << 20  # bytes of an encrypted value
_LOCKED = "gpg-agent asks for the passphrase, and there is no terminal to ask on"
_UNLOCK = "unlock the key first, such as by `gpg --decrypt` of something on a terminal, or run where there is one"


class GnuPG(SecretDriver):
    """One encrypted file for each value. Keeping a value needs the public key, reading it the secret one."""

    name: ClassVar[str] = "gpg"
    summary: ClassVar[str] = "files in the store, encrypted with GnuPG to a key of yours"
    known: ClassVar[Mapping[str, str]] = {
        "key": "the key to encrypt to: a fingerprint, or what else GnuPG finds one key by",
        "homedir": "GnuPG's directory; yours by default",
    }

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        for name in given:
            if name not in self.known:
                raise UsageError(f"the driver gpg has no option {name}", hint="the options are key and homedir")
        if not given.get("key"):
            raise UsageError(
                "the driver gpg needs a key", hint="--driver-opt key=FINGERPRINT (`gpg --list-secret-keys`)"
            )
        home = str(Path(given["homedir"]).absolute()) if given.get("homedir") else ""
        found = _program(home).list_keys(keys=[given["key"]])
        if len(found) != 1:
            what = "no key" if not found else f"{len(found)} keys"
            raise UsageError(
                f'GnuPG finds {what} by "{given["key"]}"', hint="`gpg --list-keys` lists them; name a fingerprint"
            )
        return {"key": found[0]["fingerprint"], **({"homedir": home} if home else {})}

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        done = _program(options.get("homedir", "")).encrypt(value, [options["key"]], armor=False, always_trust=True)
        if not done.ok:
            raise SecretError(
                f"GnuPG does not encrypt to {options['key']}: {_reason(done)}", hint="has the key expired?"
            )
        hint = "look at the directory and its disk"
        with wholefile.told(SecretError, "cannot keep the secret", origin=folder, hint=hint):
            wholefile.write(folder / key, done.data, 0o600)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        try:
            data = read_private(folder / key, _LONGEST)
        except OSError as error:
            raise SecretError(
                f"cannot read the secret: {error.strerror}", origin=folder / key, hint="create it anew"
            ) from None
        done = _program(options.get("homedir", "")).decrypt(data)
        if not done.ok:
            if _is_locked(done):
                raise SecretError(_LOCKED, hint=_UNLOCK)
            hint = f"the secret key {options['key']} is needed (`gpg --list-secret-keys`)"
            raise SecretError(f"GnuPG does not decrypt the secret: {_reason(done)}", hint=hint)
        return bytes(done.data)

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        Files().delete(folder, key, {})


def _program(home: str) -> gnupg.GPG:
    """GnuPG, which asks for a passphrase where there is a terminal, and else says that it cannot."""
    import gnupg

    found = shutil.which("gpg")
    if found is None:
        raise SecretError("GnuPG (gpg) is not installed", hint="install it, or choose another driver")
    tty = terminal.name()
    options = ["--batch"] if tty is not None else ["--batch", "--pinentry-mode", "error"]
    environment = {**os.environ, **({"GPG_TTY": tty} if tty is not None else {})}
    try:
        return gnupg.GPG(gpgbinary=found, gnupghome=home or None, options=options, env=environment)
    except (OSError, ValueError) as error:
        raise SecretError(f"GnuPG cannot be used: {error}", hint="`gpg --list-keys` shows what is wrong") from None


def _is_locked(done: Any) -> bool:
    text = f"{done.status} {done.stderr}".lower()
    return any(
        words in text for words in ("no pinentry", "inappropriate ioctl", "need passphrase", "operation cancelled")
    )


def _reason(done: Any) -> str:
    """What GnuPG says in its own words; it never quotes what it works on."""
    lines = [line.removeprefix("gpg: ") for line in str(done.stderr).splitlines() if line.startswith("gpg: ")]
    return str(lines[-1] if lines else done.status or "no reason given")
