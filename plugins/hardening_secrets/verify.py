"""What the kernel says of the files of secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.linux import mountinfo
from hardening.launch.secret import secrets
from hardening.mechanism import idmaps
from hardening.mechanism.mechanism import Context, Verification
from hardening_secrets.settings import SecretsSettings, Use, leaf, numbers
from hardening_secrets.spec import TIGHT


def verify(settings: SecretsSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
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
    return idmaps.outside(idmaps.parse(receipt[map_name] or ""), inside)


def _mount(use: Use, receipt: Mapping[str, Any]) -> Verification:
    place = secrets.PLACE if use.target.startswith(f"{secrets.PLACE}/") else use.target
    item = next((item for item in reversed(mountinfo.parse(receipt["mountinfo"])) if item.place == place), None)
    kernel = "no mount" if item is None else ",".join([item.kind, *sorted({*TIGHT}.intersection(item.options))])
    holds = item is not None and item.kind == "tmpfs" and {*TIGHT} <= {*item.options}
    return Verification.of(leaf(use), ",".join(["tmpfs", *sorted(TIGHT)]), kernel, holds)
