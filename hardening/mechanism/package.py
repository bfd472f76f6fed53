"""Mechanisms that are packages, all laid out alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, cast

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Mechanism, S, Unsupported, Verification, Violation

if TYPE_CHECKING:
    from hardening.mechanism.denial import Cause, SystemCall
    from hardening.mechanism.evidence import Witness
    from hardening.mechanism.exposure import Exposure
    from hardening.mechanism.findings import Finding, FindingRule
    from hardening.mechanism.host import Host
    from hardening.mechanism.inputs import Inputs
    from hardening.mechanism.schema import Leaf


@cache  # a search asks thousands of times, and each look for what is not there goes through the whole path
def _has(package: str, stage: str) -> bool:
    return find_spec(f"{package}.{stage}") is not None


class PackagedMechanism(Mechanism[S]):
    """A mechanism of which each stage is a module of its package, imported when the stage is reached: no launch needs
    `tighten`, and no quiet one `findings`. The functions are the methods of `Mechanism`, without ``self``; of plain settings
    `spec` and `tighten` need not know.

    | module | functions |
    | --- | --- |
    | `host` | ``probe``, ``assumed``, ``inputs``, ``check`` |
    | `spec` | ``contribute`` |
    | `tighten` | ``tighten`` |
    | `verify` | ``verify`` |
    | `findings` | ``findings`` |
    | `rules` | the mapping ``RULES`` of what it finds |
    | `denied` | ``denied``; without the module it denies no single call |
    | `exposure` | ``exposure``, ``reported``; without the module nothing of it is scored |
    | `witness` | ``witness``; without the module nothing is known to show what it permits |
    """

    _package: ClassVar[str]

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if PackagedMechanism in cls.__bases__:
            cls._package = cls.__module__

    def _stage(self, name: str) -> Mechanism[S]:
        """A module, of which each function is one of these methods."""
        return cast("Mechanism[S]", import_module(f"{self._package}.{name}"))

    def denied(self, settings: S, context: Context, call: SystemCall) -> Iterable[Cause]:
        return self._stage("denied").denied(settings, context, call) if _has(self._package, "denied") else ()

    def witness(self, settings: S, context: Context, leaf: Leaf, value: Any, floor: Any) -> Iterable[Witness]:
        if not _has(self._package, "witness"):
            return ()
        return self._stage("witness").witness(settings, context, leaf, value, floor)

    def probe(self, host: Host) -> object | None:
        return self._stage("host").probe(host)

    def assumed(self, host: Host) -> object | None:
        return self._stage("host").assumed(host)

    def inputs(self, settings: S, context: Context) -> Inputs:
        return self._stage("host").inputs(settings, context)

    def check(self, settings: S, context: Context) -> Iterable[Unsupported]:
        return self._stage("host").check(settings, context)

    def contribute(self, settings: S, context: Context, fragment: Fragment) -> None:
        self._stage("spec").contribute(settings, context, fragment)
        super().contribute(settings, context, fragment)

    def tighten(
        self, settings: S, document: Mapping[str, Any], context: Context, fragment: Fragment
    ) -> Iterator[Violation]:
        yield from self._stage("tighten").tighten(settings, document, context, fragment)
        yield from super().tighten(settings, document, context, fragment)

    def rules(self) -> Mapping[str, FindingRule | str]:
        rules: Mapping[str, FindingRule | str] = vars(self._stage("rules"))["RULES"]
        return rules

    def findings(self, settings: S, context: Context) -> Iterable[Finding]:
        return self._stage("findings").findings(settings, context)

    def verify(self, settings: S, context: Context, receipt: Mapping[str, Any]) -> Iterable[Verification]:
        return self._stage("verify").verify(settings, context, receipt)

    def exposure(self, document: Mapping[str, Any], host: Host) -> Iterable[Exposure]:
        return self._stage("exposure").exposure(document, host) if _has(self._package, "exposure") else ()

    def reported(self, receipt: Mapping[str, Any], host: Host, fragment: Fragment) -> None:
        if _has(self._package, "exposure"):
            self._stage("exposure").reported(receipt, host, fragment)
