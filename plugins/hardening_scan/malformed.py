"""What the readers of lists of packages raise."""

from __future__ import annotations


class Malformed(ValueError):
    """A list of packages that is none, or that is too long."""
