"""What this host cannot give of what was composed."""

from __future__ import annotations

import grp
from collections.abc import Iterable, Mapping

from hardening.mechanism.mechanism import Context, Shortfall
from hardening.mechanism.roles import id_maps, joins_user_namespace
from hardening_process.facts import ProcessFacts
from hardening_process.kinds import NO_CEILING, UNLIMITED, Rlimit, below, lower
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.users import can_set_groups

#: leaf below `resources` -> the controller that enforces it
CEILINGS: Mapping[str, str] = {"pids": "pids", "memory": "memory", "memory_swap": "memory", "cpu": "cpu"}


def check(settings: ProcessSettings, context: Context) -> Iterable[Shortfall]:
    """What this host cannot give of the settings. Raises `ProfileError` for a user or group that does not exist."""
    identity = settings.resolve(context)
    host = context.host
    stays = id_maps(context) is None and not joins_user_namespace(context)
    if not host.root and stays and (identity.uid, identity.gid) != (host.uid, host.gid):
        yield Shortfall(
            "process.user",
            "only root can become another user, and there is no private user namespace",
            'set namespaces.user = "private", or leave the user as it is',
        )
    kept = lingering_groups(settings, context)
    if kept:
        yield Shortfall(
            "process.groups",
            f"the caller's groups {', '.join(kept)} cannot be dropped without ids in /etc/subuid and /etc/subgid",
            "usermod --add-subuids START-END --add-subgids START-END USER, or permit them in process.groups",
        )
    yield from _unreachable(settings, context)
    yield from _resources(settings, context)


def lingering_groups(settings: ProcessSettings, context: Context) -> tuple[str, ...]:
    """The caller's groups that the command keeps although the settings do not permit them; by name where there is one."""
    if can_set_groups(context):
        return ()
    permitted = settings.groups.having(True)
    own = settings.resolve(context).gid
    names = [(gid, _group_name(gid)) for gid in context.host.groups if gid not in (context.host.gid, own)]
    return tuple(name for gid, name in names if str(gid) not in permitted and name not in permitted)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def effective_rlimit(name: str, settings: ProcessSettings, context: Context) -> Rlimit | None:
    """What a limit is set to: the ceiling, cut to the caller's hard limit where that cannot be raised. None: the caller's
    own stays."""
    ceiling = settings.rlimits[name]
    if ceiling == UNLIMITED:
        return None
    own = context.host.of(ProcessFacts).rlimits.get(name, UNLIMITED)
    raised = ceiling.hard is not None and may_raise(context)
    hard = ceiling.hard if raised else lower(ceiling.hard, own.hard)
    return Rlimit(lower(ceiling.soft, hard), hard)


def may_raise(context: Context) -> bool:
    """Whether the launch can raise a hard limit: with CAP_SYS_RESOURCE in the user namespace of the host, setrlimit(2)."""
    own = id_maps(context) is not None or joins_user_namespace(context)
    return context.host.of(ProcessFacts).sys_resource and not own


def effective_oom_score_adj(settings: ProcessSettings, context: Context) -> int:
    """What the OOM score adjustment is set to: never less than the caller's own."""
    return max(settings.oom_score_adj, context.host.of(ProcessFacts).oom_score_adj)


def _unreachable(settings: ProcessSettings, context: Context) -> Iterable[Shortfall]:
    for name in RLIMITS:
        wanted, given = settings.rlimits[name], effective_rlimit(name, settings, context)
        if given is not None and wanted.soft is not None and not below(wanted.soft, given.soft):
            yield Shortfall(
                f"process.rlimits.{name}",
                f"{wanted.soft} is above the caller's hard limit {given.hard}, which applies instead",
                "raise the caller's limit (limits.conf(5), LimitNOFILE= and its like), or ask for less",
                tolerated=True,
            )


def stated_ceilings(settings: ProcessSettings) -> dict[str, int]:
    """The cgroup ceilings that were said, by leaf below `resources`.

    Memory alone is never above memory and swap together: the kernel refuses such a pair, and runtimes refuse the
    second without the first.
    """
    memory = min(settings.memory, settings.memory_swap)
    values = {"pids": settings.pids, "memory": memory, "memory_swap": settings.memory_swap, "cpu": settings.cpu}
    return {name: value for name, value in values.items() if value != NO_CEILING}


def _resources(settings: ProcessSettings, context: Context) -> Iterable[Shortfall]:
    cgroups = context.host.of(ProcessFacts).cgroups
    for name in stated_ceilings(settings):
        problem, remedy = cgroups.problem(CEILINGS[name])
        if not problem and name == "memory_swap" and not cgroups.swap:
            problem, remedy = "this kernel does not count swap", "boot with swapaccount=1"
        if problem:
            requirement = "process.resources.requirement"
            yield Shortfall(f"process.resources.{name}", problem, remedy, requirement=requirement)
