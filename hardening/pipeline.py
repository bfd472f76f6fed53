"""The stages in their order: compose -> check host -> contribute -> assemble -> audit -> prepare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from hardening.compose import Composition
from hardening.errors import HardeningError, HostError, raise_all
from hardening.findings import Finding, Severity
from hardening.host import Host
from hardening.mechanism import Context, Excess, Mechanism, Shortfall
from hardening.plugins import Plugins
from hardening.runtime import Runtime, Verdict, require_admission
from hardening.spec import Fragment, Spec, assemble


@attrs.frozen(eq=False)
class Plan:
    """What would run, and what is to be said about it. ``excesses`` is empty unless a configuration was tightened."""

    composition: Composition
    host: Host
    context: Context
    spec: Spec
    findings: tuple[Finding, ...]
    excesses: tuple[Excess, ...] = ()


def plan(
    plugins: Plugins,
    composition: Composition,
    host: Host,
    command: Sequence[str] = (),
    *,
    bundle: Path | None = None,
) -> Plan:
    """Assemble the spec of a composition. ``bundle`` is where it will be written, None for a dry run.

    Raises `HostError` for what the host cannot enforce of a required mechanism.
    """
    context = check(composition, host, command, bundle)
    fragments = []
    for mechanism in composition.mechanisms:
        fragment = Fragment(mechanism.name)
        mechanism.contribute(composition.settings[mechanism.name], context, fragment)
        fragments.append(fragment)
    return Plan(composition, host, context, assemble(fragments), tuple(_findings(plugins, composition, context)))


def tighten(
    plugins: Plugins,
    composition: Composition,
    host: Host,
    document: Mapping[str, Any],
    *,
    bundle: Path | None = None,
) -> Plan:
    """Make a configuration that was made elsewhere nowhere looser than a composition."""
    command = tuple(document.get("process", {}).get("args") or ())
    context = check(composition, host, command, bundle)
    fragments: list[Fragment] = []
    excesses: list[Excess] = []
    for mechanism in composition.mechanisms:
        fragment = Fragment(mechanism.name)
        excesses += mechanism.tighten(composition.settings[mechanism.name], document, context, fragment)
        fragments.append(fragment)
    findings = tuple(_findings(plugins, composition, context))
    return Plan(composition, host, context, assemble(fragments, document), findings, tuple(excesses))


def check(composition: Composition, host: Host, command: Sequence[str], bundle: Path | None) -> Context:
    """Hold the host against every mechanism; raises `HostError` for a shortfall of a required one."""
    context = Context(host, composition.composed, tuple(command), bundle=bundle)
    shortfalls: list[Shortfall] = []
    fatal: list[HardeningError] = []
    for mechanism in composition.mechanisms:
        required = composition.required(mechanism.name)
        for shortfall in mechanism.check(composition.settings[mechanism.name], context):
            shortfalls.append(shortfall)
            if required and not shortfall.tolerated:
                fatal.append(_fatal(mechanism, shortfall))
    raise_all(fatal)
    return attrs.evolve(context, shortfalls=tuple(shortfalls))


def _fatal(mechanism: Mechanism[Any], shortfall: Shortfall) -> HostError:
    remedy = shortfall.remedy or f'or set requirement = "best-effort" in [{mechanism.name}]'
    return HostError(f"{shortfall.leaf} cannot be enforced here: {shortfall.reason}", hint=remedy)


def admit(plugins: Plugins, plan: Plan, runtime: Runtime) -> None:
    """Ask the runtime and every plugin for a verdict; raises `SpecError` unless all is well."""
    own = Verdict(runtime.name, tuple(runtime.check(plan.spec.document, plan.host)))
    require_admission([own, *plugins.admit(plan.composition, plan.spec, plan.host)])


def prepare(plan: Plan) -> None:
    """Let every mechanism change what the launch needs changed on the host; call it when nothing else can refuse any
    more, right before the bundle is written."""
    for mechanism in plan.composition.mechanisms:
        mechanism.prepare(plan.composition.settings[mechanism.name], plan.context, plan.spec.document)


def _findings(plugins: Plugins, composition: Composition, context: Context) -> Iterable[Finding]:
    yield from composition.findings
    for shortfall in context.shortfalls:
        yield Finding(
            "core/not-enforced",
            Severity.WARNING,
            f"{shortfall.leaf} is not enforced: {shortfall.reason}",
            leaf=shortfall.leaf,
            hint=shortfall.remedy,
        )
    for mechanism in composition.mechanisms:
        yield from mechanism.findings(composition.settings[mechanism.name], context)
    yield from plugins.inspect(composition, context.host)
