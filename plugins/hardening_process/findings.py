"""What is worth saying about the settings, and what the kernel says of the process."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hardening.findings import Finding, Severity
from hardening.mechanism import Check, Context
from hardening_process import limits
from hardening_process.facts import ProcessFacts
from hardening_process.host import effective_oom_score_adj, effective_rlimit, stated_ceilings
from hardening_process.kinds import UNLIMITED, RlimitKind, UmaskKind
from hardening_process.secrets import why_secret
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.spec import variables
from hardening_process.users import id_maps

#: What each rule finds (`hardening.mechanism.Mechanism.rules`).
RULES = {
    "limit-of-caller": "A limit of the caller's that is lower than the profile's",
    "loader-variable": "A variable that decides which code programs load",
    "no-memory-limit": "A command without a limit of memory",
    "no-process-limit": "A command without a limit of processes",
    "oom-score-of-caller": "A score of the caller's that is higher than the profile's",
    "root": "A command that runs as root",
    "secret-in-environment": "A variable that is, by its name, a secret",
    "swap": "A limit of memory that does not count swap",
    "umask": "New files that others can write to",
    "unlimited": "A resource without a ceiling",
}

_LOADER = re.compile(r"LD_|PYTHONPATH$|PYTHONSTARTUP$|PERL5LIB$|PERL5OPT$|NODE_OPTIONS$|RUBYOPT$|BASH_ENV$|ENV$")
#: Limits without which one process can exhaust the host, or leave its memory behind.
_TELLING = ("core", "memlock", "nofile")


def findings(settings: ProcessSettings, context: Context) -> Iterable[Finding]:
    """What is worth saying about the settings."""
    yield from _about_user(settings, context)
    yield from _about_environment(settings, context)
    yield from _about_limits(settings, context)


def _about_user(settings: ProcessSettings, context: Context) -> Iterator[Finding]:
    if settings.resolve(context).is_root:
        maps = id_maps(context)
        outside = maps.outside(0) if maps is not None else 0
        inside = f"uid 0 of a user namespace, which is uid {outside} of the host" if outside else "uid 0 of the host"
        yield Finding(
            "process/root",
            Severity.NOTE if outside else Severity.WARNING,
            f"the command runs as {inside}",
            leaf="process.user",
            hint='name an ordinary user: process.user = "1000"',
        )
    missing = 0o022 & ~settings.umask
    if missing:
        who = "the group and others" if missing == 0o022 else "the group" if missing == 0o020 else "others"
        yield Finding(
            "process/umask",
            Severity.WARNING,
            f"{who} can write to the files that the command makes",
            leaf="process.umask",
            hint='at least "022"',
        )


def _about_environment(settings: ProcessSettings, context: Context) -> Iterator[Finding]:
    for table, name, value in variables(settings, context):
        if reason := why_secret(name, value):
            yield Finding(
                "process/secret-in-environment",
                Severity.WARNING,
                f"{reason}: every process of the command inherits it, and /proc shows it",
                leaf=f"process.{table}.{name}",
                hint="hand secrets over as files: --secret NAME",
            )
        elif _LOADER.match(name):
            yield Finding(
                "process/loader-variable",
                Severity.NOTE,
                f"{name} decides which code programs load",
                leaf=f"process.{table}.{name}",
            )


def _about_limits(settings: ProcessSettings, context: Context) -> Iterator[Finding]:
    show = RlimitKind().show
    for name in RLIMITS:
        ceiling, given = settings.rlimits[name], effective_rlimit(name, settings, context)
        leaf = f"process.rlimits.{name}"
        if name in _TELLING and ceiling.hard is None:
            yield Finding(
                "process/unlimited", Severity.NOTE, f"there is no ceiling for {RLIMITS[name]} ({name})", leaf=leaf
            )
        if given is not None and given != ceiling and ceiling != UNLIMITED and ceiling.hard is not None:
            message = f"the caller's own limit is lower: {show(given)} instead of {show(ceiling)}"
            yield Finding("process/limit-of-caller", Severity.NOTE, message, leaf=leaf)
    score = effective_oom_score_adj(settings, context)
    if score != settings.oom_score_adj:
        message = f"the caller's own score counts: {score} instead of {settings.oom_score_adj}"
        yield Finding("process/oom-score-of-caller", Severity.NOTE, message, leaf="process.oom_score_adj")
    ceilings = stated_ceilings(settings)
    if "pids" not in ceilings and settings.rlimits["nproc"].hard is None:
        yield Finding(
            "process/no-process-limit",
            Severity.NOTE,
            "nothing limits how many processes the command starts",
            leaf="process.resources.pids",
            hint="process.resources.pids = 512, where cgroups can be used, else process.rlimits.nproc",
        )
    if "memory" not in ceilings and settings.rlimits["as"].hard is None:
        yield Finding(
            "process/no-memory-limit",
            Severity.NOTE,
            "nothing limits how much memory the command uses",
            leaf="process.resources.memory",
            hint='process.resources.memory = "512M", where cgroups can be used',
        )
    if "memory" in ceilings and "memory_swap" not in ceilings and context.host.of(ProcessFacts).cgroups.swap:
        yield Finding(
            "process/swap",
            Severity.NOTE,
            "beyond its memory the command can fill the host's swap",
            leaf="process.resources.memory_swap",
            hint="give memory_swap the value of memory",
        )


def verify(settings: ProcessSettings, receipt: Mapping[str, Any]) -> Iterator[Check]:
    """Hold the ids, limits, mask, score and cgroup that the kernel reports against the settings."""
    status = receipt["status"]
    yield _uid(settings, status, receipt["uid_map"])
    gids = [seen_inside(int(gid), receipt["gid_map"]) for gid in status["Gid"].split()]
    if settings.user.group.isdecimal():
        held = set(gids) == {int(settings.user.group)}
        yield Check("process.user", f"gid {settings.user.group}", f"gid {_show(gids)}", held)
    yield from _groups(settings, status, receipt["gid_map"], gids)
    found = limits.parse(receipt["limits"])
    for name in RLIMITS:
        ceiling = settings.rlimits[name]
        if ceiling != UNLIMITED:
            seen, kind = found.get(name, UNLIMITED), RlimitKind()
            yield Check(
                f"process.rlimits.{name}", f"at most {kind.show(ceiling)}", kind.show(seen), kind.at_most(seen, ceiling)
            )
    mask, wanted = status.get("Umask", "0"), UmaskKind()
    held = wanted.at_most(int(mask, 8), settings.umask)
    yield Check("process.umask", f"at least {wanted.show(settings.umask)}", mask.strip(), held)
    score = int(receipt["oom_score_adj"])
    expected = f"at least {settings.oom_score_adj}"
    yield Check("process.oom_score_adj", expected, str(score), score >= settings.oom_score_adj)
    if stated_ceilings(settings):
        yield _cgroup(receipt["cgroup"])


def _uid(settings: ProcessSettings, status: Mapping[str, str], uid_map: str) -> Check:
    uids = [seen_inside(int(uid), uid_map) for uid in status["Uid"].split()]
    name = settings.user.user
    same = len(set(uids)) == 1 and uids[0] is not None
    if name.isdecimal():
        return Check("process.user", f"uid {name}", f"uid {_show(uids)}", same and uids[0] == int(name))
    # A name was looked up in a root that may be gone; that it is not root's is what a receipt can still tell.
    expected = f"the user {name}" if name else "the natural user"
    return Check("process.user", expected, f"uid {_show(uids)}", same and (not name or uids[0] != 0))


def _groups(
    settings: ProcessSettings, status: Mapping[str, str], gid_map: str, gids: Iterable[int | None]
) -> Iterator[Check]:
    """Supplementary groups; one that the namespace does not map is the caller's, and could not be dropped."""
    permitted = settings.groups.having(True)
    groups = [(int(gid), seen_inside(int(gid), gid_map)) for gid in status.get("Groups", "").split()]
    beyond = [(host, inside) for host, inside in groups if inside is None or inside not in gids]
    shown = ", ".join(str(inside) if inside is not None else f"{host} of the host" for host, inside in beyond) or "none"
    numbers = {int(name) for name in permitted if name.isdecimal()}
    if len(numbers) == len(permitted):
        held = all((inside if inside is not None else host) in numbers for host, inside in beyond)
    else:
        held = len(beyond) <= len(permitted)
    yield Check("process.groups", ", ".join(permitted) or "none", shown, held)


def _cgroup(text: str) -> Check:
    own = set(Path("/proc/self/cgroup").read_text().splitlines())
    moved = [line.split(":", 2)[2] for line in text.splitlines() if line not in own]
    return Check(
        "process.resources", "a cgroup of its own", ", ".join(sorted(set(moved))) or "the caller's", bool(moved)
    )


def seen_inside(outside: int, id_map: str) -> int | None:
    """An id of the reader's user namespace as the process sees it (user_namespaces(7)), None where it is not mapped."""
    for line in id_map.splitlines():
        first, start, count = (int(field) for field in line.split())
        if start <= outside < start + count:
            return first + outside - start
    return None


def _show(ids: Iterable[int | None]) -> str:
    return ", ".join(sorted({"unmapped" if item is None else str(item) for item in ids}))
