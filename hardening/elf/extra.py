"""The packages that read ELF and machine code: an extra, since no launch needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hardening.errors import HostError

_PACKAGES = {"elftools": "pyelftools", "capstone": "capstone"}


def require() -> None:
    """Raise `HostError` with the remedy where one of them is missing."""
    required("capstone")
    required("elftools.elf.elffile")


def required(module: str) -> Any:
    """A module of one of the extra's packages. Raises `HostError` with the remedy where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        package = _PACKAGES[module.partition(".")[0]]
        raise HostError(
            f"machine code is read with {package}, which is not installed ({error})",
            hint="install the extra in the environment of this program: pip install 'hardening[elf]'",
        ) from None
