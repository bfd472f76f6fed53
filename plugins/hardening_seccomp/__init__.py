"""Seccomp: which system calls the command may make, and with which arguments.

Owns `[seccomp]`, and of the OCI spec ``/linux/seccomp``, the file ``seccomp.bpf`` beside it and the annotation with its
digest. Its leaves are ``seccomp.<syscall>``, ``seccomp.*``, ``seccomp.architectures.<name>`` and ``seccomp.flags.<name>``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context, Option, Reading
from hardening.mechanism.package import PackagedMechanism
from hardening.mechanism.schema import CHANGED, STRINGS, WILDCARD, Leaf, Statement
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_seccomp import groups, suid
from hardening_seccomp.actions import ALLOW, DENY
from hardening_seccomp.conditions import Rule, fill
from hardening_seccomp.diagrams import constant
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.oci import architecture_of
from hardening_seccomp.settings import SeccompSettings, calls
from hardening_seccomp.table import TableReader, dump

if TYPE_CHECKING:
    from hardening.mechanism.evidence import Evidence, LearntStatement

__all__ = ["Seccomp", "SeccompSettings"]


class Seccomp(PackagedMechanism[SeccompSettings]):
    """The mechanism behind `[seccomp]` (seccomp(2))."""

    name = "seccomp"
    summary = "Which system calls the command may make, and with which arguments"
    after = ("capabilities",)

    def forms(self) -> Mapping[str, Any]:
        return {
            "default": {"type": "string"},
            "profile": {"type": "string"},
            **dict.fromkeys(("allow", "deny", "log"), STRINGS),
            **dict.fromkeys(("architectures", "flags"), CHANGED),
            "rules": {"type": "array", "items": {"type": "object", "required": ["names", "action"]}},
        }

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return TableReader(table, reading).statements()

    def expand(self, name: str) -> Sequence[str]:
        """A system call, ``*``, or all members of a group such as ``@debug``."""
        data = groups.load()
        if name.startswith(groups.PREFIX):
            return sorted(data.members.get(name, ()))
        setting = name.partition(".")[0]
        known = setting in ("architectures", "flags", suid.SETTING, "requirement") or name in {*calls(), WILDCARD}
        return (name,) if known else ()

    def meant(self, name: str, host: Host) -> str:
        """The system call of a number, as the kernel logs it for this machine's own architecture."""
        is_number = name.isascii() and name.isdigit() and len(name) <= 10
        return host.of(SeccompFacts).name_of(int(name)) or name if is_number else name

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return dump(values)

    def meaning(self, leaf: Leaf) -> str:
        """For one system call, the errno that `DENY` is for it, and what programs do then."""
        if leaf.setting or leaf.member == WILDCARD:
            return super().meaning(leaf)
        data = groups.load()
        instead = data.fallbacks.get(leaf.member)
        said = f"What happens to this system call. `{DENY}` answers it with {data.denial(leaf.member)}"
        if leaf.member in data.guards:
            said = f"{said}. What groups allow of it: {data.guards[leaf.member].why}"
        return f"{said}; programs have instead: {instead}." if instead else f"{said}."

    def permissions(self, leaf: Leaf) -> Sequence[tuple[Rule, Mapping[str, object]]]:
        """To allow a system call, where the smallest step would be to have its uses logged; before that, what its own group
        allows of it, where that is less."""
        if leaf.setting or leaf.member == WILDCARD:
            return ()
        data = groups.load()
        group = groups.PREFIX + leaf.member
        guarded = fill(data.allowed(leaf.member, architecture_of(os.uname().machine)), DENY)
        whole = (constant(ALLOW), {"allow": [leaf.member]})
        return (
            ((guarded, {"allow": [group]}), whole) if data.members.get(group) == frozenset({leaf.member}) else (whole,)
        )

    def answer(self, settings: SeccompSettings, context: Context, name: str, arguments: Sequence[str]) -> str | None:
        from hardening_seccomp import question

        return question.answer(settings, context, name, arguments)

    def recording(self, settings: SeccompSettings, context: Context) -> tuple[Mapping[str, object], Sequence[str]]:
        from hardening_seccomp import learnt  # no launch asks

        return learnt.recording(settings, context)

    def learnt(self, settings: SeccompSettings, context: Context, evidence: Evidence) -> Iterable[LearntStatement]:
        from hardening_seccomp import learnt

        return learnt.learnt(settings, context, evidence)

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        """Every action for ``*``, but none with conditions: a default action knows no arguments."""
        filters = self.schema.settings[""].kind
        named = [statement for statement in super().samples() if statement[:2] != ("", WILDCARD)]
        return [*named, *(("", WILDCARD, rule) for rule in filters.samples() if rule.is_constant)]

    def options(self) -> Sequence[Option]:
        return (
            Option(
                ("--seccomp-allow",), "allow", "Allow a system call or a group (@name).", metavar="NAME", multiple=True
            ),
            Option(
                ("--seccomp-deny",), "deny", "Deny a system call or a group (@name).", metavar="NAME", multiple=True
            ),
        )


@hookimpl
def hardening_mechanisms() -> Sequence[Seccomp]:
    """The mechanism of this plugin."""
    return (Seccomp(),)
