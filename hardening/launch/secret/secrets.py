"""Secrets: what a configuration names (`hardening.launch.secret.handed` is how they get into the container).

`config.json` holds names, in an annotation; where each file lies it has an empty mount.
"""

from __future__ import annotations

from hardening.base import jsontext
from hardening.base.frozen import Frozen
from hardening.base.pointer import lookup
from hardening.errors import LaunchError
from hardening.launch.config.bundle import SECRETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

POINTER = f"/annotations/{SECRETS}"
#: The directory of the secrets that are files, and where nothing else is said.
PLACE = "/run/secrets"
MOUNT, ENV = "mount", "env"
#: The mode of a file where nothing else is said: the owner reads.
MODE = 0o400
#: Bytes that one secret may hold.
LONGEST = 511_999
_KEYS = ("name", "type", "target", "mode", "uid", "gid")
_MAX_ID = 2**32 - 2
#: Bytes of a length in what is handed over.
SIZE = 4


class Secret(Frozen):
    """One secret of a configuration. ``target`` is the path of its file, or the name of its variable; ``uid`` and ``gid``
    are the owner of the file in the container, None for the command's own."""

    name: str
    kind: str
    target: str
    mode: int = MODE
    uid: int | None = None
    gid: int | None = None

    @property
    def inside(self) -> str:
        """The path of the file below `PLACE`, '' for one that lies elsewhere."""
        return self.target[len(PLACE) + 1 :] if self.target.startswith(f"{PLACE}/") else ""


def named(document: object) -> tuple[Secret, ...]:
    """The secrets that a configuration names. `LaunchError` for an annotation that is malformed."""
    text = lookup(document, POINTER)
    return () if text is None else parse(text)


def parse(text: object) -> tuple[Secret, ...]:
    """The secrets of the annotation's text, a JSON list of objects; `LaunchError`."""
    origin = f"config.json:{POINTER}"
    if not isinstance(text, str):
        raise LaunchError("must be a string", origin=origin)
    rows = jsontext.parse(text.encode("utf-8", "replace"), origin)
    if not isinstance(rows, list):
        raise LaunchError("must be a JSON list", origin=origin)
    found = tuple(_secret(row, f"{origin}[{index}]") for index, row in enumerate(rows))
    for key in ("name", "target"):
        seen: set[str] = set()
        for secret in found:
            value = getattr(secret, key)
            if value in seen:
                raise LaunchError(f"two secrets have the {key} {value!r}", origin=origin)
            seen.add(value)
    return found


def _secret(row: object, origin: str) -> Secret:
    if not isinstance(row, dict) or not set(row) <= set(_KEYS) or not {"name", "type", "target"} <= set(row):
        raise LaunchError(
            f"must be an object with name, type and target, at most also {', '.join(_KEYS[3:])}", origin=origin
        )
    name, kind, target = row["name"], row["type"], row["target"]
    if not all(isinstance(value, str) and value and "\0" not in value for value in (name, target)):
        raise LaunchError("name and target must be texts", origin=origin)
    if kind == ENV:
        if "=" in target or len(row) > 3:
            raise LaunchError("a variable has a name without '=', and neither owner nor mode", origin=origin)
    elif kind != MOUNT:
        raise LaunchError(f"unknown type of a secret: {kind!r}", origin=origin)
    elif not _is_plain(target):
        raise LaunchError(f"the target {target!r} is not an absolute path to a file, without . and ..", origin=origin)
    numbers = {key: row[key] for key in ("mode", "uid", "gid") if key in row}
    for key, value in numbers.items():
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or not 0 <= value <= (0o777 if key == "mode" else _MAX_ID)
        ):
            raise LaunchError(f"{key} is out of range", origin=origin)
    return Secret(name=name, kind=kind, target=target, **numbers)


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return parts[0] == "" and path != PLACE and all(part not in ("", ".", "..") for part in parts[1:])


def unpack(data: bytes) -> dict[str, bytes]:
    """What `pack` was given."""
    parts: list[bytes] = []
    while data:
        end = SIZE + int.from_bytes(data[:SIZE], "big")
        parts.append(data[SIZE:end])
        data = data[end:]
    return dict(zip((part.decode() for part in parts[::2]), parts[1::2], strict=True))


def pack(values: Mapping[str, bytes]) -> bytes:
    """Values by name as the memfd holds them: each name and each value behind its length."""
    return b"".join(
        len(part).to_bytes(SIZE, "big") + part for name, value in values.items() for part in (name.encode(), value)
    )
