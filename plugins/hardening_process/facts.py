"""What the caller hands down to the command: limits, OOM score, environment, cgroups."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from hardening.base.values import frozen
from hardening.errors import HostError
from hardening.mechanism import inputs as look
from hardening.mechanism.inputs import Input
from hardening_process import limits
from hardening_process.cgroups import Cgroups
from hardening_process.cgroups import probe as probe_cgroups
from hardening_process.kinds import Rlimit

_SYS_RESOURCE = 24


@frozen
class ProcessFacts:
    """``rlimits`` are the caller's, by name in TOML; ``sys_resource`` is whether it has CAP_SYS_RESOURCE."""

    rlimits: Mapping[str, Rlimit]
    sys_resource: bool
    oom_score_adj: int
    cgroups: Cgroups
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def probe(proc: Path = Path("/proc/self")) -> ProcessFacts:
    """Read the facts from proc(5). Raises `HostError` where there is none."""
    try:
        return _read(proc)
    except OSError as error:
        raise HostError(
            f"cannot read the caller's limits: {error.strerror}", origin=error.filename, hint="mount /proc"
        ) from None


def inputs() -> Iterator[Input]:
    """What decides the facts, but for the environment and the cgroups, of which no composition needs all."""
    yield from look.kernel("/proc/self/limits", "/proc/self/oom_score_adj")
    yield from look.lines("/proc/self/status", "CapEff:")


def _read(proc: Path) -> ProcessFacts:
    return ProcessFacts(
        MappingProxyType(limits.parse((proc / "limits").read_text())),
        _has_sys_resource((proc / "status").read_text()),
        int((proc / "oom_score_adj").read_text()),
        probe_cgroups(proc),
        MappingProxyType(dict(os.environ)),
    )


def _has_sys_resource(status: str) -> bool:
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _SYS_RESOURCE & 1)
