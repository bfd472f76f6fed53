"""What a layer was learnt from, as it says itself: its table ``[learnt]``. No composition looks at it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType

from hardening.base.values import frozen
from hardening.profile.source import Node

KEYS = ("on", "kernels", "packages", "files")
#: The one algorithm of its digests, as hashlib calls it.
ALGORITHM = "sha256"
#: A release and a machine (uname(2)), a name and a version, a digest.
_PAIR = re.compile(r"[!-~]+ [!-~]+", re.ASCII)
_DIGEST = re.compile(rf"{ALGORITHM}:[0-9a-f]{{64}}", re.ASCII)


def is_pair(value: object) -> bool:
    """Whether this is a release and a machine, or a name and a version."""
    return isinstance(value, str) and _PAIR.fullmatch(value) is not None


def is_digest(value: object) -> bool:
    """Whether this is the digest of a file."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


@frozen(eq=False)
class Fingerprint:
    """What the runs were seen on: the day of the last one, ``kernels`` as a release and a machine each, ``packages`` whose
    programs and libraries they executed, as a name and a version each, and of ``files`` that no package has the digests."""

    on: date
    kernels: tuple[str, ...]
    packages: tuple[str, ...] = ()
    files: Mapping[str, str] = MappingProxyType({})

    def table(self) -> dict[str, object]:
        """As TOML data."""
        found: dict[str, object] = {"on": self.on.isoformat(), "kernels": [*self.kernels]}
        found |= {"packages": [*self.packages]} if self.packages else {}
        return found | ({"files": dict(self.files)} if self.files else {})


def read(table: Node) -> Fingerprint:
    """The table of a layer. Raises `ProfileError` for anything else."""
    fields = dict(table.members())
    for key, node in fields.items():
        if key not in KEYS:
            raise node.error("unknown key", hint=f"`hardening learn` writes {', '.join(KEYS)}")
    for key in KEYS[:2]:
        if key not in fields:
            raise table.error(f"{key} is missing", hint="leave the table as `hardening learn` writes it, or remove it")
    on = fields["on"]
    try:
        day = date.fromisoformat(on.string())
    except ValueError:
        raise on.error(f'"{on.string()}" is not a date', hint="write it as 2030-12-31") from None
    packages, files = fields.get("packages"), fields.get("files")
    return Fingerprint(
        day,
        tuple(_pairs(fields["kernels"])),
        tuple(_pairs(packages)) if packages is not None else (),
        MappingProxyType(dict(_digests(files)) if files is not None else {}),
    )


def _pairs(node: Node) -> Iterator[str]:
    for item in node.items():
        if not is_pair(item.string()):
            raise item.error("is not two words", hint="such as libc6 2.41-12")
        yield item.string()


def _digests(node: Node) -> Iterator[tuple[str, str]]:
    for path, item in node.members():
        if not path.startswith("/") or not is_digest(item.string()):
            raise item.error("is not the digest of an absolute path", hint="such as sha256: and 64 digits")
        yield path, item.string()
