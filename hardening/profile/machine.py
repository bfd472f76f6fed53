"""What the administrator of a machine says to every call: ``/etc/hardening/hardening.toml``."""

from __future__ import annotations

import os
from pathlib import Path

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.launch.fingerprints import ABSENT
from hardening.profile.layers import MACHINE, is_path
from hardening.profile.source import Node, read

FILE = MACHINE / "hardening.toml"
DEFAULT_PROFILE = "default"
_KEYS = ("default",)


@frozen
class Machine:
    """``default`` are the profiles of a command that names none, and ``digest`` is the SHA-256 of the file that says so."""

    default: tuple[str, ...] = (DEFAULT_PROFILE,)
    digest: str = ABSENT


def configured(file: Path = FILE) -> Machine:
    """What the file says, if there is one. Raises `ProfileError` for one that is malformed, not root's, or that others can
    write. A path in it starts at its folder."""
    if not os.path.lexists(file):
        return Machine()
    document = read(file, file.stem, owner=Owner.ROOT)
    for key, node in document.root.members():
        if key not in _KEYS:
            raise node.error("unknown key", hint=nearest(key, _KEYS) or f"it has {', '.join(_KEYS)}")
    default = document.root.get("default")
    return Machine(Machine().default if default is None else _profiles(default, file.parent), document.digest)


def _profiles(node: Node, folder: Path) -> tuple[str, ...]:
    items = [node] if isinstance(node.raw, str) else list(node.items())
    if not items:
        raise node.error("names no profile", hint=f'write default = "{DEFAULT_PROFILE}"')
    names = [item.string() for item in items]
    return tuple(str(folder / name) if is_path(name) and not name.startswith("~") else name for name in names)
