"""A tree as data."""

from __future__ import annotations

from hardening.base.values import frozen


@frozen
class TreeNode:
    """A line, the word that says how it is styled (`hardening.report.terminal`), and what stands below it."""

    text: str
    style: str = ""
    below: tuple[TreeNode, ...] = ()
