"""The driver `command`: three commands of the caller's keep, give and remove values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardening.errors import UsageError
from hardening.mechanism.secret_driver import SecretDriver
from hardening_secrets.drivers import programs

_KEY = "{key}"
_EXAMPLE = (
    "--driver-opt store='vault-put {key}' --driver-opt read='vault-get {key}' --driver-opt delete='vault-rm {key}'"
)


class Command(SecretDriver):
    """Each option is a command line, split into words as a shell would and started without one; ``{key}`` stands for the
    key of the value. The value is on standard input of ``store``, and on standard output of ``read``."""

    name: ClassVar[str] = "command"
    summary: ClassVar[str] = "commands of your own; values go over standard input and output"
    known: ClassVar[Mapping[str, str]] = {
        "store": "keeps what it reads under {key}",
        "read": "writes what is kept under {key}",
        "delete": "removes what is kept under {key}; nothing where it is gone",
    }

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        super().options(given)
        found: dict[str, Any] = {}
        for name in self.known:
            if name not in given:
                raise UsageError(f"the driver command needs the option {name}", hint=_EXAMPLE)
            try:
                words = shlex.split(given[name])
            except ValueError as error:
                raise UsageError(f"{name}: {error}", origin="--driver-opt", hint="quote it as for a shell") from None
            if not words or _KEY not in given[name]:
                raise UsageError(f"{name} is not a command with {_KEY} in it", origin="--driver-opt", hint=_EXAMPLE)
            if "/" in words[0] and not words[0].startswith("/"):
                # It is started later, from wherever the caller is then.
                whole = "write its whole path, or a name that PATH has"
                raise UsageError(f"{name}: {words[0]} is a relative path", origin="--driver-opt", hint=whole)
            found[name] = words
        return found

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        _run(options, "store", key, value)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        return _run(options, "read", key)

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        _run(options, "delete", key)


def _run(options: Mapping[str, Any], name: str, key: str, value: bytes | None = None) -> bytes:
    argv = [str(word).replace(_KEY, key) for word in options[name]]
    hint = f"its output is not shown; run the command of the option `{name}` by hand for the key {key}"
    return programs.run(argv, value, hint=hint)
