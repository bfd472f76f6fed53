"""The two ends of the order of requirements: nothing is required, and nothing will do.

A first composition needs no more of a policy where no profile speaks of one.
"""

from __future__ import annotations

from typing import Any

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.profile.source import Node


@frozen
class Accept:
    """`insecureAcceptAnything`: nothing is required."""


@frozen
class Reject:
    """`reject`: no image will do."""


#: Sets of requirements, of which all are required (`hardening_trust.requirements.Requirements`).
ACCEPT: frozenset[Any] = frozenset()
REJECT: frozenset[Any] = frozenset({Reject()})
#: How they are written in a profile.
WORDS = {"accept": ACCEPT, "reject": REJECT}


def read_word(node: Node) -> frozenset[Any]:
    """One of the two by its word. Raises `ProfileError`."""
    word = node.string()
    if word not in WORDS:
        hint = nearest(word, WORDS) or 'write "accept", "reject", or { signedBy = "/path/to/key.gpg" }'
        raise node.error(f'"{word}" is neither accept nor reject', hint=hint)
    return WORDS[word]
