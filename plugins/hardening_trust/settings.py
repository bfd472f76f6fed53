"""The `[trust]` table.

``default`` is what holds where no scope does. Each further table is a transport of containers-transports(5), whose keys
are scopes: ``[trust.docker]``, ``"docker.io/library" = "accept"``; the empty key is all of the transport.
`[trust.lookaside]` names the places of signatures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.mechanism.kinds import Kind
from hardening.mechanism.schema import WILDCARD, Members, Schema, Statement, family
from hardening.profile.source import Node
from hardening_trust.ends import REJECT
from hardening_trust.kinds import Lookaside, LookasideKind, RequirementsKind

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.images.reference import Name
    from hardening_trust.requirements import Requirements
    from hardening_trust.scopes import Match

DEFAULT, LOOKASIDE, DEFAULT_PLACE = "default", "lookaside", "default-docker"
#: The family of scopes has no key of its own: its members stand in the mechanism's table.
SCOPES = ""


def _scope(node: Node) -> str:
    """A scope as it is written in an exception or a question: `docker.docker.io/library`, `docker`, `default`."""
    name = node.string()
    return WILDCARD if name in (DEFAULT, WILDCARD) else name


def _above(name: str) -> Sequence[str]:
    from hardening_trust import scopes  # most stacks name none

    return scopes.above(name)


@frozen
class TrustSettings:
    """Composed `[trust]`."""

    scopes: Members[Requirements] = family(
        RequirementsKind(),
        rest=REJECT,
        absent=REJECT,
        read_member=_scope,
        name=SCOPES,
        help="What is required of images, by scope: `default`, and in a table for each transport (`docker`, `oci`, `dir`, "
        "…) its scopes as policy.json has them. The narrowest scope that an image has decides.",
        examples=(
            "docker",
            "docker.docker.io",
            "docker.docker.io/library",
            "docker.docker.io/library/busybox:1",
            "docker.*.example.com",
            "docker.a.example.com:5000",
            "dir./srv",
        ),
        above=_above,
    )
    lookaside: Members[Lookaside | None] = family(
        LookasideKind(),
        rest=None,
        absent=None,
        help="Where signatures lie, by host, namespace or repository; `default-docker` is for all others.",
        examples=("default-docker", "registry.example.com"),
    )

    @classmethod
    def of(cls, composition: Composition) -> TrustSettings:
        """Those of a composition."""
        found = composition.settings["trust"]
        if not isinstance(found, cls):
            raise TypeError(f"the settings of trust are {type(found).__name__}")
        return found

    def match(self, image: Name) -> Match:
        """The scope that decides about an image. Raises `UsageError` for a name that cannot be looked up."""
        from hardening_trust import scopes

        return scopes.match(image, self.scopes.named, self.scopes.rest)


def read(schema: Schema, table: Node) -> Iterator[Statement]:
    """The says of a layer's table. Raises `ProfileError`."""
    from hardening_trust import scopes

    settings = schema.settings
    for key, node in table.members():
        if key == DEFAULT:
            yield Statement(SCOPES, WILDCARD, settings[SCOPES].kind.parse(node), node.origin)
        elif key in (LOOKASIDE, "requirement"):
            yield from _plain(settings, key, node)
        elif key in scopes.KNOWN or isinstance(node.raw, dict):
            yield from _transport(settings[SCOPES].kind, key, node)
        else:
            known = (DEFAULT, LOOKASIDE, "requirement", *scopes.KNOWN)
            hint = nearest(key, known) or 'write "default", or the table of a transport: [trust.docker]'
            raise node.error("unknown key", hint=hint)


def _plain(settings: Mapping[str, Any], key: str, node: Node) -> Iterator[Statement]:
    kind = settings[key].kind
    if key != LOOKASIDE:
        yield Statement(key, "", kind.parse(node), node.origin)
        return
    for scope, place in node.members():
        yield Statement(LOOKASIDE, scope, kind.parse(place), place.origin)


def _transport(kind: Kind[Requirements], transport: str, node: Node) -> Iterator[Statement]:
    from hardening_trust import scopes

    if transport not in scopes.KNOWN:
        hint = nearest(transport, scopes.KNOWN) or f"transports are {', '.join(scopes.KNOWN)}"
        raise node.error(f'unknown transport "{transport}"', hint=hint)
    for scope, value in node.members():
        problem = scopes.scope_problem(transport, scope)
        if problem:
            raise value.error(f'"{scope}" is not a scope of {transport}', hint=problem)
        yield Statement(SCOPES, scopes.member(transport, scope), kind.parse(value), value.origin)


def dump(schema: Schema, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
    """TOML data for `read` that says exactly ``values``."""
    from hardening_trust import scopes

    table: dict[str, Any] = {}
    kind = schema.settings[SCOPES].kind
    for (setting, name), value in sorted(values.items(), key=lambda item: item[0]):
        if setting == SCOPES:
            transport, scope = scopes.split(name)
            if name == WILDCARD:
                table[DEFAULT] = kind.dump(value)
            else:
                table.setdefault(transport, {})[scope] = kind.dump(value)
        elif setting == LOOKASIDE:
            if value is not None and name != WILDCARD:
                table.setdefault(LOOKASIDE, {})[name] = schema.settings[LOOKASIDE].kind.dump(value)
        else:
            table[setting] = value
    return table


def expand(name: str) -> Sequence[str]:
    """What a name in an exception or a question means: `default` is the default."""
    return (WILDCARD,) if name == DEFAULT else (name,)
