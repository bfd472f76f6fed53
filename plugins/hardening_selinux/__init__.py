"""The mechanism `selinux`: labels for the command and its file systems, and categories that keep containers apart.

Its table is ``[selinux]``. It contributes ``/process/selinuxLabel``, ``/linux/mountLabel``, and the lease of the pair of
categories that it reserves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardening.mechanism.mechanism import Context
from hardening.mechanism.package import PackagedMechanism
from hardening.plugin.hookspecs import hookimpl
from hardening_selinux import spec
from hardening_selinux.settings import SelinuxSettings

__all__ = ["Selinux", "SelinuxSettings"]


class Selinux(PackagedMechanism[SelinuxSettings]):
    """Security contexts (selinux(8))."""

    name = "selinux"
    summary = "SELinux labels, and categories that keep containers apart"
    before_launch = ("relabel",)
    owns = ("/process/selinuxLabel", "/linux/mountLabel")

    def prepare(self, settings: SelinuxSettings, context: Context, document: Mapping[str, Any]) -> None:
        spec.prepare(settings, context, document)


@hookimpl
def hardening_mechanisms() -> Sequence[Selinux]:
    """The mechanism of this plugin."""
    return (Selinux(),)
