"""What every source of images offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator

from hardening.images.media import Descriptor


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
