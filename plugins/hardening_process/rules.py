"""What the findings about the process mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "root": FindingRule(
        "HRD501",
        "A command that runs as root",
        "Root of a container holds whatever capabilities it has over every file and process there, and is root of the "
        "host where it has no user namespace of its own; with one the finding is a note.",
        'Name an ordinary user, such as `user = "1000"`.',
        '[process]\nuser = "0"\n',
        '[process]\nuser = "1000"\n',
        severity=Severity.NOTE,
    ),
    "umask": FindingRule(
        "HRD502",
        "New files that others can write to",
        "Files that the command makes on a volume can be changed by its group, or by everybody.",
        'Write `umask = "022"`, or a stricter one.',
        '[process]\numask = "000"\n',
        '[process]\numask = "022"\n',
    ),
    "secret-in-environment": FindingRule(
        "HRD503",
        "A variable that is, by its name or its value, a secret",
        "Every process of the command inherits it, /proc shows it, and it stands in the profile.",
        "Hand it over as a file: `--secret NAME`, or `given` in `[secrets]`.",
        '[process]\nset_environment = { API_TOKEN = "3f786850e387550fdab836ed7e6dc881de23001b" }\n',
        '[secrets]\ngiven = ["api-token"]\n',
    ),
    "loader-variable": FindingRule(
        "HRD504",
        "A variable that decides which code programs load",
        "LD_PRELOAD, PYTHONPATH and their like make each program that the command starts run other code (ld.so(8)).",
        "Install what is needed where programs look for it, and leave the variable out.",
        '[process]\nset_environment = { LD_PRELOAD = "/opt/shim.so" }\n',
        "[process]\n",
        severity=Severity.NOTE,
    ),
    "unlimited": FindingRule(
        "HRD505",
        "A resource without a ceiling",
        "Without a ceiling of `nofile`, `memlock` or `core` one process can exhaust the host, or leave its memory "
        "behind (getrlimit(2)).",
        "Give it a number in `[process.rlimits]`.",
        '[process.rlimits]\ncore = "unlimited"\n',
        "[process.rlimits]\ncore = 0\n",
        severity=Severity.NOTE,
    ),
    "no-process-limit": FindingRule(
        "HRD506",
        "A command without a limit of processes",
        "A fork bomb fills the host's process table.",
        "Write `pids = 512` in `[process.resources]`, where cgroups can be used, else `nproc` in `[process.rlimits]`.",
        severity=Severity.NOTE,
    ),
    "no-memory-limit": FindingRule(
        "HRD507",
        "A command without a limit of memory",
        "Its memory grows until the host ends something, which need not be this command.",
        'Write `memory = "512M"` in `[process.resources]`.',
        severity=Severity.NOTE,
    ),
    "swap": FindingRule(
        "HRD508",
        "A limit of memory that does not count swap",
        "Beyond its memory the command fills the host's swap.",
        "Give `memory_swap` the value of `memory`.",
        severity=Severity.NOTE,
    ),
    "limit-of-caller": FindingRule(
        "HRD509",
        "A limit of the caller's that is lower than the profile's",
        "A hard limit cannot be raised without CAP_SYS_RESOURCE (setrlimit(2)): the caller's own counts.",
        "Have the caller's limit raised, or write the lower one.",
        severity=Severity.NOTE,
    ),
    "oom-score-of-caller": FindingRule(
        "HRD510",
        "A score of the caller's that is higher than the profile's",
        "A score cannot be lowered below the caller's own without CAP_SYS_RESOURCE (proc(5), oom_score_adj).",
        "Have the caller's score lowered, or write the higher one.",
        severity=Severity.NOTE,
    ),
}
