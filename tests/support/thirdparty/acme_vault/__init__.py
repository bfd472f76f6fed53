"""Secrets of a third party: a driver that keeps values in their vault, and one secret that comes from no store.

A real one would ask a service over the network; this vault is a directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from hardening.launch.secret.secrets import named
from hardening.mechanism.secret_driver import SecretDriver, SecretError
from hardening.plugin.hookspecs import hookimpl

#: The secret that whoever runs a command is issued anew each time.
TOKEN = "acme-token"


class Vault(SecretDriver):
    """Keeps values backwards, so that they can be told from those that were not kept here."""

    name: ClassVar[str] = "acme"
    summary: ClassVar[str] = "the vault of Acme"
    known: ClassVar[Mapping[str, str]] = {"shelf": "where in the vault; `main` by default"}

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        return {"shelf": super().options(given).get("shelf", "main")}

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        with _told("keep"), open(_place(folder, key, options), "xb", opener=_private) as file:
            file.write(value[::-1])

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        with _told("read"):
            return _place(folder, key, options).read_bytes()[::-1]

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        with _told("remove"):
            _place(folder, key, options).unlink(missing_ok=True)


def _place(folder: Path, key: str, options: Mapping[str, Any]) -> Path:
    return folder / f"{options['shelf']}-{key}"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _told(verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SecretError(
            f"the vault does not {verb} it: {error.strerror}", hint="ask the people of the vault"
        ) from None


@hookimpl
def hardening_secret_drivers() -> Sequence[SecretDriver]:
    """Register the driver."""
    return (Vault(),)


@hookimpl
def hardening_secrets(document: Mapping[str, Any]) -> Mapping[str, bytes]:
    """Issue the token, where it is asked for."""
    return {secret.name: b"issued" for secret in named(document) if secret.name == TOKEN}


@hookimpl
def hardening_secret_names() -> Sequence[str]:
    """The one that there is."""
    return (TOKEN,)
