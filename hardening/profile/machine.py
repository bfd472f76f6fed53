"""What the administrator of a machine says to every call: ``/etc/hardening/hardening.toml``, and the stack that every other
begins with, ``/etc/hardening/enforced.toml``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hardening.base import places
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.errors import ProfileError, quoted
from hardening.launch.cache import SIGNED
from hardening.launch.fingerprints import ABSENT
from hardening.profile.layers import is_path
from hardening.profile.source import Node, Origin, known_members, one_or_more, read

if TYPE_CHECKING:
    from hardening.profile.signatures import Required

FILE = Path(places.CONFIGURATION)
DEFAULT_PROFILE = "default"
ENFORCED = Path(places.ENFORCED)
KEYS = ("default", "profiles")
_KEYRING = "keyring"
_OF_PROFILES = (SIGNED, _KEYRING)
#: What is a fingerprint, or was to be one (the 8 digits of a key's short id), and no file of keys; and how many digits a
#: whole one has, by its version.
_FINGERPRINT = re.compile(r"(?:0x)?((?:[0-9A-Fa-f][ :]*){8,})")
_DIGITS = (40, 64)


@frozen
class Machine:
    """``default`` are the profiles of a command that names none, ``signed`` says who has to have signed layers, and
    ``digest`` is the SHA-256 of the file that says so. ``enforced`` is the profile whose stack goes before every other, and
    ``origin`` is where the default is said, None for our own."""

    default: tuple[str, ...] = (DEFAULT_PROFILE,)
    digest: str = ABSENT
    signed: Required | None = None
    enforced: Path | None = None
    origin: Origin | None = attrs.field(default=None, eq=False)


def configured(file: Path = FILE, enforced: Path = ENFORCED) -> Machine:
    """What the files say that there are. Raises `ProfileError` for one that is malformed, not root's, or that others can
    write. A path in it starts at its folder."""
    first = enforced if _is_there(enforced) else None
    if not _is_there(file):
        return Machine(enforced=first)
    document = read(file, file.stem, owner=Owner.ROOT)
    said = _known(document.root, KEYS)
    default, profiles = said.get("default"), said.get("profiles")
    names = Machine().default if default is None else _profiles(default, file.parent)
    signed = _signed(profiles, file.parent) if profiles is not None else None
    return Machine(names, document.digest, signed, first, default.origin if default is not None else None)


def _is_there(file: Path) -> bool:
    """Whether a file is there: only of one that the kernel does not find nothing is taken. Raises `ProfileError`."""
    try:
        os.lstat(file)
    except FileNotFoundError:
        return False
    except OSError as error:
        hint = "it binds every call: see that the caller reaches it"
        raise ProfileError(f"cannot be looked at: {error.strerror}", origin=file, hint=hint) from None
    return True


def _known(table: Node, keys: Collection[str]) -> dict[str, Node]:
    return known_members(table, keys, f"it has {', '.join(keys)}")


def _signed(table: Node, folder: Path) -> Required | None:
    from hardening.profile.signatures import Required  # on few machines they are

    said = _known(table, _OF_PROFILES)
    node, ring = said.get(SIGNED), said.get(_KEYRING)
    items, rings = (one_or_more(one) if one is not None else [] for one in (node, ring))
    prints = [(item, _whole(item, found[1])) for item in items if (found := _FINGERPRINT.fullmatch(item.string()))]
    if ring is not None and not prints:
        raise ring.error("no fingerprint is looked up in it", hint=f"name one in {SIGNED}, or leave it out")
    if node is None:
        return None
    if not items:
        raise node.error("names no key: no layer could be signed", hint="name a file of keys, or leave it out")
    if prints and not rings:
        hint = f'`gpg --export {quoted(prints[0][1])} >{quoted(f"{folder}/keys.gpg")}`, and {_KEYRING} = "keys.gpg"'
        raise prints[0][0].error(f"is a fingerprint, and there is no {_KEYRING} that has its key", hint=hint)
    names = [item.string() for item in items]
    return Required(
        tuple(folder / name for name in names if not _FINGERPRINT.fullmatch(name)), node.origin,
        tuple((text, item.origin) for item, text in prints),
        tuple(folder / item.string() for item in rings),
    )  # fmt: skip


def _whole(item: Node, text: str) -> str:
    """A fingerprint as GnuPG writes it. Raises `ProfileError` for a part of one, which several keys can have."""
    digits = re.sub("[ :]", "", text).upper()
    if len(digits) not in _DIGITS:
        hint = f"`gpg --fingerprint {quoted(digits)}` shows the whole one, of {_DIGITS[0]} digits"
        raise item.error(f"is no whole fingerprint: it has {len(digits)} digits", hint=hint)
    return digits


def _profiles(node: Node, folder: Path) -> tuple[str, ...]:
    items = one_or_more(node)
    if not items:
        raise node.error("names no profile", hint=f'write default = "{DEFAULT_PROFILE}"')
    names = [item.string() for item in items]
    return tuple(str(folder / name) if is_path(name) and not name.startswith("~") else name for name in names)
