"""Where an image comes from: what every source offers, and the way to the right one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from hardening.base import places
from hardening.images.media import Descriptor
from hardening.images.reference import ARCHIVE, DIRECTORY, DOCKER, OCI, Name
from hardening.images.transport.http import Bounds


class Source(ABC):
    """One image at the place that its name says. Nothing that it gives is checked yet."""

    @abstractmethod
    def manifest(self) -> tuple[bytes, str]:
        """The manifest or index that the name stands for, and the media type that came with it, '' for none. Raises
        `ImageError`."""

    @abstractmethod
    def instance(self, chosen: Descriptor) -> bytes:
        """The manifest of one image of an index. Raises `ImageError`."""

    @abstractmethod
    def blob(self, wanted: Descriptor) -> Generator[bytes, None, None]:
        """The content of a blob, in pieces. Who does not take all of them closes it: a connection may be behind it. Raises
        `ImageError`."""

    def close(self) -> None:
        """Let go of what was opened."""
        return


def open_source(
    name: Name,
    environment: Mapping[str, str],
    uid: int,
    *,
    verify: bool = True,
    bounds: Bounds | None = None,
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
        return layouts.Folder(name)
    assert name.transport == ARCHIVE  # noqa: S101
    from hardening.images.transport.archive import Archive

    return Archive(name, room or (lambda: Path(places.temporary(environment, "/var/tmp"))))  # noqa: S108
