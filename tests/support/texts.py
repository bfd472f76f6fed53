"""Profiles from texts, without files."""

from __future__ import annotations

import textwrap
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from hardening.compose.composition import Composition, compose
from hardening.mechanism import host
from hardening.mechanism.mechanism import Mechanism
from hardening.profile import toml_lines
from hardening.profile.layers import Layer, Stack, parse_layer
from hardening.profile.source import Document, Node, command_line

TODAY = date(2026, 1, 1)


def document(text: str, name: str = "profile") -> Document:
    """A text as the document ``NAME.toml``; lines count from 1."""
    text = textwrap.dedent(text).lstrip("\n")
    file = f"{name}.toml"
    places = {path: f"{file}:{line}" for path, line in toml_lines.key_lines(text).items()}
    return Document(name, Path(file), tomllib.loads(text), places)


def layer(text: str, name: str = "profile") -> Layer:
    """A text as a layer."""
    return parse_layer(document(text, name))


def stack(*texts: str) -> Stack:
    """Texts as layers that are called a, b, c …"""
    layers = tuple(layer(text, chr(ord("a") + number)) for number, text in enumerate(texts))
    return Stack(layers, named=tuple(item.name for item in layers))


def composed(*texts: str, by: list[Mechanism[Any]], today: date = TODAY) -> Composition:
    """The composition of texts."""
    return compose(stack(*texts), by, host.plain(), today)


def node(value: object, key: str = "value") -> Node:
    """A value as the node ``value`` of a profile."""
    return Node(value, (key,), Document("profile", Path("profile.toml"), {key: value}, {(key,): "profile.toml:1"}))


def said(value: object, key: str = "value") -> Node:
    """A value as the command line says it."""
    return Node(value, (key,), command_line({key: value}, {(key,): "--set"}))
