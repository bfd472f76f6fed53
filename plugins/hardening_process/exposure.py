"""As whom a configuration runs its command, with which limits, and what the kernel reports of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.pointer import ENVIRONMENT, items, lookup
from hardening.mechanism import idmaps
from hardening.mechanism.exposure import Exposure, maps_root
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening_process import limits
from hardening_process.kinds import NO_CEILING
from hardening_process.secrets import why_secret
from hardening_process.settings import RLIMITS
from hardening_process.spec import INFINITY, resources, to_oci
from hardening_process.verify import ceilings

#: What a runtime gives to new files where a configuration says nothing (umask(2)).
_USUAL_UMASK = 0o022
_RESOURCES = "/linux/resources"
#: What the kernel gives to everybody (fs.nr_open, kernel.pid_max): a limit of this size is none.
_ALL = {"nofile": 1 << 20, "nproc": 1 << 22}


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """User, groups, variables, limits of a process and of its control group."""
    user = lookup(document, "/process/user") or {}
    share, whose = 0.0, ""
    if not user.get("uid"):
        share, whose = (1.0, "root") if maps_root(document) else (0.25, "root of its own user namespace")
    yield Exposure("user", "act as root", 2000, share, whose)
    groups = [str(group) for group in user.get("additionalGids") or () if group != user.get("gid", 0)]
    yield Exposure("groups", "use what further groups may", 200, 1.0 if groups else 0.0, ", ".join(groups))
    named = [entry.partition("=") for entry in items(document, ENVIRONMENT)]
    telling = [name for name, _, value in named if why_secret(name, value)]
    yield Exposure("environment", "hand secrets on in its variables", 100, 1.0 if telling else 0.0, ", ".join(telling))
    mask = user.get("umask", _USUAL_UMASK)
    open_to = (0 if mask & 0o070 == 0o070 else 1) + (0 if mask & 0o007 == 0o007 else 1)
    yield Exposure("umask", "make files that others may read", 100, open_to / 2, f"{mask:03o}")
    yield Exposure("terminal", "have a terminal", 25, 1.0 if lookup(document, "/process/terminal") else 0.0)
    score = lookup(document, "/process/oomScoreAdj") or 0
    yield Exposure("oom_score_adj", "outlive others when memory runs out", 25, 1.0 if score < 0 else 0.0, str(score))
    yield from _limits(document)


def _limits(document: Mapping[str, Any]) -> Iterator[Exposure]:
    """What is limited by setrlimit(2) or by a control group counts alike."""
    hard = {entry.get("type"): entry.get("hard", INFINITY) for entry in items(document, "/process/rlimits")}
    limited = {name for name in RLIMITS if hard.get(f"RLIMIT_{name.upper()}", INFINITY) < _ALL.get(name, INFINITY)}
    core = hard.get("RLIMIT_CORE", INFINITY)
    yield Exposure("rlimits.core", "leave its memory in core dumps", 50, 1.0 if core else 0.0)
    yield Exposure("rlimits.nofile", "open any number of files", 25, 0.0 if "nofile" in limited else 1.0)
    for name, pointer, instead, what in (
        ("pids", "pids/limit", "nproc", "start any number of processes"),
        ("memory", "memory/limit", "as", "fill the memory of the host"),
        ("cpu", "cpu/quota", "", "use every processor in full"),
    ):
        ceiling = lookup(document, f"{_RESOURCES}/{pointer}") or 0
        bounded = ceiling > 0 or instead in limited
        yield Exposure(f"resources.{name}", what, 100, 0.0 if bounded else 1.0)


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """Ids as the process has them itself, limits, mask, score, terminal, names of variables, and its control group."""
    status = receipt["status"]
    uids, gids = (idmaps.parse(receipt[name]) for name in ("uid_map", "gid_map"))
    numbers = {
        "uid": idmaps.inside(uids, int(status["Uid"].split()[1])), "gid": idmaps.inside(gids, int(status["Gid"].split()[1])),
        "umask": int(status["Umask"], 8),
    }  # fmt: skip
    user: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
    groups = [idmaps.inside(gids, int(group)) for group in status["Groups"].split()]
    fragment.put("/process/user", user | {"additionalGids": [group for group in groups if group is not None]})
    found = limits.parse(receipt["limits"])
    fragment.put("/process/rlimits", [to_oci(name, found[name]) for name in RLIMITS if name in found])
    fragment.put("/process/oomScoreAdj", int(receipt["oom_score_adj"]))
    fragment.put("/process/terminal", bool(receipt["tty"]))
    fragment.put(ENVIRONMENT, [f"{name}=" for name in receipt["environment"] or ()])
    bounded = {name: value for name, value in ceilings(receipt["cgroup_values"]).items() if value != NO_CEILING}
    fragment.put(_RESOURCES, resources(bounded))
