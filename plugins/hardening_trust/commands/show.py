"""``hardening trust show``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardening.cli import api
from hardening.errors import HardeningError
from hardening.images.reference import DOCKER
from hardening.mechanism.schema import WILDCARD
from hardening_trust import keys, scopes
from hardening_trust.commands import viewed
from hardening_trust.kinds import show_one
from hardening_trust.requirements import REJECT, SignedBy, SigstoreSigned, dump_all, dump_one

if TYPE_CHECKING:
    from hardening_trust.requirements import Requirement, Requirements
    from hardening_trust.view import Scope, View


@click.command(
    "show",
    cls=api.StackCommand,
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
    """Show each scope of the policy, in the table of `podman image trust show`, and where it is set."""
    found = viewed.viewed(context, profiles, file)
    if raw:
        from hardening_trust.policy import dump

        api.show(dump(found.policy()).rstrip())
        return
    if as_json:
        api.show_json([_data(found, scope) for scope in (found.default, *found.named())])
        return
    from hardening.report.table import Table

    readers = _Keys()
    rows = [row for scope in (found.default, *found.named()) for row in _rows(found, scope, readers)]
    api.show_table(Table(("transport", "name", "type", "id", "store", "origin"), tuple(rows)))


class _Keys:
    """Who the keys are of, as they say themselves; each file is read once."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}

    def of(self, item: SignedBy) -> list[str]:
        """A name for each key; the path of a file that cannot be read as keys."""
        found = [name for path in item.key_paths for name in self._named(path)]
        for data in item.datas:
            found += [_user(key) for key in keys.gpg(data)]
        return found

    def _named(self, path: str) -> list[str]:
        if path not in self._known:
            try:
                self._known[path] = [_user(key) for key in keys.gpg(keys.read(Path(path)))]
            except HardeningError:
                self._known[path] = []
        return self._known[path] or [path]


def _user(key: keys.Key) -> str:
    """The mail address in the name of a key's user: `Somebody <a@example.com>`."""
    _, opened, rest = key.user.partition("<")
    return (rest.partition(">")[0] if opened else key.user) or key.fingerprint


def _rows(found: View, scope: Scope, readers: _Keys) -> Iterator[tuple[str, ...]]:
    """A row for each requirement; the words are those of podman."""
    transport, name = _named(scope)
    place = found.place(scope)
    for kind, item in _types(scope.requirements):
        ids = (
            readers.of(item)
            if isinstance(item, SignedBy)
            else item.key_paths
            if isinstance(item, SigstoreSigned)
            else []
        )
        yield transport, name, kind, ", ".join(ids), place if item is not None else "", scope.origin


def _named(scope: Scope) -> tuple[str, str]:
    transport, name = scopes.split(scope.member)
    if scope.member == WILDCARD:
        return "all", "default"
    return ("repository" if transport == DOCKER else transport), name


def _types(requirements: Requirements) -> Iterator[tuple[str, Requirement | None]]:
    """The words for what is required, each with its requirement."""
    if not requirements or requirements == REJECT:
        yield ("reject" if requirements else "accept"), None
        return
    for item in sorted(requirements, key=show_one):
        kind = str(dump_one(item)["type"])
        yield ("signed" if isinstance(item, SignedBy) else kind), item


def _data(found: View, scope: Scope) -> dict[str, Any]:
    transport, name = _named(scope)
    types = [kind for kind, _ in _types(scope.requirements)]
    return {
        "transport": transport,
        "name": "* (default)" if scope.member == WILDCARD else name,
        "repo_name": name,
        "type": types[0],
        "scope": scope.name,
        "requirements": dump_all(scope.requirements),
        "store": found.place(scope),
        "origin": scope.origin,
    }
