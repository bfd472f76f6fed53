"""Leases of category pairs, looked at as each reservation does."""

from __future__ import annotations

from pathlib import Path

from hardening_selinux import mcs


def living(folder: Path) -> dict[mcs.Pair, Path]:
    """The pairs that are in use, with their lease files; dead leases are removed."""
    with mcs.locked(folder):
        return mcs.living(folder)
