"""What the mechanism looks at for its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hardening.mechanism import inputs as look
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context
from hardening_process import cgroups, facts, users
from hardening_process.host import stated_ceilings
from hardening_process.passwd import within
from hardening_process.secrets import why_secret
from hardening_process.settings import ProcessSettings
from hardening_process.spec import variables


def inputs(settings: ProcessSettings, context: Context) -> Inputs:
    """The caller's limits and environment, the root's accounts, and the cgroups where there are ceilings. A variable that
    holds a secret, by its name or its value, is no part of a stored bundle."""
    yield from facts.inputs()
    passed = settings.environment.having(True)
    yield from look.environment(*passed)
    for _, name, value in variables(settings, context):
        if reason := why_secret(name, value):
            yield Unknown(reason)
    yield from look.accounts(context.host.uid)
    yield from _accounts(users.root(context))
    if context.limits("process"):
        yield from _accounts(Path("/"))  # whose group a number is
    if stated_ceilings(settings) or settings.cgroup:
        yield from cgroups.inputs()


def _accounts(root: Path) -> Iterator[Input]:
    for name in ("etc/passwd", "etc/group"):
        yield from look.way(name, root=str(root))
        path = within(root, name)
        if path is not None:
            yield Input("file", str(path))
