"""Whether a configuration confines its command by a label, and the label that the kernel reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.mechanism.exposure import Exposure
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.host import Host
from hardening_selinux.labels import Label
from hardening_selinux.spec import LABEL, asked_label

_PROFILE = "/process/apparmorProfile"  # another module of the kernel's, which confines as well
#: Types and profiles that confine nothing.
_LOOSE = ("unconfined_t", "spc_t", "unconfined")


def exposure(document: Mapping[str, Any], host: Host) -> Iterator[Exposure]:
    """One item: mandatory access control, by whichever module."""
    label = asked_label(document, LABEL)
    name = label.type if label is not None else str(lookup(document, _PROFILE) or "")
    confined = bool(name) and name not in _LOOSE
    yield Exposure("enabled", "act with no label to confine it", 500, 0.0 if confined else 1.0, name or "no label")


def reported(receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
    """The label of the process, where it is one of SELinux."""
    text = str(receipt["label"] or "").rstrip("\0\n")
    try:
        fragment.put(LABEL, str(Label.parse(text)))
    except ValueError:
        return
