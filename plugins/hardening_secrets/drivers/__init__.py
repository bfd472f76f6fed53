"""The drivers that come with the mechanism."""

from __future__ import annotations

from hardening.mechanism.secret_driver import SecretDriver
from hardening_secrets.drivers.command import Command
from hardening_secrets.drivers.files import Files
from hardening_secrets.drivers.gnupg import GnuPGDriver
from hardening_secrets.drivers.password_store import PasswordStore

DRIVERS: tuple[SecretDriver, ...] = (Files(), GnuPGDriver(), PasswordStore(), Command())
