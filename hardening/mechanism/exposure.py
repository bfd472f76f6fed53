"""What a configuration leaves open, an item a setting, for ``hardening score``: in the manner of systemd-analyze(1),
``security``.

An item is scored from an OCI configuration alone, whoever wrote it: a composed stack, another engine, or this program, of
what the kernel says of a process. So one score means the same of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from hardening.base.pointer import ARGS, items, lookup
from hardening.base.values import frozen
from hardening.errors import LaunchError
from hardening.launch.config import confinement


@frozen
class Exposure:
    """How exposed one setting leaves a command. ``name`` is that of the setting below its mechanism's table, ``meaning``
    says in a few words what an exposed command can do, ``weight`` is what that counts for among all items, on the scale of
    systemd's, which go up to 2500, ``share`` how much of it is so, from 0 (tight) to 1, and ``found`` what was found, where
    that says more."""

    name: str
    meaning: str
    weight: float
    share: float
    found: str = ""


def helpers(document: Mapping[str, Any]) -> list[list[str]]:
    """The words of each helper that confines the command (`Fragment.confine`), the one that is executed first being the
    first: of what a stack composes to, which has no command yet, and of a bundle alike. None where `/process/args` does not
    begin with what the configuration says of them, so that none is executed."""
    try:
        found = confinement.helpers(document)
    except LaunchError:
        return []
    args, before = [*items(document, ARGS)], confinement.joined(found, ())
    return found if not args or args[: len(before)] == before else []


def shares_namespace(document: Mapping[str, Any], kind: str) -> float:
    """How much of a type of namespace, as the specification names it, a configuration shares with others: 1 for the host's,
    a half for one that it joins by a path, 0 for one of its own."""
    entries = [entry for entry in items(document, "/linux/namespaces") if entry.get("type") == kind]
    return 1.0 if not entries else 0.5 if any(entry.get("path") for entry in entries) else 0.0


def enclosing(found: Iterable[Exposure], document: Mapping[str, Any]) -> Iterator[Exposure]:
    """The items of what encloses a command: nothing encloses one that has the host's CAP_SYS_ADMIN and no filter, as a
    privileged container's has. It mounts what was hidden or read-only once more, and enters whatever it then sees."""
    held = {
        name for key in ("permitted", "effective") for name in lookup(document, f"/process/capabilities/{key}") or ()
    }
    enclosed = "CAP_SYS_ADMIN" not in held or shares_namespace(document, "user") == 0
    enclosed = enclosed or bool(lookup(document, "/linux/seccomp"))
    for item in found:
        if enclosed or item.share == 1:
            yield item
        else:
            yield attrs.evolve(item, share=1.0, found="undone with SYS_ADMIN, which no filter keeps from mounting")


def maps_root(document: Mapping[str, Any], side: str = "uid") -> bool:
    """Whether id 0 of the host is in a configuration's user namespace: without one of its own, and where it is mapped."""
    ranges = items(document, f"/linux/{side}Mappings")
    return shares_namespace(document, "user") > 0 or any(not item.get("hostID") for item in ranges)
