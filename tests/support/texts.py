"""Profiles from texts, without files (`hardening.testing.stacks`), and single values of them."""

from __future__ import annotations

from pathlib import Path

from hardening.profile.source import Document, Node, command_line
from hardening.testing.stacks import TODAY, composed, document, layer, stack

__all__ = ["TODAY", "composed", "document", "layer", "node", "said", "stack"]


def node(value: object, key: str = "value") -> Node:
    """A value as the node ``value`` of a profile."""
    return Node(value, (key,), Document("profile", Path("profile.toml"), {key: value}, {(key,): "profile.toml:1"}))


def said(value: object, key: str = "value") -> Node:
    """A value as the command line says it."""
    return Node(value, (key,), command_line({key: value}, {(key,): "--set"}))
