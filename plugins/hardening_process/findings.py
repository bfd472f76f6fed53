"""What is worth saying about the settings, and what the kernel says of the process."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hardening.mechanism.findings import Finding, FindingsOf, Severity
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import id_maps
from hardening_process.facts import ProcessFacts, effective_oom_score_adj, effective_rlimit, stated_ceilings
from hardening_process.kinds import UNLIMITED, RlimitKind
from hardening_process.secrets import why_secret
from hardening_process.settings import RLIMITS, ProcessSettings
from hardening_process.spec import variables

_about = FindingsOf("process")

_LOADER = re.compile(r"LD_|PYTHONPATH$|PYTHONSTARTUP$|PERL5LIB$|PERL5OPT$|NODE_OPTIONS$|RUBYOPT$|BASH_ENV$|ENV$")
#: Limits without which one process can exhaust the host, or leave its memory behind.
_TELLING = ("core", "memlock", "nofile")


def findings(settings: ProcessSettings, context: Context) -> Iterable[Finding]:
    """What is worth saying about the settings."""
    yield from _about_user(settings, context)
    yield from _about_environment(settings, context)
    yield from _about_limits(settings, context)


def _about_user(settings: ProcessSettings, context: Context) -> Iterator[Finding]:
    # A name is looked up in the root, and nobody's root is there where no host is known.
    is_root = settings.user.user in ("0", "root") if context.host.assumed else settings.resolve(context).is_root
    if is_root:
        maps = id_maps(context)
        outside = maps.outside(0) if maps is not None else 0
        inside = f"uid 0 of a user namespace, which is uid {outside} of the host" if outside else "uid 0 of the host"
        yield _about.finding(
            Severity.NOTE if outside else Severity.WARNING,
            "root",
            f"the command runs as {inside}",
            "user",
            hint='name an ordinary user: user = "1000" in [process]',
        )
    missing = 0o022 & ~settings.umask
    if missing:
        who = "the group and others" if missing == 0o022 else "the group" if missing == 0o020 else "others"
        yield _about.warning(
            "umask",
            f"{who} can write to the files that the command makes",
            "umask",
            hint='write umask = "022" in [process]',
        )


def _about_environment(settings: ProcessSettings, context: Context) -> Iterator[Finding]:
    for table, name, value in variables(settings, context):
        if reason := why_secret(name, value):
            yield _about.warning(
                "secret-in-environment",
                f"{reason}: every process of the command inherits it, and /proc shows it",
                f"{table}.{name}",
                hint="hand secrets over as files: --secret NAME",
            )
        elif _LOADER.match(name):
            yield _about.note("loader-variable", f"{name} decides which code programs load", f"{table}.{name}")


def _about_limits(settings: ProcessSettings, context: Context) -> Iterator[Finding]:
    show = RlimitKind().show
    for name in RLIMITS:
        ceiling, given = settings.rlimits[name], effective_rlimit(name, settings, context)
        leaf = f"rlimits.{name}"
        if name in _TELLING and ceiling.hard is None:
            yield _about.note("unlimited", f"there is no ceiling for {RLIMITS[name]} ({name})", leaf)
        if given is not None and given != ceiling and ceiling != UNLIMITED and ceiling.hard is not None:
            message = f"the caller's own limit is lower: {show(given)} instead of {show(ceiling)}"
            hint = f'write {name} = "{show(given)}" in [process.rlimits], or have the caller\'s limit raised'
            yield _about.note("limit-of-caller", message, leaf, hint=hint)
    score = effective_oom_score_adj(settings, context)
    if score != settings.oom_score_adj:
        message = f"the caller's own score applies: {score} instead of {settings.oom_score_adj}"
        yield _about.note("oom-score-of-caller", message, "oom_score_adj")
    ceilings = stated_ceilings(settings)
    if "pids" not in ceilings and settings.rlimits["nproc"].hard is None:
        yield _about.note(
            "no-process-limit",
            "nothing limits how many processes the command starts",
            "resources.pids",
            hint="write pids = 512 in [process.resources], where cgroups can be used, else nproc in [process.rlimits]",
        )
    if "memory" not in ceilings and settings.rlimits["as"].hard is None:
        yield _about.note(
            "no-memory-limit",
            "nothing limits how much memory the command uses",
            "resources.memory",
            hint='write memory = "512M" in [process.resources], where cgroups can be used',
        )
    if "memory" in ceilings and "memory_swap" not in ceilings and context.host.of(ProcessFacts).cgroups.swap:
        yield _about.note(
            "swap",
            "beyond its memory the command can fill the host's swap",
            "resources.memory_swap",
            hint="give memory_swap the value of memory",
        )
