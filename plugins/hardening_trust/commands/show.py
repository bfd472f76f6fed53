"""``hardening trust show``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardening.cli import output, stack
from hardening.errors import HardeningError
from hardening.images.reference import DOCKER
from hardening.schema import REST
from hardening_trust import keys, scopes
from hardening_trust.commands import viewed
from hardening_trust.kinds import RequirementsKind
from hardening_trust.requirements import REJECT, Requirements, SignedBy, SigstoreSigned, dump_all

if TYPE_CHECKING:
    from hardening_trust.view import Scope, View


@click.command(
    "show",
    cls=stack.StackCommand,
    short_help="Show the policy: which scopes there are, and what each requires.",
    epilog="""\b
Examples:
  hardening trust show
  hardening trust show -p ./team.toml --json
  hardening trust show --policy /etc/containers/policy.json
""",
)
@viewed.options
@click.option("-j", "--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.option("--raw", is_flag=True, help="Show it as the text of a policy.json.")
@click.pass_context
def command(context: click.Context, profiles: tuple[str, ...], file: Path | None, as_json: bool, raw: bool) -> None:
    """Show each scope of the policy, in the table of `podman image trust show`, and where it is said."""
    found = viewed.viewed(context, profiles, file)
    if raw:
        from hardening_trust.policy import dump

        output.show(dump(found.policy()).rstrip())
        return
    if as_json:
        output.show_json([_data(found, scope) for scope in (found.default, *found.named())])
        return
    from hardening.report.table import Table

    rows = [row for scope in (found.default, *found.named()) for row in _rows(found, scope)]
    output.show_table(Table(("transport", "name", "type", "id", "store", "origin"), tuple(rows)))


def _rows(found: View, scope: Scope) -> Iterator[tuple[str, ...]]:
    """A row for each requirement; the words are those of podman."""
    transport, name = _named(scope)
    place = found.place(scope)
    for kind, ids in _types(scope.requirements):
        signed = kind not in ("accept", "reject")
        yield transport, name, kind, ", ".join(ids), place if signed else "", scope.origin


def _named(scope: Scope) -> tuple[str, str]:
    transport, name = scopes.split(scope.member)
    if scope.member == REST:
        return "all", "default"
    return ("repository" if transport == DOCKER else transport), name


def _types(requirements: Requirements) -> Iterator[tuple[str, list[str]]]:
    if not requirements or requirements == REJECT:
        yield ("reject" if requirements else "accept"), []
        return
    for item in sorted(requirements, key=lambda item: RequirementsKind().show(frozenset({item}))):
        if isinstance(item, SignedBy):
            yield "signed", _ids(item)
        elif isinstance(item, SigstoreSigned):
            yield "sigstoreSigned", list(item.key_paths)
        else:
            yield "signedBaseLayer", []


def _ids(item: SignedBy) -> list[str]:
    """Who the keys are of, as they say themselves; the path of a file that cannot be read as keys."""
    found: list[str] = []
    for path in item.key_paths:
        try:
            users = [_address(key.user) or key.fingerprint for key in keys.gpg(keys.read(Path(path)))]
        except HardeningError:
            users = []
        found += users or [path]
    if item.key_data is not None:
        found += [_address(key.user) or key.fingerprint for key in keys.gpg(item.key_data)]
    return found


def _address(user: str) -> str:
    """The mail address in the name of a user: `Somebody <a@example.com>`."""
    _, opened, rest = user.partition("<")
    return rest.partition(">")[0] if opened else user


def _data(found: View, scope: Scope) -> dict[str, Any]:
    transport, name = _named(scope)
    types = [kind for kind, _ in _types(scope.requirements)]
    return {
        "transport": transport,
        "name": "* (default)" if scope.member == REST else name,
        "repo_name": name,
        "type": types[0],
        "scope": scope.name,
        "requirements": dump_all(scope.requirements),
        "store": found.place(scope),
        "origin": scope.origin,
    }
