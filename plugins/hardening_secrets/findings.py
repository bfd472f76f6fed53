"""What is worth saying about secrets, and what the kernel says of their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.linux import mountinfo
from hardening.errors import quoted
from hardening.launch.secret import secrets
from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.mechanism import Context, Verification
from hardening.mechanism.roles import CommandProcess
from hardening_secrets.settings import SecretsSettings, Use, leaf, numbers

#: What each rule finds (`hardening.mechanism.mechanism.Mechanism.rules`).
RULES = {
    "core": "Core dumps that would hold secrets",
    "missing": "A secret that the caller has not got",
    "readable": "A secret that others than its owner can read",
    "store": "A store of secrets that cannot be read",
    "variable": "A secret that is a variable",
}


def findings(settings: SecretsSettings, context: Context) -> Iterator[Finding]:
    """What is worth saying about the settings."""
    uses = settings.uses()
    for use in uses:
        if not use.is_file:
            yield Finding(
                "secrets/variable",
                Severity.WARNING,
                f"the secret {use.name} is a variable: every process of the command inherits it, /proc shows it to all of "
                "the same user, and what prints an environment prints it",
                leaf=leaf(use),
                hint=f"give it as a file, {secrets.PLACE}/{use.name}, which is weaker in none of these",
            )
        elif use.mode & 0o077:
            who = "its group" if not use.mode & 0o007 else "every user of the container"
            yield Finding(
                "secrets/readable",
                Severity.NOTE,
                f"the secret {use.name} can be read by {who} (mode {use.mode:04o})",
                leaf=leaf(use),
                hint="mode=0400 lets its owner alone read it",
            )
    process = context.of(CommandProcess)
    if uses and process is not None and process.dumps_core:
        yield Finding(
            "secrets/core",
            Severity.WARNING,
            "a core dump of the command would hold the secrets that it has read",
            leaf="process.rlimits.core",
            hint="write core = 0 in [process.rlimits]",
        )
    if context.bundle is None:
        yield from _missing(uses)


def _missing(uses: list[Use]) -> Iterator[Finding]:
    """Where nothing is run now, what a run would miss."""
    from hardening.mechanism.secret_driver import SecretError
    from hardening_secrets.store import Store

    try:
        known = {record.name for record in Store.of_caller().records()} if uses else set()
    except SecretError as error:
        yield Finding("secrets/store", Severity.WARNING, error.message, origin=str(error.origin), hint=error.hint or "")
        return
    for use in uses:
        if use.name not in known:
            yield Finding(
                "secrets/missing",
                Severity.WARNING,
                f"you have no secret {use.name}, so that a run of yours stops unless another plugin gives it",
                leaf=leaf(use),
                hint=f"hardening secret create {quoted(use.name)} FILE",
            )


def verify(settings: SecretsSettings, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold what the kernel reports of the files and the names of the variables against the settings. That a variable has
    the value of its secret only that value could tell."""
    rows = receipt.get("secrets")
    found = {row.get("target"): row for row in rows if isinstance(row, dict)} if isinstance(rows, list) else {}
    for use in settings.uses():
        if use.is_file:
            yield _file(use, found.get(use.target), receipt)
            yield _mount(use, receipt)
        else:
            seen = _variable(use.target, receipt.get("environment"))
            yield Verification.of(leaf(use), use.target, seen, seen == use.target)
    yield _no_other(settings, receipt)


def _variable(name: str, environment: Mapping[str, str | None] | None) -> str:
    if environment is None:
        return "may not be read"
    if name not in environment:
        return "no variable"
    return name if environment[name] is None else "the value of a profile"


def _no_other(settings: SecretsSettings, receipt: Mapping[str, Any]) -> Verification:
    """Nothing was handed over beside what was composed; where there are none, there is no place for any."""
    wanted = {(use.type, use.target) for use in settings.uses()}
    rows = receipt.get("secrets")
    given = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    beyond = [str(row.get("target")) for row in given if (row.get("type"), row.get("target")) not in wanted]
    if not settings.uses():
        places = {item.place for item in mountinfo.parse(receipt["mountinfo"])}
        beyond += [secrets.PLACE] if secrets.PLACE in places and not beyond else []
    expected = "no other"
    return Verification.of("secrets.given.*", expected, f"also {', '.join(beyond)}" if beyond else expected, not beyond)


def _file(use: Use, row: Mapping[str, Any] | None, receipt: Mapping[str, Any]) -> Verification:
    owner = [_outside(receipt, *pair) for pair in (("Uid", "uid_map", use.uid), ("Gid", "gid_map", use.gid))]
    shown = ["the command's" if said is None else str(said) for said in (use.uid, use.gid)]
    expected = f"a file of mode {use.mode:04o} of uid {shown[0]} and gid {shown[1]}"
    seen = numbers(row or {}, "mode", "uid", "gid")
    if row is None or row.get("found") is not True or len(seen) != 3:
        return Verification.of(leaf(use), expected, "no file", False)
    holds = seen[1:] == owner and not seen[0] & ~use.mode
    return Verification.of(
        leaf(use), expected, f"a file of mode {seen[0]:04o} of uid {seen[1]} and gid {seen[2]} of the host", holds
    )


def _outside(receipt: Mapping[str, Any], field: str, map_name: str, inside: int | None) -> int | None:
    """An id of the container as the host has it; that of the process where none was said."""
    if inside is None:
        return int(receipt["status"][field].split()[1])
    for line in (receipt[map_name] or "").splitlines():
        first, outside, count = map(int, line.split())
        if first <= inside < first + count:
            return outside + inside - first
    return None


def _mount(use: Use, receipt: Mapping[str, Any]) -> Verification:
    place = secrets.PLACE if use.target.startswith(f"{secrets.PLACE}/") else use.target
    wanted = {"ro", "nosuid", "nodev", "noexec"}
    item = next((item for item in reversed(mountinfo.parse(receipt["mountinfo"])) if item.place == place), None)
    kernel = "no mount" if item is None else ",".join([item.kind, *sorted(wanted.intersection(item.options))])
    holds = item is not None and item.kind == "tmpfs" and wanted.issubset(item.options)
    return Verification.of(leaf(use), ",".join(["tmpfs", *sorted(wanted)]), kernel, holds)
