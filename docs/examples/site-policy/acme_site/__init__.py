"""What Acme keeps to: findings for its own profiles, and a verdict on what never runs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from hardening.api import Candidate, Composition, Finding, Input, Refusal, Severity, Unknown, Verdict, hookimpl, inputs

hardening_api = "1"

#: Capabilities that nothing has here, one a line.
NEVER = Path("/etc/acme/never")


@hookimpl
def hardening_inspect(composition: Composition) -> Iterator[Finding]:
    """A finding for each profile of the site's own without a description."""
    for layer in composition.stack.layers:
        if layer.document.file is not None and not layer.shipped and not layer.description:
            what = f"the profile {layer.name} does not say what it is for"
            yield Finding("acme-site/description", Severity.WARNING, what, "", layer.place, 'write description = "…"')


@hookimpl
def hardening_admit(candidate: Candidate) -> Verdict | None:
    """A rejection of each capability that is on the list, in whichever set it stands."""
    never = set(NEVER.read_text().split()) if NEVER.exists() else set()
    process = candidate.composed.get("process") or {}
    sets: dict[str, list[str]] = process.get("capabilities") or {}
    found = sorted((kind, name) for kind, names in sets.items() for name in never.intersection(names))
    if not found:
        return None
    return Verdict("acme-site", tuple(
        Refusal(f"/process/capabilities/{kind}", f"{name} is on the list of {NEVER}", f"drop {name}") for kind, name in found
    ))  # fmt: skip


@hookimpl
def hardening_inputs() -> Iterable[Input | Unknown]:
    """The list, which both a verdict and its absence rest on."""
    return inputs.file(NEVER)
