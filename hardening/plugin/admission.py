"""Admission: what is about to be written or run, and the verdicts on it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import HardeningError, SpecError, raise_all
from hardening.launch.config import confinement
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input, command
from hardening.mechanism.runtime import Refusal


@frozen
class Verdict:
    """An acceptance (no refusals) or a rejection, by whom. ``looked`` is what it rests on beside what `hardening_inputs`
    says, each with what was seen of it before it was used: a stored verdict counts as long as that is the same."""

    by: str
    refusals: tuple[Refusal, ...] = ()
    looked: tuple[Input, ...] = ()

    @property
    def accepts(self) -> bool:
        """Whether this is an acceptance."""
        return not self.refusals


@frozen(eq=False)
class Candidate:
    """What is about to be written or run: the bytes of ``config.json`` and the host. Of an image that is not fetched yet
    these have its annotations alone. ``composition`` is None for a bundle that is launched as it is. ``base`` is what the
    root of a configuration that was made elsewhere and is tightened now is relative to, None for all others.
    ``runtime`` is the name of the one that is to run it now. ``looked`` names the command once somebody has read it, or
    ``config`` or ``document``: what is judged then is this command, and not the stack."""

    _config: bytes
    host: Host
    composition: Composition | None = None
    base: Path | None = None
    runtime: str | None = None
    looked: list[Input] = attrs.field(factory=list)

    @property
    def config(self) -> bytes:
        """The bytes of ``config.json``."""
        self.looked[:] = command(confinement.command(self.whole))
        return self._config

    @property
    def command(self) -> tuple[str, ...]:
        """The command, without the helpers that stand before it in ``/process/args``
        (`hardening.launch.config.confinement`)."""
        found = confinement.command(self.whole)
        self.looked[:] = command(found)
        return tuple(found)

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as JSON data; a copy of its own for every caller."""
        document: dict[str, Any] = json.loads(self.config)
        return document

    @property
    def composed(self) -> dict[str, Any]:
        """The same without the command: a verdict on it is one on the stack, and is kept for every command."""
        document = self.whole
        if isinstance(process := document.get("process"), dict):
            process.pop("args", None)
        return document

    @property
    def whole(self) -> dict[str, Any]:
        """The same for a runtime, whose launcher looks at the command itself."""
        document: dict[str, Any] = json.loads(self._config)
        return document


def require_admission(verdicts: Iterable[Verdict]) -> None:
    """Raise `SpecError` unless there is no rejection and at least one acceptance: what a launch needs."""
    verdicts = list(verdicts)
    require_no_rejection(verdicts)
    if not verdicts:
        raise SpecError("nothing accepted this configuration", hint="a launch needs at least one acceptance")


def require_no_rejection(verdicts: Iterable[Verdict]) -> None:
    """Raise `SpecError` for every refusal: what writing a bundle needs."""
    problems: list[HardeningError] = [
        SpecError(f"{refusal.reason} ({verdict.by})", origin=refusal.origin, hint=refusal.hint or None)
        for verdict in verdicts
        for refusal in verdict.refusals
    ]
    raise_all(problems)
