"""The caller's home in a test. HOME moves it for nobody who has an account, so that it cannot be said there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.base import places


def set_home(monkeypatch: pytest.MonkeyPatch, path: str | Path | None) -> None:
    """Have the caller's account another home, or none."""
    monkeypatch.setattr(places, "home", lambda environment: None if path is None else str(path))
