"""The runtime `native`: the launcher inside `hardening`, which needs no other program and no daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hardening
from hardening.hookspecs import hookimpl
from hardening.host import Host
from hardening.inputs import Inputs
from hardening.launch import config
from hardening.runtime import LaunchRequest, Refusal, Runtime

__all__ = ["Native"]


class Native(Runtime):
    """fork(2), namespaces, mounts, execve(2), from one small stage of the standard library and cffi."""

    name = "native"
    summary = "The launcher inside hardening: no other program, no daemon"
    detaches = True
    takes_secrets = True
    writes_receipts = True
    takes_variables = True

    def version(self) -> str | None:
        return hardening.__version__

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        return tuple(Refusal(pointer, reason) for pointer, reason in config.unsupported(document))

    def inputs(self, host: Host) -> Inputs:
        return ()

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return request.stage(bundle)


@hookimpl
def hardening_runtimes() -> Sequence[Runtime]:
    """Register the runtime."""
    return (Native(),)
