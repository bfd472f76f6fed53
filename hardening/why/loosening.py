"""A loosening, as a layer to paste and as options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hardening.base.values import frozen
from hardening.profile import toml_text as toml


@frozen
class Loosening:
    """How to make leaves looser: ``tables`` are a layer's, ``toml`` the same to paste, and ``options`` arguments for the
    command line; either may be empty, and stands in the place of the options that it ``replaces``, which no later layer
    follows. Where nothing does it, both are, and ``barrier`` says why not; with ``is_out_of_reach`` it is the host that does
    not let this caller have it. With ``example`` there are other ways, which no order puts above or below this one."""

    shown: str = ""
    tables: Mapping[str, Any] = MappingProxyType({})
    options: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    barrier: str = ""
    is_out_of_reach: bool = False
    example: bool = False

    @property
    def toml(self) -> str:
        return written(self.tables) if self.tables else ""

    @property
    def excepted(self) -> frozenset[str]:
        """The settings that it has exceptions for."""
        return frozenset(exception["setting"] for exception in self.tables.get("exceptions", ()))

    @property
    def instead(self) -> str:
        """What it stands in the place of, to follow where it is to be written; empty for nothing."""
        return f" in the place of {' '.join(self.replaces)}" if self.replaces else ""


def written(tables: Mapping[str, Any]) -> str:
    """A layer as TOML: its exceptions, and the tables of mechanisms."""
    lines: list[str] = []
    for name, value in tables.items():
        if name == "exceptions":
            for exception in value:
                said = (f"{toml.key(key)} = {toml.inline(item)}" for key, item in exception.items())
                lines += ["[[exceptions]]", *said, ""]
            continue
        lines.append(f"[{toml.key(name)}]")
        lines += (f"{toml.dotted(path)} = {toml.inline(item)}" for path, item in toml.flat(value))
    return "\n".join(lines) + "\n"


def merged(loosenings: Sequence[Loosening]) -> Loosening:
    """Several as one: a layer to paste, and options, of which each says all of its setting."""
    tables = _tables(loosenings)
    whole = {toml.dotted(path): toml.inline(item) for path, item in toml.flat(tables)}
    options: list[str] = []
    for loosening in loosenings:
        for flag, said in zip(loosening.options[::2], loosening.options[1::2], strict=True):
            key = said.partition("=")[0]
            pair = (flag, f"{key}={whole[key]}" if flag == "--set" and key in whole and key != "exceptions" else said)
            if pair not in zip(options[::2], options[1::2], strict=True):
                options += pair
    replaces = dict.fromkeys(place for loosening in loosenings for place in loosening.replaces)
    return Loosening(tables=tables, options=tuple(options), replaces=tuple(replaces))


def _tables(loosenings: Sequence[Loosening]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for loosening in loosenings:
        _merge(found, loosening.tables)
    return found


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    for name, value in table.items():
        known = into.get(name)
        if isinstance(value, Mapping) and isinstance(known, dict | None):
            _merge(into.setdefault(name, {}), value)
        elif isinstance(known, list) and isinstance(value, list):
            into[name] = [*known, *(item for item in value if item not in known)]
        else:
            into[name] = value
