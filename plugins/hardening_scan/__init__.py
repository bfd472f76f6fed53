"""Scan: what a root has that it should not, and which of it stops a run.

Owns `[scan]`. It puts nothing into the OCI spec: it looks at the root before it is run (`hardening_admit`), where a layer
asks for that, and for `hardening scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hardening.mechanism import scanner
from hardening.mechanism.findings import Finding
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, Inputs, Unknown
from hardening.mechanism.mechanism import Context, Mechanism, Reading
from hardening.mechanism.schema import WILDCARD, Statement
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.hookspecs import hookimpl
from hardening.profile.source import Node
from hardening_scan import settings
from hardening_scan.settings import ScanSettings

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.mechanism.findings import FindingRule
    from hardening.mechanism.scanner import Scanner


#: Of a kind: a word, an array of paths, or a table.
FORM = {"type": ["string", "array", "object"]}


class Scan(Mechanism[ScanSettings]):
    """The mechanism behind `[scan]`. What decides about a root is told by `hardening_inputs`, and one of a foreign
    configuration is judged by `hardening_admit`, as all others are."""

    name = "scan"
    summary = "what a root may not have: setuid, devices, credentials and the like"
    may_fall_short = False
    before_launch = ("*",)

    def forms(self) -> Mapping[str, Any]:
        return dict.fromkeys(scanner.DENIABLE, FORM)

    def inputs(self, settings: ScanSettings, context: Context) -> Inputs:
        return ()

    def statements(self, table: Node, reading: Reading) -> Iterator[Statement]:
        return settings.read(self.schema, table)

    def dump(self, values: Mapping[tuple[str, str], Any]) -> dict[str, object]:
        return settings.dump(self.schema, values)

    def samples(self) -> Sequence[tuple[str, str, Any]]:
        # All kinds are declared alike: one of them, and the command, are drawn more often than the others.
        own = super().samples()
        often = [statement for statement in own if statement[0] in (settings.COMMAND, scanner.SETUID)]
        return [*own, *often * 3, *((scanner.SETUID, WILDCARD, value) for value in (True, False))]

    def rules(self) -> Mapping[str, FindingRule | str]:
        from hardening_scan.rules import RULES

        return RULES

    def findings(self, settings: ScanSettings, context: Context) -> Iterable[Finding]:
        if not (settings.gated or settings.command):
            return ()
        from hardening_scan import findings

        return findings.findings(settings)


def _gated(composition: Composition | None) -> ScanSettings | None:
    """The settings of a composition that denies something."""
    found = None if composition is None else composition.settings.get(Scan.name)
    return found if isinstance(found, ScanSettings) and found.gated else None


@hookimpl
def hardening_admit(candidate: Candidate, scanners: Callable[[], Mapping[str, Scanner]]) -> Verdict | None:
    """Judge the root of a candidate, where a layer asks for that."""
    gate = _gated(candidate.composition)
    if gate is None:
        return None
    from hardening_scan import admission

    return admission.admit(candidate, gate, scanners())


@hookimpl
def hardening_inputs(
    composition: Composition | None, host: Host, scanners: Callable[[], Mapping[str, Scanner]]
) -> Iterable[Input | Unknown]:
    """What decides the verdict: of an image its digest, which is known, and what the scanners look at beside it; of anything
    else nothing that can be looked at."""
    gate = _gated(composition)
    if gate is None or composition is None:
        return ()
    if composition.image is None:
        return (Unknown("the root is a directory, which is scanned at each run"),)
    from hardening_scan import examine

    return [item for scanner in examine.asked(scanners(), gate) for item in scanner.inputs()]


@hookimpl
def hardening_mechanisms() -> Sequence[Mechanism[Any]]:
    """Register the mechanism."""
    return (Scan(),)


@hookimpl
def hardening_scanners() -> Sequence[Scanner]:
    """Register the scanners."""
    from hardening_scan.scanners import SCANNERS

    return SCANNERS
