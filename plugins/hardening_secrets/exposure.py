"""Which secrets a configuration hands over in ways that tell them on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.launch.secret.secrets import ENV, named
from hardening.mechanism.exposure import Exposure
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """One item: a variable is told to every process that the command starts, and to who reads /proc/PID/environ."""
    names = [secret.target for secret in named(document) if secret.kind == ENV]
    yield Exposure("given", "hand secrets on in its variables", 100, 1.0 if names else 0.0, ", ".join(names))


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """What the kernel shows of them is variables, which are the process's."""
