"""Whether somebody can be asked for a passphrase, and where."""

from __future__ import annotations

from hardening.launch.recording import terminal


def name() -> str | None:
    """The controlling terminal of this process, None without one: `gpg-agent` asks there (GPG_TTY)."""
    found = terminal()
    return f"/dev/{found}" if found is not None else None
