"""The mechanism `capabilities`: which parts of root's power the command keeps, and that it gains none later.

Its table is ``[capabilities]``; its leaves are ``capabilities.<NAME>`` and ``capabilities.no_new_privileges``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.mechanism.denial import Cause, FileRights
from hardening.mechanism.mechanism import Context, Option, Reading
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.roles import CommandProcess
from hardening.mechanism.schema import STRINGS, WILDCARD, Leaf, Statement
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_capabilities import settings as grammar
from hardening_capabilities.settings import CapabilitiesSettings
from hardening_capabilities.table import BY_NAME

if TYPE_CHECKING:
    from hardening.mechanism.evidence import Evidence, LearntStatement

__all__ = ["Capabilities", "CapabilitiesSettings"]


class Capabilities(PackagedMechanism[CapabilitiesSettings]):
    """Capability sets and no_new_privs (capabilities(7), PR_SET_NO_NEW_PRIVS(2const))."""

    name = "capabilities"
    summary = "which capabilities the command has, and that it gains no privileges"

    def forms(self) -> Mapping[str, Any]:
        return dict.fromkeys(("drop", "root", "add"), STRINGS)

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return grammar.read(self.schema, table)

    def limits(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return grammar.read_limits(self.schema, table)

    def expand(self, name: str) -> Sequence[str]:
        """``NET_RAW`` in any spelling; ``*`` or ``ALL`` for every capability at once."""
        if name in self.schema.settings:
            return (name,)
        short = grammar.normal(name)
        if short == WILDCARD:
            return (WILDCARD, *BY_NAME)
        return (short,) if short in BY_NAME else ()

    def meaning(self, leaf: Leaf) -> str:
        """That of the capability itself."""
        capability = BY_NAME.get(leaf.member)
        if capability is None:
            return super().meaning(leaf)
        danger = f" Dangerous: {capability.risk}. Smaller: {capability.instead}." if capability.risk else ""
        whom = " `root` gives it to uid 0, `add` to any user."
        return f"{capability.meaning[0].upper()}{capability.meaning[1:]}.{danger}{whom}"

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return grammar.dump(values)

    def spare(self, settings: CapabilitiesSettings) -> Sequence[str]:
        return [f"capabilities.{name}" for name in sorted(settings.added)]

    def least(self, settings: CapabilitiesSettings, kept: Collection[str]) -> Mapping[str, object]:
        if not settings.added:
            return {}
        held = {name: settings.members[name] for name in sorted(settings.added) if f"capabilities.{name}" in kept}
        given = {"root": grammar.ROOT, "add": grammar.ADDED}
        return {"drop": ["ALL"], **{key: [name for name in held if held[name] == who] for key, who in given.items()}}

    def learnt(self, settings: CapabilitiesSettings, context: Context, evidence: Evidence) -> Iterator[LearntStatement]:
        """None but those without which no run succeeded; nothing where that was not tried."""
        from hardening.mechanism.evidence import LearntStatement  # no launch asks

        if evidence.needed is None:
            return
        if settings.added:
            yield LearntStatement(("drop",), "ALL", "what no run needed", element=True)
        process = context.of(CommandProcess)
        is_root = process is not None and process.resolve(context).is_root
        held = settings.added if is_root else settings.kept
        for name in sorted(BY_NAME.keys() & {leaf.removeprefix("capabilities.") for leaf in evidence.needed}):
            loosens = frozenset(() if name in held else [f"capabilities.{name}"])
            key = "root" if is_root and settings.members[name] != grammar.ADDED else "add"
            yield LearntStatement((key,), name, "without it no run succeeded", element=True, loosens=loosens)

    def denied_rights(self, settings: CapabilitiesSettings, context: Context, rights: FileRights) -> Iterable[Cause]:
        from hardening_capabilities import lent

        return lent.refused(settings, context, rights)

    def options(self) -> Sequence[Option]:
        return (
            Option(("--cap-add",), "add", "Give a capability, or ALL.", metavar="NAME", multiple=True),
            Option(("--cap-drop",), "drop", "Take a capability away, or ALL.", metavar="NAME", multiple=True),
        )


@hookimpl
def hardening_mechanisms() -> Sequence[Capabilities]:
    """The mechanism of this plugin."""
    return (Capabilities(),)
