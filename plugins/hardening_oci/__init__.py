"""The runtimes `crun` and `runc`: the same bundle under a program that others maintain.

The launcher starts them as its children and keeps the promises of the native launcher: signals, exit code, receipt,
nothing left behind. What a runtime would ignore in a configuration is refused before the launch (`ignored.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hardening.launch.request import LaunchRequest
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, way
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.plugin.hookspecs import hookimpl
from hardening_oci import program

__all__ = ["Crun", "Runc"]


class _OciRuntime(Runtime):
    """What the two have in common: the OCI command line."""

    detaches: ClassVar[bool] = True
    takes_secrets: ClassVar[bool] = True
    writes_receipts: ClassVar[bool] = True

    def version(self) -> str | None:
        found = program.find(self.name)
        return program.version(found) if found is not None else None

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        from hardening_oci import ignored  # no native launch needs it

        found = program.find(self.name)
        version = program.version(found) if found is not None else None
        return (
            *ignored.refusals(self.name, program.numbers(version or ""), document, host),
            *ignored.kept_groups(self.name, document, host),
            *ignored.joined(self.name, document, host),
        )

    def inputs(self, host: Host) -> Inputs:
        yield from program.inputs(self.name)
        yield from way("/sys/fs/selinux/enforce")

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return request.argv(bundle, str(program.find(self.name) or self.name))


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
