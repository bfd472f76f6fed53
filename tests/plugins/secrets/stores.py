"""A store of secrets in a folder, with the drivers that are installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from hardening.mechanism.secret_driver import SecretDriver
from hardening.plugin import plugins
from hardening_secrets.store import SecretRecord, SecretStore

DRIVERS: Mapping[str, SecretDriver] = plugins.load().secret_drivers


@attrs.frozen
class Kept:
    """A store; ``drivers`` are those that it is used with."""

    path: Path
    drivers: Mapping[str, SecretDriver] = DRIVERS

    @property
    def store(self) -> SecretStore:
        return SecretStore(self.path)

    def create(self, name: str, value: bytes, driver: str = "file", **options: str) -> SecretRecord:
        return self.store.create(name, value, self.drivers[driver], options, self.drivers)

    def rotate(self, name: str, value: bytes) -> SecretRecord:
        return self.store.rotate(name, value, self.drivers)

    def open(self, name: str) -> bytes:
        return self.store.open(name, self.drivers)

    def remove(self, name: str) -> SecretRecord:
        return self.store.remove(name, self.drivers)

    def files(self) -> list[str]:
        """Every file of the store but its lock, without the names that are made up."""
        found = (path for path in self.path.rglob("*") if path.is_file() and path.name != "lock")
        return sorted(str(path.relative_to(self.path).parent) for path in found)
