"""The stages in their order: compose -> check host -> contribute -> assemble -> audit -> prepare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from hardening.assemble.enforcement import refusal
from hardening.assemble.spec import assemble
from hardening.assemble.statements import statements
from hardening.base.pointer import ARGS
from hardening.base.values import freeze, frozen
from hardening.compose.composition import Composition, in_order
from hardening.errors import HardeningError, PluginError, raise_all
from hardening.mechanism.findings import NOT_ENFORCED, Finding, Severity
from hardening.mechanism.fragment import Fragment, Spec
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Input
from hardening.mechanism.mechanism import Context, Mechanism, MountPoint, Unsupported, Violation
from hardening.mechanism.runtime import Runtime
from hardening.plugin.admission import Candidate, Verdict, require_admission, require_no_rejection
from hardening.plugin.plugins import Plugins


@frozen(eq=False)
class Assembly:
    """What would run, and what is to be said about it. ``violations`` is empty unless a configuration was tightened."""

    plugins: Plugins
    composition: Composition
    host: Host
    context: Context
    spec: Spec
    violations: tuple[Violation, ...] = ()

    @property
    def candidate(self) -> Candidate:
        """What everybody judges."""
        return Candidate(self.spec.config, self.host, self.composition, self.context.origin, self.context.runtime)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is worth saying: looked for where it is asked for, which a quiet launch never does."""
        return (*_findings(self.plugins, self.composition, self.context), *self.spec.told)


def assembled(
    plugins: Plugins,
    composition: Composition,
    host: Host,
    command: Sequence[str] = (),
    *,
    bundle: Path | None = None,
    stays: bool = True,
    context: Context | None = None,
    runtime: Runtime | None = None,
) -> Assembly:
    """Assemble the spec of a composition. ``bundle`` is where it will be written, None for a dry run, and ``stays`` is False
    where it goes with one run; ``context`` is what `check` has given where it was called before, ``runtime`` what runs it.

    Raises `HostError` for what the host, or the runtime, cannot enforce of a required mechanism.
    """
    if context is None:
        context = check(composition, host, bundle, runtime)
    context = attrs.evolve(context, bundle=bundle, bundle_stays=stays)
    fragments = []
    for mechanism in composition.mechanisms:
        fragment = Fragment(mechanism.name, plugins.label(mechanism))
        mechanism.contribute(composition.settings[mechanism.name], context, fragment)
        fragments.append(fragment)
    fragments.append(_of_command(command))
    spec = assemble(fragments, None, statements(composition, context.unsupported, fragments, context.host))
    found = _lacking(runtime, spec) if runtime is not None else ()
    if found:
        raise_all([error for lacking in found if (error := refusal(composition, lacking)) is not None])
        context = attrs.evolve(context, unsupported=(*context.unsupported, *found))
        spec = assemble(fragments, None, statements(composition, context.unsupported, fragments, context.host))
    return Assembly(plugins, composition, host, context, spec)


def _lacking(runtime: Runtime, spec: Spec) -> tuple[Unsupported, ...]:
    """What a runtime does not enforce, told as its own: what one lacks says nothing of another."""
    found = runtime.unsupported(spec.document)
    return tuple(attrs.evolve(item, reason=f"under {runtime.name}: {item.reason}") for item in found)


def tighten(
    plugins: Plugins,
    composition: Composition,
    host: Host,
    document: Mapping[str, Any],
    *,
    bundle: Path | None = None,
    origin: Path | None = None,
) -> Assembly:
    """Make a configuration that was made elsewhere nowhere looser than a composition. What no mechanism answers for goes.

    ``origin`` is the directory where the configuration was found, ``bundle`` the one where it will be written. Raises
    `SpecError` for one with values of types that the specification does not give them, and `HostError` as `assembled` does.
    """
    from hardening.assemble.foreign import only_fields, require_shape, strip

    require_shape(document)
    owned = {pointer for mechanism in composition.mechanisms for pointer in mechanism.owns}
    document, unknown = only_fields(document, owned)
    given = freeze(document)
    context = attrs.evolve(check(composition, host, bundle), origin=origin)
    fragments: list[Fragment] = []
    violations: list[Violation] = []
    for mechanism in composition.mechanisms:
        fragment = Fragment(mechanism.name, plugins.label(mechanism))
        violations += mechanism.tighten(composition.settings[mechanism.name], given, context, fragment)
        _require_confined(mechanism, composition.settings[mechanism.name], context, fragment)
        fragments.append(fragment)
    kept, unowned = strip(document, owned.union(*(fragment.pointers for fragment in fragments)))
    spec = assemble(fragments, kept, statements(composition, context.unsupported, fragments, context.host))
    return Assembly(plugins, composition, host, context, spec, (*unknown, *violations, *unowned))


def _require_confined(mechanism: Mechanism[Any], settings: object, context: Context, tightened: Fragment) -> None:
    """Raise `PluginError` for a mechanism that confines a command of its own, and by `tighten` none of others. The words may
    differ: they are those of another root."""
    own = Fragment(mechanism.name)
    if tightened.helper is None:
        try:
            mechanism.contribute(settings, attrs.evolve(context, bundle=None), own)
        except PluginError:
            raise
        except HardeningError:
            return  # there is no root of its own to confine in
    if own.helper is not None:
        raise PluginError(
            f"{tightened.label} confines the command by {own.helper.value[0]} in contribute, and by none in tighten",
            hint="call fragment.confine in tighten, too",
        )


def check(
    composition: Composition,
    host: Host,
    bundle: Path | None,
    runtime: Runtime | None = None,
) -> Context:
    """What `examine` gives; raises `HostError` for a gap of a required mechanism, and of any leaf that is limited."""
    context = examine(composition, host, bundle, runtime)
    raise_all([error for found in context.unsupported if (error := refusal(composition, found)) is not None])
    return context


def examine(
    composition: Composition,
    host: Host,
    bundle: Path | None = None,
    runtime: Runtime | None = None,
) -> Context:
    """Hold the host against every mechanism, each after those that it names in ``after``: everything in ``unsupported`` that
    cannot be enforced, required or not."""
    points = mount_points(composition)
    context = Context(
        host, composition.composed, bundle=bundle, mount_points=points, image=composition.image,
        runtime=runtime.name if runtime is not None else None, lacking=runtime.lacking if runtime is not None else (),
        host_kernel=runtime is None or runtime.host_kernel,
        profiles=composition.stack.files, limit=composition.limit, limits=composition.limits,
    )  # fmt: skip
    for mechanism in in_order(composition.mechanisms):
        found = mechanism.check(composition.settings[mechanism.name], context)
        context = attrs.evolve(context, unsupported=(*context.unsupported, *found))
    # Of what is not enforced at all nothing is mounted either.
    void = {lacking.leaf for lacking in context.unsupported if lacking.whole}
    kept = (point for point in points if void.isdisjoint(leaf.partition(".")[0] for leaf in point.leaves))
    return attrs.evolve(context, mount_points=tuple(kept))


def _of_command(command: Sequence[str]) -> Fragment:
    """What runs, which is the core's: no mechanism knows of it, so that what they contribute is good for every command."""
    fragment = Fragment("the core")
    if command:
        fragment.put(ARGS, list(command))
    return fragment


def mount_points(composition: Composition) -> tuple[MountPoint, ...]:
    """Where mechanisms have something mounted in the root."""
    return tuple(
        point
        for mechanism in composition.mechanisms
        for point in mechanism.mount_points(composition.settings[mechanism.name])
    )


def apply_host_changes(assembly: Assembly) -> None:
    """Whatever mechanisms change on the host for an assembly that was admitted, right before its bundle is written."""
    document = freeze(assembly.spec.document)  # once for all of them: each would be given a frozen copy
    for mechanism in assembly.composition.mechanisms:
        mechanism.prepare(assembly.composition.settings[mechanism.name], assembly.context, document)


def judge(assembly: Assembly, runtime: Runtime | None) -> tuple[Input, ...]:
    """Hold an assembly against the findings that its layers refuse, and everybody's verdict (`admit`), for the ``runtime``
    that will run it now, or None where it is only written. Raises `ProfileError` for the findings."""
    require_no_refusal(assembly)
    candidate = assembly.candidate
    return (*admit(assembly.plugins, candidate, runtime), *candidate.looked)


def require_no_refusal(assembly: Assembly) -> None:
    """Raise `ProfileError` for the findings that layers refuse. Where none refuses any, nothing is looked for."""
    if assembly.composition.stack.refuses_findings:
        raise_all([*assembly.composition.refusals(assembly.findings)])


def admit(plugins: Plugins, candidate: Candidate, runtime: Runtime | None) -> tuple[Input, ...]:
    """Ask the runtime and every plugin for a verdict: what these rest on (`Verdict.looked`). Raises `SpecError` for a
    rejection, for a launch that nobody accepts, and for a configuration of others with values of types that the
    specification does not give them: no plugin sees such."""
    own = [Verdict(runtime.name, tuple(runtime.check(candidate.whole, candidate.host)))] if runtime is not None else []
    if candidate.composition is None:
        _require_types(candidate.whole, own)
    verdicts = plugins.admit(candidate)
    if runtime is None:
        require_no_rejection(verdicts)
    else:
        require_admission([*own, *verdicts])
    return tuple(item for verdict in verdicts for item in verdict.looked)


def _require_types(document: Mapping[str, Any], own: Sequence[Verdict]) -> None:
    from hardening.assemble.foreign import require_shape
    from hardening.assemble.oci_fields import misfits

    if any(misfits(document)):
        require_no_rejection(own)  # whose words name the remedy
        require_shape(document)


def _findings(plugins: Plugins, composition: Composition, context: Context) -> Iterable[Finding]:
    yield from composition.findings
    for lacking in context.unsupported:
        # A layer says that it may be so, and it is so on this host whatever runs: it is told, and no gate fails for it.
        yield Finding(
            NOT_ENFORCED,
            Severity.NOTE,
            f"{lacking.leaf} is not enforced: {lacking.reason}",
            leaf=lacking.leaf,
            hint=lacking.remedy,
        )
    yield from of_settings(plugins, composition, context)


def of_settings(plugins: Plugins, composition: Composition, context: Context) -> Iterable[Finding]:
    """What mechanisms and other plugins find in composed settings, and what several of them come to together."""
    from hardening.compose.crossing import crossings  # no quiet launch asks

    for mechanism in composition.mechanisms:
        yield from mechanism.findings(composition.settings[mechanism.name], context)
    yield from plugins.inspect(composition, context.host)
    yield from crossings(composition.settings, context)
