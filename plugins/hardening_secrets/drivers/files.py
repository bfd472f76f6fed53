"""The driver `file`: a file for each value, which only the caller can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hardening.base import wholefile
from hardening.mechanism.secret_driver import LONGEST, SecretDriver, SecretError
from hardening_secrets.store import read_private, require_private


class Files(SecretDriver):
    """Mode 0600 in a directory of mode 0700; on a disk that is not encrypted, neither are the values."""

    name: ClassVar[str] = "file"
    summary: ClassVar[str] = "files of mode 0600 in the store, not encrypted"

    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        hint = "check the directory and its disk"
        with wholefile.errors_as(SecretError, "cannot keep the secret", origin=folder, hint=hint):
            require_private(folder, os.lstat(folder))
            wholefile.write(folder / key, value, 0o600)

    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        try:
            require_private(folder, os.lstat(folder))
            return read_private(folder / key, LONGEST)
        except OSError as error:
            raise SecretError(
                f"cannot read the secret: {error.strerror}", origin=folder / key, hint="create it anew"
            ) from None

    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        try:
            with suppress(FileNotFoundError):
                os.unlink(folder / key)
            for name in os.listdir(folder):
                if name.startswith("."):  # of one who was killed while writing
                    os.unlink(folder / name)
        except OSError as error:
            raise SecretError(
                f"cannot remove the secret: {error.strerror}", origin=folder / key, hint="try again"
            ) from None
