"""Secrets: what the command may know that nobody else should, as files in memory or as variables.

Owns `[secrets]`, and of the OCI spec the annotation with their names and the mounts where they will lie. Their values are
kept by `hardening secret` and its drivers, and handed to the launcher at each run (`hardening.assemble.handover`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.launch.secret.secrets import POINTER
from hardening.mechanism.findings import Finding
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import (
    Context,
    Implied,
    Mechanism,
    MountPoint,
    Option,
)
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening.plugin.hookspecs import hookimpl
from hardening_secrets.settings import SecretsSettings, Use, usual

if TYPE_CHECKING:
    from hardening.mechanism.secret_driver import SecretDriver


class Secrets(PackagedMechanism[SecretsSettings]):
    """The mechanism behind `[secrets]`."""

    name = "secrets"
    summary = "which secrets the command is given, as files in memory or as variables"
    may_fall_short = False
    owns = (POINTER,)

    def options(self) -> Sequence[Option]:
        return (
            Option(
                ("--secret",),
                "given.add",
                "Give a secret: as a file, by default /run/secrets/NAME, or as a variable.",
                "NAME[,type=mount|env,target=,uid=,gid=,mode=]",
                True,
            ),
        )

    def permissions(self, leaf: Leaf) -> Sequence[tuple[Any, Mapping[str, object]]]:
        """To give the secret as a file in the usual place."""
        if leaf.setting != "given" or leaf.member == WILDCARD:
            return ()
        use = Use(leaf.member, target=usual(leaf.member))
        return ((use, self.dump({(leaf.setting, leaf.member): use})),)

    def implies(
        self, settings: SecretsSettings, limits: Mapping[tuple[str, str], Any], host: Host
    ) -> Iterable[Implied]:
        if not settings.uses():
            return ()
        from hardening_secrets import spec

        return spec.implied(settings.uses())

    def mount_points(self, settings: SecretsSettings) -> Sequence[MountPoint]:
        uses = settings.uses()
        if not uses:
            return ()
        from hardening_secrets import spec

        return spec.mount_points(uses)

    def contribute(self, settings: SecretsSettings, context: Context, fragment: Fragment) -> None:
        if settings.uses():
            super().contribute(settings, context, fragment)

    def findings(self, settings: SecretsSettings, context: Context) -> Iterable[Finding]:
        return super().findings(settings, context) if settings.uses() else ()


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Secrets(),)


@hookimpl
def hardening_secret_drivers() -> Sequence[SecretDriver]:
    """Register the drivers: own files, GnuPG, pass, and any command."""
    from hardening_secrets.drivers import DRIVERS

    return DRIVERS


@hookimpl
def hardening_secrets(document: Mapping[str, Any], drivers: Mapping[str, SecretDriver]) -> Mapping[str, bytes]:
    """Open the secrets that a configuration names, as far as the caller's store has them."""
    from hardening.launch.secret.secrets import named
    from hardening_secrets.store import SecretStore

    store = SecretStore.of_caller()
    return {
        secret.name: store.open(secret.name, drivers)
        for secret in named(document)
        if store.known(secret.name) is not None
    }


@hookimpl
def hardening_secret_names() -> Sequence[str]:
    """The caller's secrets."""
    from hardening_secrets.store import SecretStore

    return [record.name for record in SecretStore.of_caller().records()]
