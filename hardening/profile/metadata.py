"""What a profile says of itself, for whoever reads reports and records: its table ``[profile]``. It decides nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

from hardening.base.values import frozen
from hardening.errors import Gathering
from hardening.profile.source import Node, gathered_members

TEXTS = ("title", "owner", "contact", "version")
KEYS = (*TEXTS, "controls")
#: Of a control: a framework's name, the version of that, which of its controls, and the version of this very mapping.
OF_CONTROLS = ("framework", "version", "ids", "mapping")


@frozen
class Controls:
    """The controls of a framework that a profile serves: ``framework`` with its ``version``, and ``mapping``, the version of
    who says so, which may be empty."""

    framework: str
    version: str
    ids: tuple[str, ...]
    mapping: str = ""

    def __str__(self) -> str:
        mapping = f" (mapping {self.mapping})" if self.mapping else ""
        return f"{self.framework} {self.version}: {', '.join(self.ids)}{mapping}"


@frozen
class Metadata:
    """The table of a layer; texts that it does not say are empty."""

    title: str = ""
    owner: str = ""
    contact: str = ""
    version: str = ""
    controls: tuple[Controls, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        """As JSON data."""
        controls = [
            {**{name: getattr(item, name) for name in OF_CONTROLS}, "ids": list(item.ids)} for item in self.controls
        ]
        return {**{name: getattr(self, name) or None for name in TEXTS}, "controls": controls}


def read(table: Node, each: Gathering) -> Metadata:
    """The table of a layer; ``each`` has what is wrong in it. Raises `ProfileError` for what is no table."""
    fields = _known(table, KEYS, each)
    texts = {name: each.attempt(partial(_text, fields[name])) or "" for name in TEXTS if name in fields}
    listed = each.attempt(lambda: [*fields["controls"].items(tables=True)]) if "controls" in fields else None
    found = (each.attempt(partial(_controls, item, each)) for item in listed or ())
    return Metadata(**texts, controls=tuple(item for item in found if item is not None))


def _known(table: Node, keys: tuple[str, ...], each: Gathering) -> dict[str, Node]:
    return gathered_members(table, keys, f"the keys here are {', '.join(keys)}", each)


def _text(node: Node) -> str:
    text = node.string().strip()
    if not text or not text.isprintable():
        raise node.error("must be a line of text", hint="write it in quotes, or leave it out")
    return text


def _controls(item: Node, each: Gathering) -> Controls:
    fields = _known(item, OF_CONTROLS, each)
    for name in OF_CONTROLS[:3]:
        if name not in fields:
            hint = 'write framework = "NIST SP 800-53", version = "5.1.1" and ids = ["AC-6"]'
            raise item.error(f"{name} is missing", hint=hint)
    ids = tuple(_text(one) for one in fields["ids"].items())
    if not ids:
        raise fields["ids"].error("names no control", hint="name one, or leave the framework out")
    mapping = _text(fields["mapping"]) if "mapping" in fields else ""
    return Controls(_text(fields["framework"]), _text(fields["version"]), ids, mapping)
