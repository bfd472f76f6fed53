"""The driver `pass`: values are kept by the standard unix password manager, password-store (pass(1))."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardening.base import places, state
from hardening.base.programs import terminal
from hardening.errors import UsageError, quoted
from hardening.mechanism.secret_driver import SecretDriver, SecretError
from hardening_secrets.drivers import programs

_PREFIX = "hardening"
_SETTINGS = "PASSWORD_STORE_GPG_OPTS"


class PasswordStore(SecretDriver):
    """Each value is an entry of ``pass``, below one folder."""

    name: ClassVar[str] = "pass"
    summary: ClassVar[str] = "entries of the password manager pass"
    known: ClassVar[Mapping[str, str]] = {
        "prefix": f"the folder of the entries; `{_PREFIX}` by default",
        "dir": "the password store (PASSWORD_STORE_DIR); yours by default",
    }

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        super().options(given)
        prefix = given.get("prefix", _PREFIX).strip("/")
        if not prefix or prefix.startswith("-") or ".." in prefix.split("/"):
            raise UsageError(f'"{prefix}" is not a folder of a password store', hint="write prefix=FOLDER")
        return {"prefix": prefix, **({"dir": str(Path(given["dir"]).absolute())} if given.get("dir") else {})}

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        argv = ["pass", "insert", "--multiline", _entry(options, key)]
        programs.run(argv, value, _environment(options), hint=f"is {_place(options)} made by `pass init`?")

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        entry = _entry(options, key)
        if not _file(options, key).exists():  # `pass show` answers a folder of that name with a list
            hint = "create the secret anew"
            raise SecretError(f"there is no entry {entry}", origin=_place(options), hint=hint)
        alone = "" if terminal() is not None else "; there is no terminal here to ask for a passphrase on"
        hint = f"`pass show {quoted(entry)}` shows what is wrong, and the value{alone}"
        return programs.run(["pass", "show", entry], None, _environment(options), hint=hint)

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        if _file(options, key).exists():
            argv = ["pass", "rm", "--force", _entry(options, key)]
            programs.run(argv, None, _environment(options), hint=f"remove the entry {argv[-1]} by hand")


def _entry(options: Mapping[str, Any], key: str) -> str:
    return f"{options['prefix']}/{key}"


def _place(options: Mapping[str, Any]) -> Path:
    """The password store (pass(1), FILES and ENVIRONMENT VARIABLES)."""
    place = options.get("dir") or places.named(os.environ, "PASSWORD_STORE_DIR") or "~/.password-store"
    return Path(state.expanded(place))


def _file(options: Mapping[str, Any], key: str) -> Path:
    """Where `pass` keeps an entry."""
    return _place(options) / f"{_entry(options, key)}.gpg"


def _environment(options: Mapping[str, Any]) -> dict[str, str]:
    tty, never = terminal(), f"{os.environ.get(_SETTINGS, '')} --pinentry-mode error"
    found = {"GPG_TTY": tty} if tty is not None else {_SETTINGS: never}
    # What the driver keeps has no line that a clipboard or an extension should look at.
    found |= {"LC_ALL": "C.UTF-8", "PASSWORD_STORE_ENABLE_EXTENSIONS": "false"}
    return found | ({"PASSWORD_STORE_DIR": options["dir"]} if "dir" in options else {})
