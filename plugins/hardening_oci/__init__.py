"""The runtimes `crun` and `runc`: the same bundle under a program that others maintain.

The launcher starts them as its children and keeps the promises of the native launcher: signals, exit code, receipt,
nothing left behind. What a runtime would ignore in a configuration is refused before the launch (``ignores``, `ignored.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hardening.assemble.program import ProgramRuntime, numbers
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, way
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.plugin.hookspecs import hookimpl

__all__ = ["Crun", "Runc"]


class _OciRuntime(ProgramRuntime):
    """What the two have in common."""

    takes_secrets: ClassVar[bool] = True
    writes_receipts: ClassVar[bool] = True

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        from hardening_oci import ignored  # no native launch needs it

        return (
            *super().check(document, host),
            *ignored.refusals(self.name, numbers(self.version() or ""), document, host),
            *ignored.kept_groups(self.name, document, host),
            *ignored.joined(self.name, document, host),
        )

    def inputs(self, host: Host) -> Inputs:
        yield from super().inputs(host)
        yield from way("/sys/fs/selinux/enforce")


class Crun(_OciRuntime):
    """crun, written in C."""

    name: ClassVar[str] = "crun"
    summary: ClassVar[str] = "The OCI runtime crun, as a child of the launcher"
    like_crun: ClassVar[bool] = True
    # Seen with 1.21.
    ignores: ClassVar[Mapping[str, str]] = {"/process/execCPUAffinity": ""}


class Runc(_OciRuntime):
    """runc, written in Go."""

    name: ClassVar[str] = "runc"
    summary: ClassVar[str] = "The OCI runtime runc, as a child of the launcher"
    # Seen with 1.1.15; the versions from which a field is read are those of the release notes.
    ignores: ClassVar[Mapping[str, str]] = {
        "/process/execCPUAffinity": "",
        "/domainname": "1.2",
        "/linux/timeOffsets": "1.2",
        "/linux/personality": "1.2",
        "/process/scheduler": "1.2",
        "/process/ioPriority": "1.2",
        "/linux/intelRdt": "",
    }


@hookimpl
def hardening_runtimes() -> Sequence[Runtime]:
    """Register both."""
    return (Crun(), Runc())
