"""How a foreign configuration is made nowhere looser than the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.roles import TightenedRoot
from hardening_landlock import spec
from hardening_landlock.settings import LandlockSettings


def tighten(
    settings: LandlockSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Confine its command as well; no configuration can ask for anything beyond that."""
    root = context.of(TightenedRoot)
    spec.contribute(settings, context, fragment, root.kept_writable(document, context) if root is not None else None)
    for point in spec.mount_points(settings) if spec.enforced(settings, context) else ():
        fragment.item("/mounts", point.path, dict(point.mount), *point.leaves)
    yield from ()
