"""The runtimes `crun` and `runc`: the same bundle under a program that others maintain.

The launcher starts them as its children and keeps the promises of the native launcher: signals, exit code, receipt,
nothing left behind. What a runtime would ignore in a configuration is refused before the launch (`ignored.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hardening.assemble.program import ProgramRuntime
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
            *ignored.refusals(self.name, ignored.numbers(self.version() or ""), document, host),
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


class Runc(_OciRuntime):
    """runc, written in Go."""

    name: ClassVar[str] = "runc"
    summary: ClassVar[str] = "The OCI runtime runc, as a child of the launcher"


@hookimpl
def hardening_runtimes() -> Sequence[Runtime]:
    """Register both."""
    return (Crun(), Runc())
