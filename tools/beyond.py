"""Print what a profile permits beyond `strict`, beside what a shipped one does: tools/beyond.py PROFILE [SHIPPED]

The pages of docs/software hold this table; `tests/software/test_pages.py` holds them against it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import attrs

from hardening.base.linux.libseccomp import Libseccomp
from hardening.compare.difference import LeafDifference, beyond
from hardening.compose import composition as compose
from hardening.mechanism import host
from hardening.plugin import plugins
from hardening.profile import layers

FLOOR = "strict"
#: The pages count the system calls of one machine: groups also hold names that only others have.
ARCHITECTURE = "x86_64"


@attrs.frozen
class Needs:
    """What a profile permits beyond `strict`, by kind; each entry is one leaf."""

    capabilities: Sequence[LeafDifference]
    syscalls: Sequence[LeafDifference]
    writable: Sequence[LeafDifference]
    readable: Sequence[LeafDifference]
    others: Sequence[LeafDifference]


def needs(profile: str) -> Needs:
    """What a profile, named or at a path, permits beyond `strict`. Its own folder is shown as a dot."""
    found = plugins.load()
    here = host.probe(found.mechanisms)
    search = layers.SearchPath(tuple(plugins.shipped_profiles()))
    loose, strict = (
        compose.compose(layers.resolve([name], search), found.mechanisms, here, date.today())
        for name in (profile, FLOOR)
    )
    kinds: dict[str, list[LeafDifference]] = {field.name: [] for field in attrs.fields(Needs)}
    native = native_calls()
    folder = f"{Path(profile).absolute().parent}/"
    for item in beyond(loose, strict):
        kind = _kind(item)
        if kind != "syscalls" or item.leaf.member in native:
            kinds[kind].append(attrs.evolve(item, after=item.after.replace(folder, "./")))
    return Needs(**kinds)


def _kind(item: LeafDifference) -> str:
    match (item.leaf.mechanism, item.leaf.setting):
        case ("capabilities", ""):
            return "capabilities"
        case ("seccomp", ""):
            return "syscalls"
        case ("rootfs", "tmpfs" | "shm_size"):
            return "writable"
        case ("rootfs", "volumes"):
            return "writable" if item.entries is not None and item.entries[1].value.writable else "readable"
    return "others"


def native_calls() -> dict[str, int]:
    library = Libseccomp.load()
    token = library.architecture(ARCHITECTURE)
    return library.names(token) if token is not None else {}


_ROWS = (
    ("capabilities", "capabilities"),
    ("system calls", "syscalls"),
    ("writable paths", "writable"),
    ("paths of the host that are shown, read-only", "readable"),
    ("other settings", "others"),
)


def table(found: Needs, shipped: str = "") -> str:
    """What a profile needs, and how much a shipped profile permits of the same, as a table in Markdown."""
    other = needs(shipped) if shipped else None
    columns = [f"beyond `{FLOOR}`", "number", "which", "why", *([f"`{shipped}` permits"] if shipped else [])]
    lines = [columns, ["---"] * len(columns)]
    for title, kind in _ROWS:
        lines.append([title, *_cells(kind, getattr(found, kind)), *([str(len(getattr(other, kind)))] if other else [])])
    return "\n".join("|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines)


def _cells(kind: str, items: Sequence[LeafDifference]) -> Iterator[str]:
    """How many, which, why."""
    yield str(len(items))
    yield ", ".join(f"`{name}`" for name in sorted(_name(kind, item) for item in items)) or "none"
    yield "; ".join(dict.fromkeys(item.exception.reason for item in items if item.exception is not None))


def _name(kind: str, item: LeafDifference) -> str:
    if kind == "others":
        return f"{item.leaf} = {item.after}"
    return "/dev/shm" if item.leaf.setting == "shm_size" else item.leaf.member  # noqa: S108


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    print(table(needs(sys.argv[1]), *sys.argv[2:]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
