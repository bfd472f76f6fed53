"""The driver `gpg`: values are encrypted at rest to a key of the caller's (GnuPG through python-gnupg)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardening.base import wholefile
from hardening.errors import HostError, UsageError
from hardening.mechanism.secret_driver import LONGEST, SecretDriver, SecretError
from hardening_secrets.drivers.files import Files
from hardening_secrets.store import read_private

if TYPE_CHECKING:
    from hardening.base.openpgp.gnupg import GnuPG as Program

_LONGEST = 1 << 20  # bytes of an encrypted value
_LOCKED = "gpg-agent asks for the passphrase, and there is no terminal to ask on"
_UNLOCK = "unlock the key first, such as by `gpg --decrypt` of something on a terminal, or run where there is one"


class GnuPGDriver(SecretDriver):
    """One encrypted file for each value. Keeping a value needs the public key, reading it the secret one."""

    name: ClassVar[str] = "gpg"
    summary: ClassVar[str] = "files in the store, encrypted with GnuPG to a key of yours"
    known: ClassVar[Mapping[str, str]] = {
        "key": "the key to encrypt to: a fingerprint, or what else GnuPG finds one key by",
        "homedir": "GnuPG's directory; yours by default",
    }

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        super().options(given)
        if not given.get("key"):
            raise UsageError(
                "the driver gpg needs a key", hint="--driver-opt key=FINGERPRINT (`gpg --list-secret-keys`)"
            )
        home = str(Path(given["homedir"]).absolute()) if given.get("homedir") else ""
        with _program(home) as program:
            found = program.list_keys(keys=[given["key"]])
        if len(found) != 1:
            what = "no key" if not found else f"{len(found)} keys"
            raise UsageError(
                f'GnuPG finds {what} by "{given["key"]}"', hint="`gpg --list-keys` lists them; name a fingerprint"
            )
        return {"key": found[0]["fingerprint"], **({"homedir": home} if home else {})}

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        with _program(options.get("homedir", "")) as program:
            done = program.encrypt(value, [options["key"]], armor=False, always_trust=True)
            if not done.ok:
                reason, hint = _not_encrypted(done)
                raise SecretError(f"GnuPG does not encrypt to {options['key']}: {reason}", hint=hint)
        hint = "check the directory and its disk"
        with wholefile.errors_as(SecretError, "cannot keep the secret", origin=folder, hint=hint):
            wholefile.write(folder / key, done.data, 0o600)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        try:
            data = read_private(folder / key, _LONGEST)
        except OSError as error:
            raise SecretError(
                f"cannot read the secret: {error.strerror}", origin=folder / key, hint="create it anew"
            ) from None
        with _program(options.get("homedir", "")) as program:
            done = program.decrypt(data, extra_args=["--max-output", str(LONGEST)])
            if not done.ok:
                raise _not_decrypted(done, options["key"])
        return bytes(done.data)

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        Files().delete(folder, key, {})


@contextmanager
def _program(home: str) -> Iterator[Program]:
    """GnuPG, whose agent asks for a passphrase where there is a terminal. What it raises is a `SecretError`."""
    from hardening.base.openpgp import gnupg

    try:
        yield gnupg.start(Path(home) if home else None, asks=True, private=True)
    except HostError as error:
        raise SecretError(error.message, hint=error.hint) from None


def _not_encrypted(done: Any) -> tuple[str, str]:
    """Why there is no encrypted value, and what to do."""
    from hardening.base.openpgp import gnupg

    keywords = {keyword for keyword, _ in gnupg.status(done)}
    if "KEYEXPIRED" in keywords:
        return "the key has expired", "have it prolonged, or create the secret with another one"
    if "KEYREVOKED" in keywords:
        return "the key is revoked", "create the secret with another one"
    return _code(done), "see what `gpg --encrypt` to that key says"


def _not_decrypted(done: Any, key: str) -> SecretError:
    """Why there is no value."""
    from hardening.base.openpgp import gnupg

    codes, keywords = gnupg.codes(done), {keyword for keyword, _ in gnupg.status(done)}
    if codes & gnupg.NOBODY_TO_ASK:
        return SecretError(_LOCKED, hint=_UNLOCK)
    if gnupg.BAD_PASSPHRASE in codes:
        return SecretError("wrong passphrase", hint="try again")
    if gnupg.NO_SECRET_KEY in codes:
        hint = "`gpg --list-secret-keys` lists those that you have"
        return SecretError(f"GnuPG does not decrypt the secret: its secret key {key} is missing", hint=hint)
    if "NODATA" in keywords or "DECRYPTION_FAILED" in keywords:
        hint = "create it anew"
        return SecretError("GnuPG does not decrypt the secret: the ciphertext is corrupt", hint=hint)
    return SecretError(
        f"GnuPG does not decrypt the secret: {_code(done)}", hint="see what `gpg --decrypt` of its file says"
    )


def _code(done: Any) -> str:
    from hardening.base.openpgp import gnupg

    return f"error {', '.join(map(str, sorted(gnupg.codes(done)))) or 'unknown'}"
