"""Who runs the command, for mechanisms that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.mechanism.mechanism import Context
from hardening_process.kinds import User
from hardening_process.settings import ProcessSettings
from hardening_process.users import Identity, identify

__all__ = ["Identity", "of_tightened", "resolve"]


def resolve(context: Context) -> Identity:
    """The identity that the composed `[process]` gives the command; the natural one where there is no such mechanism.

    Raises `ProfileError` for a name that the root does not know, and for an id that the user namespace does not map.
    """
    settings = context.of(ProcessSettings)
    return settings.resolve(context) if settings is not None else identify(User(), (), context)


def of_tightened(document: Mapping[str, Any], context: Context) -> int:
    """The uid that a foreign configuration has when the composed `[process]` has tightened it."""
    settings = context.of(ProcessSettings)
    if settings is None:
        uid = lookup(document, "/process/user/uid")
        return uid if isinstance(uid, int) else 0
    from hardening_process.tighten import tightened_ids  # only `apply` needs it

    return tightened_ids(settings, document, context)[0]
