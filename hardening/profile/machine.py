"""What the administrator of a machine says to every call: ``/etc/hardening/hardening.toml``, and the stack that every other
begins with, ``/etc/hardening/enforced.toml``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from hardening.base import places
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.errors import quoted
from hardening.launch.cache import SIGNED
from hardening.launch.fingerprints import ABSENT
from hardening.profile.layers import Required, is_path
from hardening.profile.source import Node, known_members, read

FILE = Path(places.CONFIGURATION)
DEFAULT_PROFILE = "default"
ENFORCED = Path(places.ENFORCED)
_KEYS = ("default", "profiles")
_OF_PROFILES = (SIGNED,)
#: A fingerprint is no file of keys.
_FINGERPRINT = re.compile(r"(0x)?[0-9A-Fa-f ]{16,}")


@frozen
class Machine:
    """``default`` are the profiles of a command that names none, ``signed`` says who has to have signed layers, and
    ``digest`` is the SHA-256 of the file that says so. ``enforced`` is the profile whose stack goes before every other."""

    default: tuple[str, ...] = (DEFAULT_PROFILE,)
    digest: str = ABSENT
    signed: Required | None = None
    enforced: Path | None = None


def configured(file: Path = FILE, enforced: Path = ENFORCED) -> Machine:
    """What the files say that there are. Raises `ProfileError` for one that is malformed, not root's, or that others can
    write. A path in it starts at its folder."""
    first = enforced if os.path.lexists(enforced) else None
    if not os.path.lexists(file):
        return Machine(enforced=first)
    document = read(file, file.stem, owner=Owner.ROOT)
    said = _known(document.root, _KEYS)
    default, profiles = said.get("default"), said.get("profiles")
    names = Machine().default if default is None else _profiles(default, file.parent)
    return Machine(names, document.digest, _signed(profiles, file.parent) if profiles is not None else None, first)


def _known(table: Node, keys: Collection[str]) -> dict[str, Node]:
    return known_members(table, keys, f"it has {', '.join(keys)}")


def _signed(table: Node, folder: Path) -> Required | None:
    node = _known(table, _OF_PROFILES).get(SIGNED)
    if node is None:
        return None
    items = [node] if isinstance(node.raw, str) else list(node.items())
    if not items:
        raise node.error("names no key: no layer could be signed", hint="name a file of keys, or leave it out")
    for item in items:
        if _FINGERPRINT.fullmatch(item.string()):
            hint = f"`gpg --export {quoted(item.string())} >{quoted(f'{folder}/keys.gpg')}` writes one: name that"
            raise item.error("is a fingerprint, where a file of keys is expected", hint=hint)
    return Required(tuple(folder / item.string() for item in items), node.origin)


def _profiles(node: Node, folder: Path) -> tuple[str, ...]:
    items = [node] if isinstance(node.raw, str) else list(node.items())
    if not items:
        raise node.error("names no profile", hint=f'write default = "{DEFAULT_PROFILE}"')
    names = [item.string() for item in items]
    return tuple(str(folder / name) if is_path(name) and not name.startswith("~") else name for name in names)
