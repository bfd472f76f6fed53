"""TOML in one line, for the command line and for snippets to paste."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def inline(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key(name)} = {inline(item)}" for name, item in value.items()) + "}"
    return "[" + ", ".join(inline(item) for item in value) + "]"


def key(name: str) -> str:
    """A key as TOML, quoted where it must be."""
    return name if _BARE.fullmatch(name) else inline(name)


def flat(table: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and value of every value in a table of tables; an empty table is a value."""
    for name, value in table.items():
        path = (*prefix, name)
        if isinstance(value, Mapping) and value:
            yield from flat(value, path)
        else:
            yield path, value


def dotted(path: tuple[str, ...]) -> str:
    """A path as a dotted TOML key."""
    return ".".join(key(part) for part in path)
