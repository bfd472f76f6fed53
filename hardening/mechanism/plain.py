"""Mechanisms of plain settings: each names its field of the OCI configuration, and what a mechanism does with it follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hardening.base.pointer import lookup
from hardening.errors import ProfileError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.inputs import Inputs
from hardening.mechanism.kinds import Kind
from hardening.mechanism.mechanism import Context, Mechanism, S, Unsupported, Violation
from hardening.mechanism.schema import ConfigField, Scalar
from hardening.profile.source import Document, Node


class PlainMechanism(Mechanism[S]):
    """A mechanism that enforces its settings by their fields of the configuration
    (`hardening.mechanism.schema.ConfigField`), or that judges and enforces none: there is no host that is too weak for it,
    and it looks at nothing. Whoever does more overrides a method, and calls it with ``super()`` for the plain settings."""

    def inputs(self, settings: S, context: Context) -> Inputs:
        return ()

    def check(self, settings: S, context: Context) -> Iterable[Unsupported]:
        return ()

    def contribute(self, settings: S, context: Context, fragment: Fragment) -> None:
        for name, _, field, value in self._plain(settings):
            fragment.put(field.pointer, field.write(value), str(self.leaf(name)))

    def tighten(
        self, settings: S, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterable[Violation]:
        """What a configuration has in the field of a plain setting stays where that is at most as loose; else the loosest
        value takes its place that both permit, or the setting's."""
        for name, kind, field, allowed in self._plain(settings):
            leaf, raw = str(self.leaf(name)), lookup(document, field.pointer)
            asked = field.unset if raw is None else _read(kind, field, raw)
            if asked is not None and ((raw is not None and kind.unordered) or kind.is_no_looser_than(asked, allowed)):
                if raw is not None:
                    fragment.put(field.pointer, raw, leaf)
                continue
            met = kind.intersect(asked, allowed) if asked is not None else None
            kept = allowed if met is None else met
            if raw is not None:
                shown = str(raw) if asked is None else kind.show(asked)
                yield Violation(field.pointer, shown, kind.show(kept), leaf)
            fragment.put(field.pointer, field.write(kept), leaf)

    def _plain(self, settings: S) -> Iterator[tuple[str, Kind[Any], ConfigField[Any], Any]]:
        """Name, kind, field and value of each plain setting."""
        for attribute, setting in self.schema.fields.items():
            if isinstance(setting, Scalar) and setting.field is not None:
                yield setting.name, setting.kind, setting.field, getattr(settings, attribute)


def _read(kind: Kind[Any], field: ConfigField[Any], raw: object) -> Any:
    """The value of what stands in a field; None for what is none."""
    try:
        return kind.parse(Node(field.read(raw), (), Document("configuration", None, {}, {})))
    except (ValueError, ProfileError):
        return None
