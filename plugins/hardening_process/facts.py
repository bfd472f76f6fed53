"""What the caller hands down to the command, and what that leaves of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from hardening.base.values import frozen
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import id_maps, joins_user_namespace
from hardening_process.cgroups import CONTROLLERS, Cgroups
from hardening_process.kinds import NO_CEILING, UNLIMITED, ResourceLimit, lower
from hardening_process.settings import ProcessSettings


@frozen
class ProcessFacts:
    """``rlimits`` are the caller's, by name in TOML; ``sys_resource`` is whether it has CAP_SYS_RESOURCE."""

    rlimits: Mapping[str, ResourceLimit]
    sys_resource: bool
    oom_score_adj: int
    cgroups: Cgroups
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def beyond_reach(self) -> Iterator[tuple[str, str, str]]:
        """The controllers that this caller cannot use, as `hardening doctor` shows them."""
        problems = {name: self.cgroups.problem(name) for name in CONTROLLERS}
        found = {name: problem for name, problem in problems.items() if problem[0]}
        if found:
            reason, remedy = next(iter(found.values()))
            yield "process.resources", f"not for this caller: {', '.join(found)} ({reason})", remedy


def effective_rlimit(name: str, settings: ProcessSettings, context: Context) -> ResourceLimit | None:
    """What a limit is set to: the ceiling, cut to the caller's hard limit where that cannot be raised. None: the caller's
    own stays."""
    ceiling = settings.rlimits[name]
    if ceiling == UNLIMITED:
        return None
    own = context.host.of(ProcessFacts).rlimits.get(name, UNLIMITED)
    raised = ceiling.hard is not None and may_raise(context)
    hard = ceiling.hard if raised else lower(ceiling.hard, own.hard)
    return ResourceLimit(lower(ceiling.soft, hard), hard)


def may_raise(context: Context) -> bool:
    """Whether the launch can raise a hard limit: with CAP_SYS_RESOURCE in the user namespace of the host, setrlimit(2)."""
    own = id_maps(context) is not None or joins_user_namespace(context)
    return context.host.of(ProcessFacts).sys_resource and not own


def effective_oom_score_adj(settings: ProcessSettings, context: Context) -> int:
    """What the OOM score adjustment is set to: never less than the caller's own."""
    return max(settings.oom_score_adj, context.host.of(ProcessFacts).oom_score_adj)


def stated_ceilings(settings: ProcessSettings) -> dict[str, int]:
    """The cgroup ceilings that were said, by leaf below `resources`.

    Memory alone is never above memory and swap together: the kernel refuses such a pair, and runtimes refuse the
    second without the first.
    """
    memory = min(settings.memory, settings.memory_swap)
    values = {"pids": settings.pids, "memory": memory, "memory_swap": settings.memory_swap, "cpu": settings.cpu}
    return {name: value for name, value in values.items() if value != NO_CEILING}
