"""The process's part of the OCI spec (runtime-spec, config.md, "Process", and config-linux.md, "Control groups")."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from hardening.base.digest import sha256
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Identity
from hardening_process.facts import ProcessFacts, effective_oom_score_adj, effective_rlimit, stated_ceilings
from hardening_process.kinds import CPU_PERIOD, ResourceLimit
from hardening_process.secrets import why_secret
from hardening_process.settings import RLIMITS, ProcessSettings

#: RLIM_INFINITY of a 64-bit kernel, as OCI configurations write it.
INFINITY = 2**64 - 1


def contribute(settings: ProcessSettings, context: Context, fragment: Fragment) -> None:
    """User, environment, limits and cgroup."""
    identity = settings.resolve(context)
    put_user(identity, settings.umask, fragment)
    for name, value, leaf in environment(settings, identity, context):
        # What is passed on may be a secret, and so may what a profile should not hold, or an image.
        public = not leaf.startswith("process.environment.") and not why_secret(name, value)
        # The home is in a list of users, and the kind of the terminal is ours.
        derived = public and leaf in ("process.user", "process.terminal")
        fragment.item("/process/env", name, f"{name}={value}", leaf, public=public, derived=derived)
    for name in RLIMITS:
        limit = effective_rlimit(name, settings, context)
        if limit is not None:
            fragment.item("/process/rlimits", name, to_oci(name, limit), f"process.rlimits.{name}")
    fragment.put("/process/oomScoreAdj", effective_oom_score_adj(settings, context), "process.oom_score_adj")
    ceilings = enforceable(settings, context)
    if ceilings:
        leaves = [f"process.resources.{name}" for name in ceilings]
        fragment.put("/linux/resources", resources(ceilings), *leaves)
    if ceilings or settings.cgroup:
        fragment.put("/linux/cgroupsPath", cgroup_path(settings, context), "process.resources.cgroup")


def cgroup_path(settings: ProcessSettings, context: Context) -> str:
    """The cgroup of this bundle alone: below the stated one, else below what the caller may use."""
    name = "hardening"
    if context.bundle is not None:
        # Bundles in two folders may have one name; and systemd's "slice:prefix:name" form is told by its colons.
        digest = sha256(os.fsencode(context.bundle.absolute()))[:12]
        name = f"hardening-{context.bundle.name.replace(':', '_')}-{digest}"
    if settings.cgroup:
        return f"{settings.cgroup.rstrip('/')}/{name}"
    return context.host.of(ProcessFacts).cgroups.place(name)


def put_user(identity: Identity, umask: int, fragment: Fragment) -> None:
    """Set the user, its groups and its file mode mask."""
    user: dict[str, Any] = {"uid": identity.uid, "gid": identity.gid, "umask": umask}
    if identity.groups:
        user["additionalGids"] = list(identity.groups)
    fragment.put("/process/user", user, "process.user", "process.groups", "process.umask")


def environment(settings: ProcessSettings, identity: Identity, context: Context) -> Iterator[tuple[str, str, str]]:
    """Name, value and deciding leaf of each variable, sorted by name."""
    caller = context.host.of(ProcessFacts).environment
    found: dict[str, tuple[str, str]] = {"HOME": (identity.home, "process.user")}
    if settings.terminal:
        found["TERM"] = ("xterm", "process.terminal")
    for name in settings.environment.having(True):
        if name in caller:
            found[name] = (caller[name], f"process.environment.{name}")
    for name, value in settings.set_environment.named.items():
        if value is not None:
            found[name] = (value, f"process.set_environment.{name}")
    for name, (value, leaf) in sorted(found.items()):
        yield name, value, leaf


def variables(settings: ProcessSettings, context: Context) -> Iterator[tuple[str, str, str | None]]:
    """Setting, name and value of each variable that is passed on (None: the caller has none) or set."""
    caller = context.host.of(ProcessFacts).environment
    yield from (("environment", name, caller.get(name)) for name in settings.environment.having(True))
    for name, value in sorted(settings.set_environment.named.items()):
        if value is not None:
            yield "set_environment", name, value


def to_oci(name: str, limit: ResourceLimit) -> dict[str, Any]:
    """A resource limit as the OCI spec writes it."""
    soft, hard = (INFINITY if value is None else value for value in (limit.soft, limit.hard))
    return {"type": f"RLIMIT_{name.upper()}", "soft": soft, "hard": hard}


def enforceable(settings: ProcessSettings, context: Context) -> dict[str, int]:
    """The cgroup ceilings that were said and that this host can enforce."""
    return {
        name: value
        for name, value in stated_ceilings(settings).items()
        if not context.lacks(f"process.resources.{name}")
    }


def resources(ceilings: dict[str, int]) -> dict[str, Any]:
    """Ceilings as the OCI spec writes them."""
    found: dict[str, Any] = {}
    if "pids" in ceilings:
        found["pids"] = {"limit": ceilings["pids"]}
    memory = {key: ceilings[name] for name, key in (("memory", "limit"), ("memory_swap", "swap")) if name in ceilings}
    if memory:
        found["memory"] = memory
    if "cpu" in ceilings:
        found["cpu"] = {"quota": ceilings["cpu"], "period": CPU_PERIOD}
    return found
