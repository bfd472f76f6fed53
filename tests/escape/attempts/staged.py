"""Attempts whose success is seen from the host."""

from __future__ import annotations

from tests.escape.attempt import Attempt

ATTEMPTS: tuple[Attempt, ...] = ()
