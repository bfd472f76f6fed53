"""A policy of containers tools as a profile: policy.json, and registries.d."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hardening.errors import ProfileError
from hardening.profile.toml_text import inline, key
from hardening_trust import registriesd, scopes, writing
from hardening_trust.kinds import Lookaside, LookasideKind, RequirementsKind
from hardening_trust.policy import Policy
from hardening_trust.requirements import Requirements, all_paths
from hardening_trust.settings import DEFAULT, DEFAULT_PLACE, LOOKASIDE


def places(directory: Path) -> dict[str, Lookaside]:
    """Where signatures lie by the files of a registries.d, by scope. Raises `ProfileError`."""
    return {scope: place for scope, place in registriesd.read(directory).places().items() if place != Lookaside("")}


def profile(policy: Policy, places: Mapping[str, Lookaside], path: Path) -> str:
    """The text of a profile that requires what a policy does; ``path`` is where it will be. Raises `ProfileError`, with the
    line of the policy, for what a profile cannot say."""
    text = "".join(f"{line}\n" for line in _lines(policy, places))
    writing.require_read(text, path)
    return text


def _lines(policy: Policy, places: Mapping[str, Lookaside]) -> Iterator[str]:
    kind = RequirementsKind()
    yield f"# From {policy.source}"
    yield "[trust]"
    _require_absolute(policy.default, policy.origins["", ""])
    yield f"{DEFAULT} = {inline(kind.dump(policy.default))}"
    for transport, found in policy.transports.items():
        if found:
            yield f"\n[trust.{key(transport)}]"
        for scope, requirements in found.items():
            origin = policy.origins[transport, scope]
            if transport not in scopes.KNOWN:
                raise ProfileError(f'unknown transport "{transport}"', origin=origin, hint="take it out")
            _require_absolute(requirements, origin)
            yield f"{inline(scope)} = {inline(kind.dump(requirements))}"
    if places:
        yield f"\n[trust.{LOOKASIDE}]"
    for scope, place in places.items():
        yield f"{inline(scope or DEFAULT_PLACE)} = {inline(LookasideKind().dump(place))}"


def _require_absolute(requirements: Requirements, origin: str) -> None:
    """Raise `ProfileError` for a file that is looked up from the working directory."""
    relative = next((path for path in all_paths(requirements) if not path.startswith("/")), None)
    if relative is not None:
        raise ProfileError(
            f'"{relative}" is not an absolute path', origin=origin, hint="write the whole path of the file"
        )
