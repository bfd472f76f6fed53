"""The command of an image: its entrypoint, before what was typed or what it runs by itself (OCI image spec, config.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hardening.base import jsontext
from hardening.base.values import frozen
from hardening.errors import ImageError, LaunchError, UsageError


@frozen
class ImageCommand:
    """What an image has of a command: its ``entrypoint``, and the ``default`` words after that where none are typed."""

    entrypoint: tuple[str, ...] = ()
    default: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any], image: str, entrypoint: str | None, typed: Sequence[str]) -> ImageCommand:
        """That of an image's configuration, or with another ``entrypoint``, as ``--entrypoint`` takes it. Raises
        `UsageError` for a malformed one, and `ImageError`, but not for words that something ``typed`` stands for."""
        if entrypoint is not None:
            return cls(_entrypoint(entrypoint))
        before = _words(config, "Entrypoint", image)
        try:
            return cls(before, _words(config, "Cmd", image))
        except ImageError:
            if not typed:
                raise
            return cls(before)

    def command(self, typed: tuple[str, ...]) -> tuple[str, ...]:
        """The command with what was typed, which may be nothing."""
        return (*self.entrypoint, *(typed or self.default))


def _words(config: Mapping[str, Any], key: str, image: str) -> tuple[str, ...]:
    found = config.get(key) or []
    if not isinstance(found, list) or not all(isinstance(word, str) and "\0" not in word for word in found):
        raise ImageError(f"has a malformed {key}", origin=image, hint="give --entrypoint and a command, or rebuild it")
    return tuple(found)


def _entrypoint(text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return (text,) if text else ()
    try:
        found = jsontext.parse(text.encode("utf-8", "surrogateescape"), "--entrypoint")
    except LaunchError:
        found = None
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise UsageError("is not a JSON array of strings", origin=f"--entrypoint {text}", hint='write \'["sh", "-c"]\'')
    return tuple(found)
