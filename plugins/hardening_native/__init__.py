"""The runtime `native`: the launcher inside `hardening`, which needs no other program and no daemon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hardening
from hardening.errors import SpecError
from hardening.launch.config import config
from hardening.launch.request import LaunchRequest
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.roles import SystemCalls
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.plugin.hookspecs import hookimpl

__all__ = ["Native"]


class Native(Runtime):
    """fork(2), namespaces, mounts, execve(2), from one small launcher of the standard library and cffi."""

    name = "native"
    summary = "The launcher inside hardening: no other program, no daemon"
    describes = True
    detaches = True
    takes_secrets = True
    writes_receipts = True
    takes_variables = True
    lacking = ("/process/apparmorProfile",)

    def version(self) -> str | None:
        return hardening.__version__

    def check(self, document: Mapping[str, Any], host: Host) -> Sequence[Refusal]:
        unsupported = [Refusal(pointer, reason) for pointer, reason in config.unsupported(document)]
        return (*unsupported, *(() if unsupported else _calls_denied(document, host)))

    def inputs(self, host: Host) -> Inputs:
        return ()

    def command(self, bundle: Path, request: LaunchRequest) -> list[str]:
        return request.argv(bundle)


def _calls_denied(document: Mapping[str, Any], host: Host) -> Iterator[Refusal]:
    """Calls that the launcher makes once a filter is loaded, which it does early where the kernel takes one from the
    privileged alone (seccomp(2))."""
    seccomp = document["linux"].get("seccomp")
    if not seccomp or document["process"].get("noNewPrivileges"):
        return
    filters = host.find(SystemCalls)
    try:
        denied = filters.kept_from_launch(seccomp, host) if filters is not None else ()
    except SpecError:  # it is not what seccomp.bpf was compiled from, as its digest tells
        return
    if denied:
        reason = (
            f"without noNewPrivileges the filter is loaded early, and lets no {', '.join(denied)} of the launch run"
        )
        yield Refusal("/linux/seccomp", reason, "set /process/noNewPrivileges, or allow these calls")


@hookimpl
def hardening_runtimes() -> Sequence[Runtime]:
    """Register the runtime."""
    return (Native(),)
