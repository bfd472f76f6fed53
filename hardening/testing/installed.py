"""The checks of `hardening.testing` for what an installed plugin brings (`hardening plugin check`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from hardening.assemble.pipeline import assembled, examine
from hardening.compose.composition import compose
from hardening.mechanism.host import Host
from hardening.plugin.plugins import Plugin, Plugins
from hardening.profile.layers import Stack
from hardening.testing.contracts import check_runtime, check_scanner
from hardening.testing.kinds import Broken
from hardening.testing.mechanisms import check_all


def check_plugin(plugins: Plugins, plugin: Plugin, host: Host, today: date) -> Iterator[tuple[str, Broken]]:
    """What is broken of the mechanisms, runtimes and scanners of one of ``plugins``, each with what it is of. A runtime is
    asked about what the strict defaults of all mechanisms compose to, whether this host can enforce that or not. Raises
    `PluginError`."""
    for mechanism in plugins.mechanisms:
        if plugins.owner(mechanism) is plugin:
            others = [other for other in plugins.mechanisms if other.name in mechanism.after]
            yield from ((f"table {mechanism.name}", item) for item in check_all(mechanism, host, others))
    runtimes = [runtime for runtime in plugins.runtimes if plugins.owner(runtime) is plugin]
    if any(runtime.version() is not None for runtime in runtimes):
        strict = compose(Stack(()), plugins.mechanisms, host, today)
        document = assembled(plugins, strict, host, ["/bin/true"], context=examine(strict, host)).spec.document
        for runtime in runtimes:
            yield from ((f"runtime {runtime.name}", item) for item in check_runtime(runtime, host, document))
    for scanner in plugins.scanners.values():
        if plugins.owner(scanner) is plugin:
            yield from ((f"scanner {scanner.name}", item) for item in check_scanner(scanner))
