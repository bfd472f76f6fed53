"""Where an image comes from: the way to the source that a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hardening.base import places
from hardening.images.reference import ARCHIVE, DIRECTORY, DOCKER, OCI, Name
from hardening.images.transport.http import TransferBounds
from hardening.images.transport.source import Source


def open_source(
    name: Name,
    environment: Mapping[str, str],
    uid: int,
    *,
    verify: bool = True,
    bounds: TransferBounds | None = None,
    room: Callable[[], Path] | None = None,
) -> Source:
    """The source that a name means. ``room`` is asked for a directory for what has to be unpacked before it can be read;
    without it that is ``TMPDIR``, or /var/tmp. Raises `ImageError`."""
    if name.transport == DOCKER:
        from hardening.images.transport.registry import Registry

        return Registry.of(name, environment, uid, verify=verify, bounds=bounds)
    from hardening.images.transport import layouts

    if name.transport == OCI:
        return layouts.Layout(name)
    if name.transport == DIRECTORY:
        return layouts.DirectorySource(name)
    assert name.transport == ARCHIVE  # noqa: S101
    from hardening.images.transport.archive import Archive

    return Archive(name, room or (lambda: Path(places.temporary(environment, "/var/tmp"))))  # noqa: S108
