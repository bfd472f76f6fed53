"""What the findings about secrets mean (`hardening.mechanism.mechanism.Mechanism.rules`)."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "variable": FindingRule(
        "HRD801",
        "A secret that is a variable",
        "Every process of the command inherits it, /proc shows it to all of the same user, and what prints an "
        "environment prints it.",
        "Give it as a file, which is weaker in none of these.",
        '[secrets]\ngiven = ["token,type=env,target=TOKEN"]\n',
        '[secrets]\ngiven = ["token"]\n',
    ),
    "readable": FindingRule(
        "HRD802",
        "A secret that others than its owner can read",
        "Every process of the group, or of the container, has it.",
        "Write `mode=0400`.",
        '[secrets]\ngiven = ["token,mode=0444"]\n',
        '[secrets]\ngiven = ["token,mode=0400"]\n',
        severity=Severity.NOTE,
    ),
    "core": FindingRule(
        "HRD803",
        "Core dumps that would hold secrets",
        "A core dump has all that the command has read.",
        "Write `core = 0` in `[process.rlimits]`.",
        '[secrets]\ngiven = ["token"]\n[process.rlimits]\ncore = "unlimited"\n',
        '[secrets]\ngiven = ["token"]\n[process.rlimits]\ncore = 0\n',
    ),
    "missing": FindingRule(
        "HRD804",
        "A secret that the caller has not got",
        "You have no secret of that name, so that a run of yours stops unless another plugin gives it. It is told "
        "where nothing is run.",
        "`hardening secret create NAME FILE`.",
    ),
    "store": FindingRule(
        "HRD805",
        "A store of secrets that cannot be read",
        "Your store cannot be used, so that nobody knows which secrets there are. It is told where nothing is run.",
        "Do what the result says.",
    ),
}
