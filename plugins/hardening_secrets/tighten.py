"""How a foreign configuration is made to name no more secrets than the settings give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.errors import LaunchError, SpecError
from hardening.launch.secret import secrets
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, MountPoint, Violation
from hardening.mechanism.roles import TightenedRoot
from hardening_secrets.settings import SecretsSettings, Use, UseKind, leaf, of_configuration
from hardening_secrets.spec import mount_points, put_names


def tighten(
    settings: SecretsSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Keep of the secrets that a configuration names those that the settings give, at most so; add none that it does not
    name, and none by a link of the root. Raises `SpecError` for an annotation that is malformed."""
    try:
        named = [of_configuration(secret) for secret in secrets.named(document)]
    except LaunchError as error:
        raise SpecError(error.message, origin=secrets.POINTER, hint="leave the annotation out") from None
    kept: list[Use] = []
    kind, root = UseKind(), context.of(TightenedRoot)
    for use in named:
        allowed = kind.intersect(use, settings.given[use.name])
        if allowed != use:
            yield Violation(secrets.POINTER, kind.show(use), kind.show(allowed), leaf(use))
        led = [f"none at {point.path}: {why}" for point in mount_points([allowed] if allowed is not None else ())
               if root is not None and (why := root.elsewhere(document, context, point.path))]  # fmt: skip
        if led:
            yield Violation(secrets.POINTER, kind.show(allowed), led[0], leaf(use))
            continue
        kept += [allowed] if allowed is not None else []
    if kept:
        put_names(kept, fragment)
    elif named:
        fragment.put(secrets.POINTER, None, *{leaf(use) for use in named})
    places = {point.path: point for point in mount_points(kept)}
    for point in places.values():
        fragment.item("/mounts", point.path, dict(point.mount), *point.leaves)
    yield from _left_out(mount_points(settings.uses()), places, document.get("mounts") or ())


def _left_out(
    points: Iterable[MountPoint], places: Mapping[str, MountPoint], mounts: Sequence[Mapping[str, Any]]
) -> Iterator[Violation]:
    """The configuration's own mounts where secrets of the settings would be, and none is."""
    leaves = {point.path: point.leaves[0] for point in points if point.path not in places}
    for index, mount in enumerate(mounts):
        path = mount.get("destination")
        if path in leaves:
            asked = f"{mount.get('type', 'none')} of {mount.get('source', 'nothing')} on {path}"
            yield Violation(f"/mounts/{index}", asked, "none", leaves[path])
