"""Plugin discovery, registration and the checks that keep one plugin from quietly winning over another.

First-party plugins come in exactly as third-party ones do: through the entry-point group ``hardening``. Profiles that
packages ship come in through ``hardening.profiles``, whose entries name packages that hold TOML files.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import pluggy

from hardening import hookspecs
from hardening.errors import PluginError
from hardening.kinds import nearest
from hardening.layers import Folder

if TYPE_CHECKING:
    from hardening.compose import Composition
    from hardening.findings import Finding
    from hardening.host import Host
    from hardening.mechanism import Mechanism, Option
    from hardening.runtime import Runtime, Verdict
    from hardening.spec import Spec

GROUP = "hardening"
PROFILES_GROUP = "hardening.profiles"
_PREFIX = "hardening_"


class Named(Protocol):
    """What mechanisms and runtimes have in common."""

    name: str


@attrs.frozen
class Plugin:
    """A loaded plugin: ``name`` is its entry point's, ``distribution`` and ``version`` say where it comes from."""

    name: str
    module: ModuleType
    distribution: str
    version: str


class Plugins:
    """The registered plugins behind a typed façade. Build it with `load`, or with modules of your own in tests."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self.plugins = tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        # pluggy calls what was registered last first: registered backwards, calls come in the order of names.
        for plugin in reversed(self.plugins):
            self._register(plugin)
        self.mechanisms: tuple[Mechanism[Any], ...] = self._collect("hardening_mechanisms", "table")
        self.runtimes: tuple[Runtime, ...] = self._collect("hardening_runtimes", "runtime")
        _check_options(self.mechanisms)

    def _register(self, plugin: Plugin) -> None:
        other = self._manager.get_plugin(plugin.name)
        if other is not None:
            raise PluginError(
                f"two plugins are called {plugin.name}: {other.__name__} and {plugin.module.__name__}",
                hint="uninstall one of them",
            )
        _check_hooks(plugin)
        try:
            self._manager.register(plugin.module, plugin.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"plugin {plugin.name} ({plugin.distribution}): {error}") from None

    def _collect(self, hook: str, what: str) -> tuple[Any, ...]:
        owners: dict[str, str] = {}
        collected: list[Named] = []
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            for item in implementation.function():
                other = owners.setdefault(item.name, implementation.plugin_name)
                if other is not implementation.plugin_name or item.name in [known.name for known in collected]:
                    raise PluginError(
                        f'plugins {other} and {implementation.plugin_name} both own the {what} "{item.name}"',
                        hint="uninstall one of them",
                    )
                collected.append(item)
        return tuple(sorted(collected, key=lambda item: item.name))

    def owner(self, item: object) -> Plugin:
        """The plugin that a mechanism or runtime comes from."""
        package = type(item).__module__.partition(".")[0]
        return next(plugin for plugin in self.plugins if plugin.module.__name__.partition(".")[0] == package)

    def mechanism(self, name: str) -> Mechanism[Any] | None:
        """The mechanism that owns a table, or None."""
        return next((mechanism for mechanism in self.mechanisms if mechanism.name == name), None)

    def runtime(self, name: str) -> Runtime:
        """The runtime of this name; raises `PluginError`."""
        for runtime in self.runtimes:
            if runtime.name == name:
                return runtime
        names = [runtime.name for runtime in self.runtimes]
        raise PluginError(
            f'there is no runtime "{name}"', hint=nearest(name, names) or f"installed: {', '.join(names)}"
        )

    def inspect(self, composition: Composition, host: Host) -> list[Finding]:
        """`hardening_inspect` of every plugin, in the order of their names."""
        results = self._manager.hook.hardening_inspect(composition=composition, host=host)
        return [finding for findings in results for finding in findings]

    def admit(self, composition: Composition, spec: Spec, host: Host) -> list[Verdict]:
        """`hardening_admit` of every plugin; those without an opinion are left out."""
        verdicts: list[Verdict] = self._manager.hook.hardening_admit(composition=composition, spec=spec, host=host)
        return verdicts


def load() -> Plugins:
    """Import every plugin that an installed package names, and register them. Raises `PluginError`."""
    return Plugins(_import(entry) for entry in _distinct(metadata.entry_points(group=GROUP)))


def _distinct(entries: Iterable[metadata.EntryPoint]) -> list[metadata.EntryPoint]:
    """The entries, each once: one distribution may be on ``sys.path`` twice (an editable install and its source)."""
    found: dict[tuple[str, str, str], metadata.EntryPoint] = {}
    for entry in entries:
        found.setdefault((entry.name, entry.value, entry.dist.name if entry.dist else ""), entry)
    return list(found.values())


def _import(entry: metadata.EntryPoint) -> Plugin:
    distribution = entry.dist.name if entry.dist else "unknown"
    try:
        module = import_module(entry.value)
    except ImportError as error:
        raise PluginError(
            f"plugin {entry.name} of {distribution} cannot be imported: {error}",
            hint=f"reinstall or remove {distribution}",
        ) from error
    return Plugin(entry.name, module, distribution, entry.dist.version if entry.dist else "")


def shipped_profiles() -> list[Folder]:
    """The folders of profiles that installed packages ship, in the order of their entry points' names."""
    folders = []
    for entry in sorted(_distinct(metadata.entry_points(group=PROFILES_GROUP)), key=lambda entry: entry.name):
        owner = entry.dist.name if entry.dist else entry.name
        try:
            module = import_module(entry.value)
        except ImportError as error:
            raise PluginError(f"the profiles of {owner} cannot be found: {error}", hint=f"reinstall {owner}") from error
        folders += [Folder(Path(path), f"shipped by {owner}") for path in module.__path__]
    return folders


def _check_hooks(plugin: Plugin) -> None:
    specs = {name for name in dir(hookspecs) if name.startswith(_PREFIX)}
    for name, function in vars(plugin.module).items():
        options = getattr(function, f"{hookspecs.PROJECT}_impl", None)
        if options is None:
            if name.startswith(_PREFIX) and name in specs and inspect.isfunction(function):
                raise PluginError(f"plugin {plugin.name}: {name} lacks @hookimpl", hint="mark it, or rename it")
            continue
        if (options.get("specname") or name) not in specs:
            hint = nearest(name, sorted(specs)) or f"the hooks are {', '.join(sorted(specs))}"
            raise PluginError(f"plugin {plugin.name}: there is no hook {name}", hint=hint)
        for option in ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook"):
            if options.get(option):
                raise PluginError(
                    f"plugin {plugin.name}: {name} is marked {option}, but no plugin may wrap or reorder others",
                    hint="use a plain @hookimpl",
                )
        wanted = list(inspect.signature(getattr(hookspecs, options.get("specname") or name)).parameters)
        given = list(inspect.signature(function).parameters)
        if not set(given) <= set(wanted):
            raise PluginError(
                f"plugin {plugin.name}: {name}({', '.join(given)}) where {name}({', '.join(wanted)}) is expected"
            )


def _check_options(mechanisms: Sequence[Mechanism[Any]]) -> None:
    owners: dict[str, str] = {}
    for mechanism in mechanisms:
        option: Option
        for option in mechanism.options():
            for flag in option.flags:
                if flag in owners:
                    raise PluginError(f"{owners[flag]} and {mechanism.name} both own the option {flag}")
                owners[flag] = mechanism.name
