"""Who runs the command, for mechanisms that depend on it."""

from __future__ import annotations

from hardening.mechanism import Context
from hardening_process.kinds import User
from hardening_process.settings import ProcessSettings
from hardening_process.users import Identity, identify

__all__ = ["Identity", "resolve"]


def resolve(context: Context) -> Identity:
    """The identity that the composed `[process]` gives the command; the natural one where there is no such mechanism.

    Raises `ProfileError` for a name that the root does not know, and for an id that the user namespace does not map.
    """
    settings = context.of(ProcessSettings)
    return settings.resolve(context) if settings is not None else identify(User(), (), context)
