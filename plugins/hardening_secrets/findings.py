"""What is worth saying about secrets."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.errors import quoted
from hardening.launch.secret import secrets
from hardening.mechanism.findings import Finding, FindingsOf
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import CommandProcess
from hardening.mechanism.schema import Leaf
from hardening_secrets.settings import SecretsSettings, Use

_about = FindingsOf("secrets")


def findings(settings: SecretsSettings, context: Context) -> Iterator[Finding]:
    """What is worth saying about the settings."""
    uses = settings.uses()
    for use in uses:
        if not use.is_file:
            yield _about.warning(
                "variable",
                f"the secret {use.name} is a variable: every process of the command inherits it, /proc shows it to all of "
                "the same user, and what prints an environment prints it",
                f"given.{use.name}",
                hint=f"give it as a file, {secrets.PLACE}/{use.name}, which is weaker in none of these",
            )
        elif use.mode & 0o077:
            who = "its group" if not use.mode & 0o007 else "every user of the container"
            yield _about.note(
                "readable",
                f"the secret {use.name} can be read by {who} (mode {use.mode:04o})",
                f"given.{use.name}",
                hint="mode=0400 lets its owner alone read it",
            )
    process = context.of(CommandProcess)
    if uses and process is not None and process.dumps_core:
        yield _about.warning(
            "core",
            "a core dump of the command would hold the secrets that it has read",
            Leaf("process", "rlimits", "core"),
            hint="write core = 0 in [process.rlimits]",
        )
    if context.bundle is None and not context.host.assumed:
        yield from _missing(uses)


def _missing(uses: list[Use]) -> Iterator[Finding]:
    """Where nothing is run now, what a run would miss."""
    from hardening.mechanism.secret_driver import SecretError
    from hardening_secrets.store import SecretStore

    try:
        known = {record.name for record in SecretStore.of_caller().records()} if uses else set()
    except SecretError as error:
        yield _about.warning("store", error.message, hint=error.hint or "", origin=error.origin)
        return
    for use in uses:
        if use.name not in known:
            yield _about.warning(
                "missing",
                f"you have no secret {use.name}, so that a run of yours stops unless another plugin gives it",
                f"given.{use.name}",
                hint=f"hardening secret create {quoted(use.name)} FILE",
            )
