"""What the process needs of this host, and what is missing for the settings."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from hardening.base.files import is_text
from hardening.base.linux.resolution import resolve
from hardening.errors import HostError, ProfileError
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context, Unsupported
from hardening.mechanism.roles import id_maps, joins_user_namespace
from hardening_process import cgroups, limits, users
from hardening_process.facts import ProcessFacts, effective_rlimit, stated_ceilings
from hardening_process.kinds import below
from hardening_process.secrets import why_secret
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.spec import variables
from hardening_process.users import can_set_groups

_SYS_RESOURCE = 24
#: leaf below `resources` -> the controller that enforces it
CEILINGS: Mapping[str, str] = {"pids": "pids", "memory": "memory", "memory_swap": "memory", "cpu": "cpu"}


def probe(host: Host, proc: Path = Path("/proc/self")) -> ProcessFacts:
    """Read the facts from proc(5). Raises `HostError` where there is none."""
    try:
        return _read(proc)
    except OSError as error:
        raise HostError(
            f"cannot read the caller's limits: {error.strerror}", origin=error.filename, hint="mount /proc"
        ) from None


def assumed(host: Host) -> ProcessFacts:
    """No limits of the caller's own, cgroups of version 2, and no variables."""
    groups = cgroups.Cgroups("v2", {name: cgroups.Controller(2, "/") for name in cgroups.CONTROLLERS})
    return ProcessFacts(MappingProxyType({}), sys_resource=True, oom_score_adj=0, cgroups=groups)


def inputs(settings: ProcessSettings, context: Context) -> Inputs:
    """The caller's limits and environment, the root's accounts, and the cgroups where there are ceilings. A variable that
    holds a secret, by its name or its value, is no part of a stored bundle."""
    yield from host_inputs.kernel("/proc/self/limits", "/proc/self/oom_score_adj")
    yield from host_inputs.lines("/proc/self/status", "CapEff:")
    for name in settings.environment.having(True):
        # One that is set besides has the value that is set.
        yield from (host_inputs.passed if settings.set_environment[name] is None else host_inputs.environment)(name)
    for _, name, value in variables(settings, context):
        if reason := why_secret(name, value):
            yield Unknown(reason)
    yield from host_inputs.accounts(context.host.uid)
    yield from _accounts(users.root(context))
    if context.limits("process"):
        yield from _accounts(Path("/"))  # whose group a number is
    if stated_ceilings(settings) or settings.cgroup:
        yield from cgroups.inputs()


def check(settings: ProcessSettings, context: Context) -> Iterable[Unsupported]:
    """What this host cannot give of the settings. Raises `ProfileError` for a user or group that does not exist, and for a
    variable that no configuration can hold."""
    identity = settings.resolve(context)
    host = context.host
    for setting, name, value in variables(settings, context):
        if value is not None and not is_text(value):
            hint = "an OCI configuration holds UTF-8 text only: set it to something else, or leave it out"
            raise ProfileError(f"the value of {name} is not UTF-8", origin=f"process.{setting}.{name}", hint=hint)
    stays = id_maps(context) is None and not joins_user_namespace(context)
    if not host.root and stays and (identity.uid, identity.gid) != (host.uid, host.gid):
        yield Unsupported(
            "process.user",
            "only root can become another user, and there is no private user namespace",
            'set namespaces.user = "private", or leave the user as it is',
        )
    kept = lingering_groups(settings, context)
    if kept:
        yield Unsupported(
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


def _unreachable(settings: ProcessSettings, context: Context) -> Iterable[Unsupported]:
    for name in RLIMITS:
        wanted, given = settings.rlimits[name], effective_rlimit(name, settings, context)
        if given is not None and wanted.soft is not None and not below(wanted.soft, given.soft):
            yield Unsupported(
                f"process.rlimits.{name}",
                f"{wanted.soft} is above the caller's hard limit {given.hard}, which applies instead",
                "raise the caller's limit (limits.conf(5), LimitNOFILE= and its like), or ask for less",
                tolerated=True,
            )


def _resources(settings: ProcessSettings, context: Context) -> Iterable[Unsupported]:
    cgroups = context.host.of(ProcessFacts).cgroups
    for name in stated_ceilings(settings):
        problem, remedy = cgroups.problem(CEILINGS[name])
        if not problem and name == "memory_swap" and not cgroups.swap:
            problem, remedy = "this kernel does not count swap", "boot with swapaccount=1"
        if problem:
            requirement = "process.resources.requirement"
            yield Unsupported(f"process.resources.{name}", problem, remedy, requirement=requirement)


def _accounts(root: Path) -> Iterator[Input]:
    for name in ("etc/passwd", "etc/group"):
        yield from host_inputs.way(name, root=str(root))
        found = resolve(name, str(root))
        if not (found.missing or found.problem):
            yield Input("file", str(root / found.path[1:]))


def _read(proc: Path) -> ProcessFacts:
    return ProcessFacts(
        MappingProxyType(limits.parse((proc / "limits").read_text())),
        _has_sys_resource((proc / "status").read_text()),
        int((proc / "oom_score_adj").read_text()),
        cgroups.probe(proc),
        MappingProxyType(dict(os.environ)),
    )


def _has_sys_resource(status: str) -> bool:
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> _SYS_RESOURCE & 1)
