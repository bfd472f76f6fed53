"""Plugin discovery, registration and the checks that keep one plugin from quietly winning over another.

First-party plugins come in exactly as third-party ones do: through the entry-point group ``hardening``. Profiles that
packages ship come in through ``hardening.profiles``, whose entries name packages that hold TOML files.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from hardening import hookspecs
from hardening.errors import PluginError
from hardening.findings import Finding
from hardening.inputs import Input, Unknown
from hardening.installed import Announced, Brought, brought
from hardening.kinds import nearest
from hardening.layers import Folder
from hardening.mechanism import Mechanism
from hardening.runtime import Candidate, Runtime, Verdict
from hardening.values import frozen

if TYPE_CHECKING:
    from hardening.compose import Composition
    from hardening.host import Host
    from hardening.images.reference import Name
    from hardening.scanning import Scanner
    from hardening.secrets import SecretDriver

GROUP = "hardening"
PROFILES_GROUP = "hardening.profiles"
_PREFIX = "hardening_"
#: what a hook implementation may not be marked with
_ORDERING = ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook")
_UNINSTALL = "uninstall one of them"


@frozen(eq=False)
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
        self._check_registered()
        self._owners: dict[int, Plugin] = {}
        self.mechanisms: tuple[Mechanism[Any], ...] = self._collect("hardening_mechanisms", Mechanism, "table")
        self.runtimes: tuple[Runtime, ...] = self._collect("hardening_runtimes", Runtime, "runtime")
        _check_options(self.mechanisms)
        _check_types(self.mechanisms)

    @cached_property
    def secret_drivers(self) -> Mapping[str, SecretDriver]:
        """The secret drivers by name; raises `PluginError`."""
        from hardening.secrets import SecretDriver

        drivers = self._collect("hardening_secret_drivers", SecretDriver, "secret driver")
        return MappingProxyType({driver.name: driver for driver in drivers})

    @cached_property
    def scanners(self) -> Mapping[str, Scanner]:
        """The scanners by name; raises `PluginError`."""
        from hardening.scankinds import KINDS
        from hardening.scanning import Scanner

        scanners = self._collect("hardening_scanners", Scanner, "scanner")
        for scanner in scanners:
            strange = sorted(set(scanner.kinds) - set(KINDS))
            if strange or not scanner.kinds:
                raise PluginError(
                    f"the scanner {scanner.name} finds {'the kind ' + strange[0] if strange else 'no kind'}",
                    hint=f"its kinds are some of {', '.join(KINDS)}: update or remove its package",
                )
        return MappingProxyType({scanner.name: scanner for scanner in scanners})

    def secrets(self, document: Mapping[str, Any]) -> dict[str, bytes]:
        """The values of the secrets that a configuration names. Raises `SecretError`, also for one that nobody gives, and
        `PluginError` for one that two plugins give, for one that was not asked for, and for what is no value."""
        from hardening.launch.secrets import LONGEST, named
        from hardening.secrets import SecretError

        values: dict[str, bytes] = {}
        owners: dict[str, str] = {}
        asked = [secret.name for secret in named(document)]
        for plugin, answer in self._call("hardening_secrets", document=document, drivers=self.secret_drivers):
            if not isinstance(answer, Mapping):
                raise _wrong_answer(plugin, "hardening_secrets", answer, "a mapping of names to bytes")
            for name, value in answer.items():
                if owners.setdefault(name, plugin.name) != plugin.name:
                    raise PluginError(
                        f"plugins {owners[name]} and {plugin.name} both give the secret {name}", hint=_UNINSTALL
                    )
                if name not in asked or not isinstance(value, bytes) or not 0 < len(value) <= LONGEST:
                    what = "that was not asked for" if name not in asked else f"that has not 1 to {LONGEST} bytes"
                    hint = f"update or remove {plugin.distribution}"
                    raise PluginError(f"the plugin {plugin.name} gives a secret {what}: {name}", hint=hint)
                values[name] = value
        for name in asked:
            if name not in values:
                there = [known for _, known in self._items("hardening_secret_names", str)]
                hint = nearest(name, there) or f"hardening secret create {name} FILE"
                raise SecretError(f'you have no secret "{name}"', hint=hint)
        return values

    def _register(self, plugin: Plugin) -> None:
        other = self._manager.get_plugin(plugin.name)
        if other is not None:
            raise PluginError(
                f"two plugins are called {plugin.name}: {other.__name__} and {plugin.module.__name__}",
                hint=_UNINSTALL,
            )
        _check_hooks(plugin)
        try:
            self._manager.register(plugin.module, plugin.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(
                f"plugin {plugin.name} ({plugin.distribution}): {error}", hint=f"update or remove {plugin.distribution}"
            ) from None

    def _check_registered(self) -> None:
        """No plugin may wrap or reorder others, or implement a hook that does not exist (pluggy, PluginManager)."""
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(str(error), hint="update or remove the plugin") from None
        for plugin in self.plugins:
            for caller in self._manager.get_hookcallers(plugin.module) or ():
                for implementation in caller.get_hookimpls():
                    given = [name for name in _ORDERING if getattr(implementation, name)]
                    if given:
                        raise PluginError(
                            f"plugin {implementation.plugin_name}: {caller.name} is marked {given[0]}, "
                            "but no plugin may wrap or reorder others",
                            hint="use a plain @hookimpl",
                        )

    def _call(self, hook: str, *, but: str = "", **arguments: object) -> Iterator[tuple[Plugin, Any]]:
        """Every implementation's answer, in the order of the plugins' names; that of the plugin ``but`` is not asked for."""
        by_name = {plugin.name: plugin for plugin in self.plugins}
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if implementation.plugin_name == but:
                continue
            answer = implementation.function(*(arguments[name] for name in implementation.argnames))
            yield by_name[implementation.plugin_name], answer

    def _items(self, hook: str, kind: type[Any], *, but: str = "", **arguments: object) -> Iterator[tuple[Plugin, Any]]:
        """The items of every answer that is a collection of them; raises `PluginError` for any other answer."""
        for plugin, answer in self._call(hook, but=but, **arguments):
            if not isinstance(answer, Iterable):
                raise _wrong_answer(plugin, hook, answer, f"a collection of {kind.__name__}")
            for item in answer:
                if not isinstance(item, kind):
                    raise _wrong_answer(plugin, hook, item, kind.__name__)
                yield plugin, item

    def _collect(self, hook: str, kind: type[Any], what: str) -> tuple[Any, ...]:
        owners: dict[str, Plugin] = {}
        collected: list[Any] = []
        for plugin, item in self._items(hook, kind):
            other = owners.setdefault(item.name, plugin)
            if other is not plugin or any(item.name == known.name for known in collected):
                raise PluginError(
                    f'plugins {other.name} and {plugin.name} both own the {what} "{item.name}"', hint=_UNINSTALL
                )
            collected.append(item)
            self._owners[id(item)] = plugin
        return tuple(sorted(collected, key=lambda item: item.name))

    def owner(self, item: Mechanism[Any] | Runtime) -> Plugin:
        """The plugin that registered a mechanism or runtime."""
        return self._owners[id(item)]

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
        found = self._items("hardening_inspect", Finding, composition=composition, host=host)
        return [finding for _, finding in found]

    def inputs(self, composition: Composition | None, host: Host) -> list[Input | Unknown]:
        """`hardening_inputs` of every plugin; `Unknown` for one that judges without saying what it looks at."""
        found: list[Input | Unknown] = []
        for plugin, answer in self._call(
            "hardening_inputs", composition=composition, host=host, scanners=lambda: self.scanners
        ):
            if not isinstance(answer, Iterable):
                raise _wrong_answer(plugin, "hardening_inputs", answer, "a collection of Input")
            found += answer
        for plugin in self.plugins:
            hooks = {caller.name for caller in self._manager.get_hookcallers(plugin.module) or ()}
            if hooks & {"hardening_inspect", "hardening_admit"} and "hardening_inputs" not in hooks:
                found.append(Unknown(f"the plugin {plugin.name} judges, and does not say what it looks at"))
        return found

    def signatures(
        self, name: Name, digest: str, composition: Composition, *, verify: bool, but: str = ""
    ) -> list[bytes]:
        """`hardening_signatures` of every plugin ``but`` of one, in the order of their names."""
        asked = {"name": name, "digest": digest, "composition": composition, "verify": verify}
        return [content for _, content in self._items("hardening_signatures", bytes, but=but, **asked)]

    def admit(self, candidate: Candidate) -> list[Verdict]:
        """`hardening_admit` of every plugin; those without an opinion are left out."""
        verdicts = []
        for plugin, answer in self._call("hardening_admit", candidate=candidate, scanners=lambda: self.scanners):
            if isinstance(answer, Verdict):
                verdicts.append(answer)
            elif answer is not None:
                raise _wrong_answer(plugin, "hardening_admit", answer, "Verdict or None")
        return verdicts


def load(among: Announced | None = None) -> Plugins:
    """Import every plugin that an installed package names, and register them; ``among`` is what packages announce where that
    was read. Raises `PluginError`."""
    return Plugins(_import(item) for item in brought(GROUP, among))


def _import(item: Brought) -> Plugin:
    distribution = item.distribution or "unknown"
    try:
        module = import_module(item.value)
    except (ImportError, SyntaxError) as error:
        raise PluginError(
            f"plugin {item.name} of {distribution} cannot be imported: {error}",
            hint=f"reinstall or remove {distribution}",
        ) from error
    return Plugin(item.name, module, distribution, item.version)


def shipped_profiles(among: Announced | None = None) -> list[Folder]:
    """The folders of profiles that installed packages ship, in the order of their entry points' names."""
    folders = []
    for item in sorted(brought(PROFILES_GROUP, among), key=lambda item: item.name):
        owner = item.distribution or item.name
        try:
            module = import_module(item.value)
        except ImportError as error:
            raise PluginError(f"the profiles of {owner} cannot be found: {error}", hint=f"reinstall {owner}") from error
        folders += [Folder(Path(path), f"shipped by {owner}", shipped=True) for path in module.__path__]
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
        wanted = list(inspect.signature(getattr(hookspecs, options.get("specname") or name)).parameters)
        given = list(inspect.signature(function).parameters)
        if not set(given) <= set(wanted):
            raise PluginError(
                f"plugin {plugin.name}: {name}({', '.join(given)}) where {name}({', '.join(wanted)}) is expected",
                hint="a hook may leave arguments out, but not name others",
            )


def _wrong_answer(plugin: Plugin, hook: str, answer: object, wanted: str) -> PluginError:
    return PluginError(
        f"plugin {plugin.name}: {hook} answers with {type(answer).__name__} where {wanted} is expected",
        hint=f"update or remove {plugin.distribution}",
    )


def _check_options(mechanisms: Sequence[Mechanism[Any]]) -> None:
    owners: dict[str, str] = {}
    for mechanism in mechanisms:
        for option in mechanism.options():
            for flag in option.flags:
                if flag in owners:
                    raise PluginError(
                        f"{owners[flag]} and {mechanism.name} both own the option {flag}", hint=_UNINSTALL
                    )
                owners[flag] = mechanism.name


def _check_types(mechanisms: Sequence[Mechanism[Any]]) -> None:
    """Settings are looked up by their class, so each class has one mechanism."""
    owners: dict[type, str] = {}
    for mechanism in mechanisms:
        other = owners.setdefault(mechanism.settings_type, mechanism.name)
        if other != mechanism.name:
            raise PluginError(
                f"{other} and {mechanism.name} both have {mechanism.settings_type.__name__} as their settings",
                hint=_UNINSTALL,
            )
