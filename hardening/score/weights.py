"""A file of weights: TOML, a table a mechanism, each key the name of an item."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import isfinite
from pathlib import Path

from hardening.base.text import nearest
from hardening.errors import HardeningError, raise_all
from hardening.profile import source
from hardening.profile.source import Node

_FILE = "name a file of weights: a table a mechanism, a key a setting; `hardening score --all` lists the names"


def read(path: Path, known: Collection[str]) -> dict[str, float]:
    """The weights of a file, by the full names of items. Raises `ProfileError`, or several as `Problems`: for what is no
    TOML and no number from 0 on, and for a name that is none of the ``known``, with the nearest."""
    weights: dict[str, float] = {}
    problems: list[HardeningError] = []
    for node in _leaves(source.read(path, path.stem, hint=_FILE).root):
        name = ".".join(map(str, node.path))
        raw = node.raw
        if name not in known:
            hint = nearest(name, known) or "`hardening score --all` lists the names"
            problems.append(node.error("no setting has this name", hint=hint))
        elif isinstance(raw, bool) or not isinstance(raw, int | float) or not isfinite(raw) or raw < 0:
            problems.append(node.error("a weight is a number from 0 on", hint="write 0 for what does not matter"))
        else:
            weights[name] = float(raw)
    raise_all(problems)
    return weights


def _leaves(node: Node) -> Iterator[Node]:
    if not isinstance(node.raw, dict):
        yield node
        return
    for _, member in node.members():
        yield from _leaves(member)
