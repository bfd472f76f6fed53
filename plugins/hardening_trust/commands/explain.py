"""``hardening trust explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardening.cli import api
from hardening.mechanism.schema import WILDCARD
from hardening_trust import scopes
from hardening_trust.admission import permission
from hardening_trust.commands import viewed
from hardening_trust.kinds import show_one
from hardening_trust.requirements import REJECT, MatchRepoDigestOrExact, SignedBy, SigstoreSigned, dump_all

if TYPE_CHECKING:
    from hardening.images.reference import Name
    from hardening_trust.scopes import Match
    from hardening_trust.view import Scope


@click.command(
    "explain",
    cls=api.StackCommand,
    short_help="Show which scope decides about an image, why, and what it requires.",
    epilog="""\b
Examples:
  hardening trust explain docker.io/library/busybox
  hardening trust explain -p ./team.toml registry.example.com/team/app:1
  hardening trust explain --policy policy.json --json oci:./layout:v1
""",
)
@viewed.options
@click.option("-j", "--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("image")
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], file: Path | None, as_json: bool, image: str) -> None:
    """Show which scope decides about IMAGE, by which rule, where it is set, and what it requires. Nothing is fetched."""
    found = viewed.viewed(context, profiles, file)
    name = api.meant(image)
    match = found.match(name)
    scope = found.scopes[match.member]
    if as_json:
        api.show_json(_data(name.full, match, scope))
        return
    api.show(f"image:    {name.full}\nscope:    {_written(match.member)}, by {match.rule}\nset at:   {scope.origin}")
    for number, line in enumerate(_required(match)):
        api.show(f"{'required:' if not number else '     and:'} {line}")
    implied = _implied(name, match)
    if implied:
        api.show(f"signed as: {implied}")
    if match.requirements == REJECT and scope.resolved is not None:
        api.show(f"to permit: {permission(name, profiles, stated=scope.resolved.stated)}")
    from hardening.report.table import Table

    passed = [(_written(item.member), str(item.rule)) for item in match.passed]
    if passed:
        api.show("")
        api.show_table(Table(("tried before, and not there", "rule"), tuple(passed)))
    if scope.resolved is not None and scope.resolved.steps:
        from hardening.report.explain import history

        api.show("")
        api.show_table(history(scope.resolved, ()))


def _written(member: str) -> str:
    transport, name = scopes.split(member)
    return "default" if member == WILDCARD else f'{transport} "{name}"'


def _required(match: Match) -> list[str]:
    if not match.requirements:
        return ["nothing: every image is accepted"]
    if match.requirements == REJECT:
        return ["no image will do: it is rejected"]
    return sorted(show_one(item) for item in match.requirements)


def _implied(name: Name, match: Match) -> str:
    """The name that signatures have to bear where a requirement does not say it, and how to say otherwise."""
    found = [item for item in match.requirements if isinstance(item, SignedBy | SigstoreSigned)]
    if name.docker is None or not any(item.identity == MatchRepoDigestOrExact() for item in found):
        return ""
    if name.docker.digest:
        return f"any of {name.docker.repository} (matchRepoDigestOrExact, where nothing is said)"
    return (
        f"this very name (matchRepoDigestOrExact, where nothing is said); `hardening trust set --identity matchRepository "
        f"-f KEY …` takes those of any tag of {name.docker.repository}"
    )


def _data(image: str, match: Match, scope: Scope) -> dict[str, Any]:
    steps = scope.resolved.steps if scope.resolved is not None else ()
    return {
        "image": image,
        "scope": scope.name,
        "rule": str(match.rule),
        "origin": scope.origin,
        "requirements": dump_all(match.requirements),
        "passed": [{"scope": item.member, "rule": str(item.rule)} for item in match.passed],
        "history": [
            {
                "layer": step.layer,
                "said": step.said,
                "outcome": str(step.outcome),
                "value": step.value,
                "origin": step.origin,
            }
            for step in steps
        ],
    }
