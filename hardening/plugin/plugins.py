"""Plugin discovery, registration and the checks that keep one plugin from quietly winning over another.

First-party plugins come in exactly as third-party ones do: through the entry-point group ``hardening``. Profiles that
packages ship come in through ``hardening.profiles``, whose entries name packages that hold TOML files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pluggy

from hardening.base.text import nearest
from hardening.base.values import freeze
from hardening.errors import PluginError, UsageError, quoted
from hardening.mechanism.findings import Finding
from hardening.mechanism.inputs import Input, Unknown
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.runtime import Refusal, Runtime
from hardening.plugin import hookspecs, pluginanswers, pluginchecks, pluginfaces
from hardening.plugin.admission import Candidate, Verdict
from hardening.plugin.installed import Announced, Brought, brought
from hardening.plugin.plugincalls import (
    OWN,
    PATIENT,
    SECONDS,
    Plugin,
    Take,
    aside,
    bounded,
    describe,
    enter,
    fault,
    items,
    label,
    one,
    package,
    staying,
)
from hardening.profile.layers import SearchDirectory

__all__ = ["GROUP", "PROFILES_GROUP", "Plugin", "Plugins", "load", "loaded", "shipped_profiles", "usable"]

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.images.reference import Name
    from hardening.mechanism.host import Host
    from hardening.mechanism.scanner import Scanner
    from hardening.mechanism.secret_driver import SecretDriver

GROUP = "hardening"
PROFILES_GROUP = "hardening.profiles"
#: Hooks that may scan a whole root, fetch from a network, or wait for somebody.
_WAITING = frozenset({"hardening_admit", "hardening_signatures", "hardening_secrets"})
#: Hooks that only hand something over: what is not handed over is missed, and nothing becomes looser.
_HANDING = frozenset(
    f"hardening_{name}" for name in ("runtimes", "secret_drivers", "secrets", "secret_names", "signatures")
)
_UNINSTALL = pluginchecks.UNINSTALL


class Plugins:
    """The registered plugins behind a typed façade. Build it with `load`, or with modules of your own in tests."""

    def __init__(self, plugins: Iterable[Plugin], left_out: Iterable[Brought] = ()) -> None:
        self.left_out = tuple(left_out)
        self.plugins = tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        # pluggy calls what was registered last first: registered backwards, calls come in the order of names.
        for plugin in reversed(self.plugins):
            self._register(plugin)
        self._check_registered()
        self._owners: dict[int, Plugin] = {}
        self.mechanisms: tuple[Mechanism[Any], ...] = self._collect(
            "hardening_mechanisms",
            Mechanism,
            "table",
            lambda plugin, item: pluginfaces.mechanism(plugin, item, self.mechanism),
        )
        self.runtimes: tuple[Runtime, ...] = self._collect(
            "hardening_runtimes", Runtime, "runtime", pluginfaces.runtime
        )
        pluginchecks.options(self.mechanisms, self.owner)
        pluginchecks.types(self.mechanisms, self.owner)

    @cached_property
    def secret_drivers(self) -> Mapping[str, SecretDriver]:
        """The secret drivers by name; raises `PluginError`."""
        from hardening.mechanism.secret_driver import SecretDriver

        drivers = self._collect("hardening_secret_drivers", SecretDriver, "secret driver", pluginfaces.secret_driver)
        return MappingProxyType({driver.name: driver for driver in drivers})

    @cached_property
    def scanners(self) -> Mapping[str, Scanner]:
        """The scanners by name; raises `PluginError`."""
        from hardening.mechanism.scanner import KINDS, Scanner

        scanners = self._collect("hardening_scanners", Scanner, "scanner", pluginfaces.scanner)
        for scanner in scanners:
            strange = sorted(set(scanner.kinds) - set(KINDS))
            if strange or not scanner.kinds:
                raise fault(
                    self._owners[id(scanner)],
                    f": the scanner {scanner.name} finds {'the kind ' + strange[0] if strange else 'no kind'}",
                    f"its kinds are some of {', '.join(KINDS)}: update or remove its package",
                )
        return MappingProxyType({scanner.name: scanner for scanner in scanners})

    def secrets(self, document: Mapping[str, Any]) -> dict[str, bytes]:
        """The values of the secrets that a configuration names. Raises `SecretError`, also for one that nobody gives, and
        `PluginError` for one that two plugins give, for one that was not asked for, and for what is no value."""
        from hardening.launch.secret.secrets import LONGEST, named
        from hardening.mechanism.secret_driver import SecretError

        values: dict[str, bytes] = {}
        owners: dict[str, str] = {}
        wanted = [secret.name for secret in named(document)]
        asking: dict[str, object] = {"document": freeze(document), "drivers": self.secret_drivers}
        for plugin, answer in self._call("hardening_secrets", one(Mapping), asking, private=True):
            for name, value in answer.items():
                if owners.setdefault(name, plugin.name) != plugin.name:
                    raise PluginError(
                        f"plugins {owners[name]} and {plugin.name} both give the secret {name}", hint=_UNINSTALL
                    )
                if name not in wanted or not isinstance(value, bytes) or not 0 < len(value) <= LONGEST:
                    what = "that was not asked for" if name not in wanted else f"that has not 1 to {LONGEST} bytes"
                    raise fault(plugin, f" gives a secret {what}: {name}")
                values[name] = value
        for name in wanted:
            if name not in values:
                there = [known for _, known in self._items("hardening_secret_names", items(str))]
                hint = nearest(name, there) or f"hardening secret create {quoted(name)} FILE"
                raise SecretError(f'no such secret: "{name}"', hint=hint)
        return values

    def _register(self, plugin: Plugin) -> None:
        other = self._manager.get_plugin(plugin.name)
        if other is not None:
            raise PluginError(
                f"two plugins are called {plugin.name}: {other.__name__} and {plugin.module.__name__}",
                hint=_UNINSTALL,
            )
        pluginchecks.version(plugin)
        pluginchecks.hooks(plugin)
        try:
            self._manager.register(plugin.module, plugin.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise fault(plugin, f": {error}") from None

    def _check_registered(self) -> None:
        """No plugin may wrap or reorder others, or implement a hook that does not exist (pluggy, PluginManager)."""
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(str(error), hint="update or remove the plugin") from None
        by_name = {plugin.name: plugin for plugin in self.plugins}
        for plugin in self.plugins:
            for caller in self._manager.get_hookcallers(plugin.module) or ():
                for implementation in caller.get_hookimpls():
                    given = [name for name in pluginchecks.ORDERING if getattr(implementation, name)]
                    if given:
                        what = f": {caller.name} is marked {given[0]}, but no plugin may wrap or reorder others"
                        raise fault(by_name[implementation.plugin_name], what, "use a plain @hookimpl")

    def _call(
        self,
        hook: str,
        take: Take,
        asked: Mapping[str, object] = MappingProxyType({}),
        *,
        but: str = "",
        private: bool = False,
        unasked: bool = False,
    ) -> Iterator[tuple[Plugin, Any]]:
        """Every implementation's answer, in the order of the plugins' names; that of the plugin ``but`` is not asked for."""
        by_name = {plugin.name: plugin for plugin in self.plugins}
        seconds = PATIENT if hook in _WAITING else None
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if implementation.plugin_name == but:
                continue
            plugin = by_name[implementation.plugin_name]
            given = [asked[name] for name in implementation.argnames]
            function = implementation.function
            yield plugin, enter(plugin, hook, function, given, take, private=private, unasked=unasked, seconds=seconds)

    def _items(
        self, hook: str, take: Take, asked: Mapping[str, object] = MappingProxyType({}), *, but: str = ""
    ) -> Iterator[tuple[Plugin, Any]]:
        """The items of every answer."""
        for plugin, answer in self._call(hook, take, asked, but=but):
            for item in answer:
                yield plugin, item

    def _collect(self, hook: str, kind: type[Any], what: str, shown: Callable[[Plugin, Any], Any]) -> tuple[Any, ...]:
        """The faces of what plugins register, by their names."""
        owners: dict[str, Plugin] = {}
        collected: list[Any] = []
        registered = self._call(hook, items(kind), unasked=True)
        for plugin, item in ((plugin, item) for plugin, answer in registered for item in answer):
            made = shown(plugin, item)
            other = owners.setdefault(made.name, plugin)
            if other is not plugin:
                raise PluginError(f'{other} and {plugin} both own the {what} "{made.name}"', hint=_UNINSTALL)
            if any(made.name == known.name for known in collected):
                raise fault(plugin, f' brings the {what} "{made.name}" twice')
            collected.append(made)
            self._owners[id(made)] = plugin
        return tuple(sorted(collected, key=lambda item: item.name))

    def owner(self, item: Mechanism[Any] | Runtime | Scanner | SecretDriver) -> Plugin:
        """The plugin that registered one of these."""
        return self._owners[id(item)]

    def label(self, mechanism: Mechanism[Any]) -> str:
        """How messages name the plugin that registered a mechanism; empty for one that none of these has."""
        owner = self._owners.get(id(mechanism))
        return str(owner) if owner is not None else ""

    def mechanism(self, name: str) -> Mechanism[Any] | None:
        """The mechanism that owns a table, or None."""
        return next((mechanism for mechanism in self.mechanisms if mechanism.name == name), None)

    def runtime(self, name: str) -> Runtime:
        """The runtime of this name; raises `UsageError`."""
        for runtime in self.runtimes:
            if runtime.name == name:
                return runtime
        names = [runtime.name for runtime in self.runtimes]
        raise UsageError(f'unknown runtime "{name}"', hint=nearest(name, names) or f"installed: {', '.join(names)}")

    def inspect(self, composition: Composition, host: Host) -> list[Finding]:
        """`hardening_inspect` of every plugin, in the order of their names."""
        from hardening.compose.rules import CORE, LINT  # no quiet launch asks

        owners: dict[str, Plugin | None] = {item.name: self._owners.get(id(item)) for item in self.mechanisms}
        owners |= {CORE: None, LINT: None}
        found = [*self._items("hardening_inspect", pluginanswers.findings, {"composition": composition, "host": host})]
        for plugin, finding in found:
            if owners.get(finding.rule.partition("/")[0], plugin) is not plugin:
                raise fault(plugin, f": hardening_inspect finds something of {finding.rule}, which is a rule of others")
        return [finding for _, finding in found]

    def inputs(self, composition: Composition | None, host: Host) -> list[Input | Unknown]:
        """`hardening_inputs` of every plugin; `Unknown` for one that judges without saying what it looks at."""
        asking: dict[str, object] = {"composition": composition, "host": host, "scanners": lambda: self.scanners}
        found: list[Input | Unknown] = [
            item for _, item in self._items("hardening_inputs", pluginanswers.looked, asking)
        ]
        for plugin in self.plugins:
            hooks = {caller.name for caller in self._manager.get_hookcallers(plugin.module) or ()}
            if hooks & {"hardening_inspect", "hardening_admit"} and "hardening_inputs" not in hooks:
                found.append(Unknown(f"the plugin {plugin.name} judges, and does not say what it looks at"))
        return found

    def signatures(
        self, name: Name, digest: str, composition: Composition, *, verify: bool, but: str = ""
    ) -> list[bytes]:
        """`hardening_signatures` of every plugin ``but`` of one, in the order of their names."""
        asked: dict[str, object] = {"name": name, "digest": digest, "composition": composition, "verify": verify}
        return [content for _, content in self._items("hardening_signatures", items(bytes), asked, but=but)]

    def admit(self, candidate: Candidate) -> list[Verdict]:
        """`hardening_admit` of every plugin; those without an opinion are left out."""
        asked: dict[str, object] = {"candidate": candidate, "scanners": lambda: self.scanners}
        answers = self._call("hardening_admit", pluginanswers.verdict, asked)
        lacking = [Verdict("--without", (_missing(item),)) for item in self.left_out if _decides(item)]
        return [*lacking, *(verdict for _, verdict in answers if verdict is not None)]


def load(among: Announced | None = None, without: Collection[str] = ()) -> Plugins:
    """Import every plugin that an installed package names, but for those ``without``, and register them; ``among`` is what
    packages announce where that was read. Raises `PluginError`, and `UsageError` for a plugin that there is not."""
    there = brought(GROUP, among)
    for name in without:
        if all(item.name != name for item in there):
            raise unknown(name, sorted(item.name for item in there), "--without")
    kept = [loaded(item) for item in there if item.name not in without]
    return Plugins(kept, [item for item in there if item.name in without])


def unknown(name: str, installed: Sequence[str], origin: str | None = None) -> UsageError:
    """What is raised for a name that none of those ``installed`` has."""
    hint = nearest(name, installed) or f"installed: {', '.join(installed)}"
    return UsageError(f'no such plugin: "{name}"', origin=origin, hint=hint)


def _decides(item: Brought) -> bool:
    """Whether a plugin that is left out may have had a say in what is launched, or cannot tell."""
    try:
        return not pluginchecks.implemented(loaded(item)) <= _HANDING
    except PluginError:
        return True


def _missing(item: Brought) -> Refusal:
    what = f"the {label(item)} is left out, and nothing is launched without what it decides"
    gone = "" if item.distribution == OWN else f", or uninstall {package(item)}"
    return Refusal("", what, f"drop `--without {quoted(item.name)}`{gone}")


def usable(among: Announced | None = None, without: Collection[str] = ()) -> tuple[Plugins, Host, list[PluginError]]:
    """The plugins that can be used, what their mechanisms find on this host, and what is wrong with each of the others. Of
    two that are in each other's way the program's own is used, or the first by name."""
    from hardening.mechanism.host import plain

    try:
        plugins = load(among, without)
        return plugins, _tried(plugins, plugins.mechanisms), []
    except PluginError:  # which of them it is, and whether it is the only one, shows one after the other
        plugins, host, faults = Plugins(()), plain(), list[PluginError]()
    there = [item for item in brought(GROUP, among) if item.name not in without]
    for item in sorted(there, key=lambda item: (item.distribution != OWN, item.name)):
        try:
            plugin = loaded(item)
            more = Plugins((*plugins.plugins, plugin))
            host = _tried(more, [item for item in more.mechanisms if more.owner(item) is plugin], host)
        except PluginError as error:
            faults.append(error)
        else:
            plugins = more
    return plugins, host, faults


def _tried(plugins: Plugins, mechanisms: Iterable[Mechanism[Any]], known: Host | None = None) -> Host:
    """What is known of the host, with what these mechanisms find there. Raises `PluginError`, also for what is wrong with
    anything else that the plugins bring."""
    from hardening.mechanism.host import probe

    _ = plugins.scanners, plugins.secret_drivers
    return probe(mechanisms, known)


def loaded(item: Brought) -> Plugin:
    """Import one plugin. Raises `PluginError`."""
    pluginchecks.requirement(item)
    try:
        with aside(), staying(), bounded(SECONDS):
            module = import_module(item.value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a module does when it is imported
        hint = f"reinstall or remove {package(item)}"
        raise fault(item, f" cannot be imported: {describe(error, item.value)}", hint) from error
    return Plugin(item.name, module, item.distribution, item.version)


def shipped_profiles(among: Announced | None = None) -> list[SearchDirectory]:
    """The folders of profiles that installed packages ship, in the order of their entry points' names."""
    folders = []
    for item in sorted(brought(PROFILES_GROUP, among), key=lambda item: item.name):
        owner = item.distribution or item.name
        try:
            module = import_module(item.value)
        except (Exception, SystemExit) as error:
            what = f"the profiles of {owner} cannot be found: {describe(error, item.value)}"
            raise PluginError(what, hint=f"reinstall or remove {owner}") from error
        folders += [SearchDirectory(Path(path), f"shipped by {owner}", shipped=True) for path in module.__path__]
    return folders
