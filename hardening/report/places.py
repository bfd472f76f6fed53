"""Where something was said, as people read it: a profile that a package ships is known by its name, and its path is long."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePath

from hardening.profile.layers import SUFFIX, TEST_SUFFIX, Layer


def shortener(layers: Iterable[Layer]) -> Callable[[str], str]:
    """What writes ``strict.toml:23 (shipped)`` for the whole path of a shipped layer, or of the assertions beside it, with
    or without a line, and ``(strict.toml, shipped)`` where it stands in brackets."""
    of_layers = [layer.place for layer in layers if layer.shipped]
    beside = [place.removesuffix(SUFFIX) + TEST_SUFFIX for place in of_layers]
    shipped = {place: PurePath(place).name for place in (*of_layers, *beside)}
    if not shipped:
        return str
    any_of = "|".join(map(re.escape, shipped))
    place = re.compile(rf"(?<!\S)(\(?)({any_of})(:\d+)?(?=[\s),]|$)")

    def in_short(found: re.Match[str]) -> str:
        name = f"{shipped[found[2]]}{found[3] or ''}"
        return f"({name}, shipped" if found[1] else f"{name} (shipped)"

    return lambda text: place.sub(in_short, text)
