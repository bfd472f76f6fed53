"""What secrets need of this host: nothing but the caller's store, at each run."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.mechanism import Context, Unsupported
from hardening_secrets.settings import SecretsSettings


def probe(host: Host) -> None:
    """No fact decides anything."""


def assumed(host: Host) -> None:
    """No fact decides anything."""


def inputs(settings: SecretsSettings, context: Context) -> Inputs:
    """The values, where there are any."""
    return (Unknown("secrets are opened anew at each run"),) if settings.uses() else ()


def check(settings: SecretsSettings, context: Context) -> Iterable[Unsupported]:
    """No host is too weak."""
    return ()
