"""Layers that are written as text."""

from __future__ import annotations

from pathlib import Path

from hardening.profile.layers import Layer, parse_layer
from hardening.profile.source import read


def written(folder: Path, *texts: str) -> list[Layer]:
    """Layers of TOML, each in a file of ``folder``."""
    layers = []
    for index, text in enumerate(texts):
        path = folder / f"layer{index}.toml"
        path.write_text(text)
        path.chmod(0o644)
        layers.append(parse_layer(read(path, path.stem)))
    return layers
