"""The driver `pass`: values are kept by the standard unix password manager, password-store (pass(1))."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardening.errors import UsageError
from hardening.secrets import SecretDriver, SecretError
from hardening_secrets.drivers import programs, terminal

_PREFIX = "hardening"


class PasswordStore(SecretDriver):
    """Each value is an entry of ``pass``, below one folder."""

    name: ClassVar[str] = "pass"
    summary: ClassVar[str] = "entries of the password manager pass"
    known: ClassVar[Mapping[str, str]] = {
        "prefix": f"the folder of the entries; `{_PREFIX}` by default",
        "dir": "the password store (PASSWORD_STORE_DIR); yours by default",
    }

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        for name in given:
            if name not in self.known:
                raise UsageError(f"the driver pass has no option {name}", hint="the options are prefix and dir")
        prefix = given.get("prefix", _PREFIX).strip("/")
        if not prefix or prefix.startswith("-") or ".." in prefix.split("/"):
            raise UsageError(f'"{prefix}" is no folder of a password store', hint="write prefix=FOLDER")
        return {"prefix": prefix, **({"dir": str(Path(given["dir"]).absolute())} if given.get("dir") else {})}

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        programs.run(["pass", "insert", "--multiline", _entry(options, key)], value, _environment(options))

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        # `pass show` answers a folder of that name with a list; a key is never one.
        return programs.run(["pass", "show", _entry(options, key)], None, _environment(options))

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        try:
            programs.run(["pass", "rm", "--force", _entry(options, key)], None, _environment(options))
        except SecretError as error:
            if "is not in the password store" not in error.message:
                raise


def _entry(options: Mapping[str, Any], key: str) -> str:
    return f"{options['prefix']}/{key}"


def _environment(options: Mapping[str, Any]) -> dict[str, str]:
    tty = terminal.name()
    found = {"GPG_TTY": tty} if tty is not None else {"PASSWORD_STORE_GPG_OPTS": "--pinentry-mode error"}
    # What the driver keeps has no line that a clipboard or an extension should look at.
    found |= {"LC_ALL": "C.UTF-8", "PASSWORD_STORE_ENABLE_EXTENSIONS": "false"}
    return found | ({"PASSWORD_STORE_DIR": options["dir"]} if "dir" in options else {})
