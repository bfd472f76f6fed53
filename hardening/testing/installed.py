"""The checks of `hardening.testing` for what an installed plugin brings (`hardening plugin check`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from hardening.assemble.pipeline import assembled, examine
from hardening.compose.composition import compose
from hardening.mechanism.host import Host
from hardening.plugin.pluginchecks import implemented
from hardening.plugin.plugins import Plugin, Plugins
from hardening.profile.layers import Stack
from hardening.testing.contracts import check_options, check_policy, check_runtime, check_scanner
from hardening.testing.kinds import Broken
from hardening.testing.mechanisms import check_all

#: Hooks that judge, and those that would ask a network or a vault.
_JUDGING = frozenset({"hardening_inspect", "hardening_admit", "hardening_inputs"})
_ELSEWHERE = ("hardening_secrets", "hardening_secret_names", "hardening_signatures")


def check_plugin(plugins: Plugins, plugin: Plugin, host: Host, today: date) -> Iterator[tuple[str, Broken]]:
    """What is broken of all that one of ``plugins`` brings, each with what it is of. Runtimes and hooks are asked about what
    the strict defaults of all mechanisms compose to, whether this host can enforce that or not. Raises `PluginError`."""
    for mechanism in plugins.mechanisms:
        if plugins.owner(mechanism) is plugin:
            others = [other for other in plugins.mechanisms if other.name in mechanism.after]
            yield from ((f"table {mechanism.name}", item) for item in check_all(mechanism, host, others))
    runtimes = [item for item in plugins.runtimes if plugins.owner(item) is plugin and item.version() is not None]
    judges = not _JUDGING.isdisjoint(implemented(plugin))
    if runtimes or judges:
        strict = compose(Stack(()), plugins.mechanisms, host, today)
        document = assembled(plugins, strict, host, ["/bin/true"], context=examine(strict, host)).spec.document
        for runtime in runtimes:
            yield from ((f"runtime {runtime.name}", item) for item in check_runtime(runtime, host, document))
        if judges:
            yield from (("hooks", item) for item in check_policy(plugin.module, host, strict, document))
    for scanner in plugins.scanners.values():
        if plugins.owner(scanner) is plugin:
            yield from ((f"scanner {scanner.name}", item) for item in check_scanner(scanner))
    for driver in plugins.secret_drivers.values():
        if plugins.owner(driver) is plugin:
            yield from ((f"secret driver {driver.name}", item) for item in check_options(driver))


def unchecked(plugins: Plugins, plugin: Plugin) -> Iterator[tuple[str, str]]:
    """What of it `check_plugin` does not ask, and why. Raises `PluginError`."""
    for runtime in plugins.runtimes:
        if plugins.owner(runtime) is plugin and runtime.version() is None:
            yield f"runtime {runtime.name}", "it is not installed"
    for driver in plugins.secret_drivers.values():
        if plugins.owner(driver) is plugin:
            yield f"secret driver {driver.name}", "it would have to keep secrets: its tests do (check_driver)"
    for hook in _ELSEWHERE:
        if hook in implemented(plugin):
            yield hook, "it may ask a network or a vault"
