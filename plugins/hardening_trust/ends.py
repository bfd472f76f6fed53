"""The two ends of the order of requirements: nothing is required, and nothing will do.

A first composition needs no more of a policy where no profile speaks of one.
"""

from __future__ import annotations

from typing import Any

from hardening.base.values import frozen


@frozen
class Accept:
    """`insecureAcceptAnything`: nothing is required."""


@frozen
class Reject:
    """`reject`: no image will do."""


#: Sets of requirements, of which all are required (`hardening_trust.requirements.Requirements`).
ACCEPT: frozenset[Any] = frozenset()
REJECT: frozenset[Any] = frozenset({Reject()})
