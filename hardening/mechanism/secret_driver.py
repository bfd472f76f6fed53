"""The interface that a secret driver implements: where the values of secrets are kept (``hardening secret``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardening.base.text import nearest
from hardening.errors import EXIT_LAUNCHER, HardeningError, UsageError
from hardening.launch.secret.secrets import LONGEST

__all__ = ["LONGEST", "SecretDriver", "SecretError"]


class SecretError(HardeningError):
    """A secret cannot be kept, read or removed. No message of it holds a value."""

    exit_code = EXIT_LAUNCHER


class SecretDriver(ABC):
    """Keeps values under keys. A key is a text of letters, digits and ``-`` that is never used twice: a new value of a
    secret has another one, so that the old value is intact until the new one is kept.

    ``folder`` is a directory of the driver's own in the caller's store, of mode 0700; ``options`` are what `options` gave
    when the secret was made. A value has 1 to `LONGEST` bytes, of any kind. All methods raise `SecretError`, with the remedy
    as its hint, and neither wait for ever nor show a value.
    """

    #: As in ``hardening secret create --driver``.
    name: ClassVar[str]
    #: One line for lists.
    summary: ClassVar[str]
    #: Each option of ``--driver-opt``, with its meaning.
    known: ClassVar[Mapping[str, str]] = {}

    def options(self, given: Mapping[str, str]) -> dict[str, Any]:
        """What is kept of the options of a new secret, as JSON data, never a value. Raises `UsageError`, also for one that
        is not `known`: whoever does more begins with this."""
        for name in given:
            if name not in self.known:
                there = f"its options are {', '.join(self.known)}" if self.known else "it takes none"
                raise UsageError(
                    f"the driver {self.name} has no option {name}",
                    origin="--driver-opt",
                    hint=nearest(name, self.known) or there,
                )
        return dict(given)

    @abstractmethod
    def store(self, folder: Path, key: str, value: bytes, options: Mapping[str, Any]) -> None:
        """Keep a value under a new key. What was begun and not finished is removed with `delete`, perhaps later."""

    @abstractmethod
    def read(self, folder: Path, key: str, options: Mapping[str, Any]) -> bytes:
        """The value of a key."""

    @abstractmethod
    def delete(self, folder: Path, key: str, options: Mapping[str, Any]) -> None:
        """Remove a value; nothing where it is gone already."""
