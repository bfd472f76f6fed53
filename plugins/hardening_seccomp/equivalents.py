"""System calls that do the same, as data: a program that makes one of them makes another under another library."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path


@cache
def families() -> Mapping[str, frozenset[str]]:
    """Each call with those that are made in its place. The data file belongs to the package, so any fault in it is a bug."""
    data = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    found: dict[str, frozenset[str]] = {}
    for line in data["equivalent"]:
        family = frozenset(line.split())
        found |= {name: found.get(name, frozenset()) | family for name in family}
    return found | {name: found.get(name, frozenset()) | {*line.split()} for name, line in data["instead"].items()}
