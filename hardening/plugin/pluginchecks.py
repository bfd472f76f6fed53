"""What is looked at before a plugin is used: the version that it is made for, its hooks, and whether it gets in the way of
another one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hardening import __version__
from hardening.base.text import nearest
from hardening.errors import HardeningError, PluginError
from hardening.mechanism import roles
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import WILDCARD, Scalar, Setting
from hardening.plugin import hookspecs
from hardening.plugin.installed import Brought
from hardening.plugin.plugincalls import OWN, Plugin, enter, fault, nothing, package
from hardening.profile.source import Document, Node

#: what a hook implementation may not be marked with
ORDERING = ("wrapper", "hookwrapper", "tryfirst", "trylast", "optionalhook")
UNINSTALL = "uninstall one of them"
#: the options of the program's own commands that have those of mechanisms, too, whichever plugin of its own brings them:
#: written down, since asking click would import every command at each start
OWN_OPTIONS = frozenset({
    "--against", "--all", "--beyond", "--check", "--config", "--debug", "--detach", "--dry-run", "--entrypoint",
    "--exception", "--fail-on", "--force", "--format", "--fresh", "--help", "--image", "--in-place", "--inspect",
    "--interactive", "--into", "--json", "--limit", "--log-size", "--name", "--once", "--output", "--packages", "--pid",
    "--podman", "--policy", "--profile", "--pull", "--quiet", "--raw", "--receipt", "--rm", "--runtime", "--sarif", "--seen",
    "--set", "--since", "--static", "--threshold", "--timeout", "--tls-verify", "--until", "--weights", "-d", "-h", "-i",
    "-j", "-o", "-p", "-q",
})  # fmt: skip
_PREFIX = "hardening_"
#: letters of a requirement: of a longer one `packaging` may take long, or more memory than there is
_LONGEST = 4096
_SHOWN = 200
#: methods of which each may be what enforces a setting
_ENFORCING = ("contribute", "tighten", "mount_points", "prepare", "implies", "verify")


def version(plugin: Plugin) -> None:
    """The interface that it is made for is the one that there is; a plugin that does not say is made for the first."""
    wanted = vars(plugin.module).get("hardening_api", hookspecs.API)
    if wanted != hookspecs.API:
        raise fault(
            plugin,
            f" is made for the interface hardening_api = {wanted!r:.{_SHOWN}}, and hardening {__version__} has "
            f'"{hookspecs.API}"',
            f"install a version of {package(plugin)} that is made for this one, or update {OWN}",
        )


def hooks(plugin: Plugin) -> None:
    """Whatever has the name of a hook, or is marked as one, is a function that is marked as one, is one that there is, and
    takes arguments that it has. What is no function pluggy passes over."""
    specs = {name for name in dir(hookspecs) if name.startswith(_PREFIX)}
    for name, function in vars(plugin.module).items():
        options = getattr(function, f"{hookspecs.PROJECT}_impl", None)
        if (options is not None or name in specs) and not inspect.isfunction(function):
            kind = type(function).__name__
            raise fault(
                plugin, f": {name} is {kind} where a function is expected", f"write def {name}(…), with @hookimpl"
            )
        if options is None:
            own = inspect.isfunction(function) and function.__module__ == plugin.module.__name__
            if name.startswith(_PREFIX) and (own or name in specs):
                meant = "" if name in specs else f"; {nearest(name, specs)}" if nearest(name, specs) else ""
                raise fault(plugin, f": {name} lacks @hookimpl", f"mark it, or rename it{meant}")
            continue
        hook = options.get("specname") or name
        if hook not in specs:
            newer = f"if it is of a newer hardening than {__version__}, update that, or remove {package(plugin)}"
            hint = "; ".join(filter(None, (nearest(hook, specs), newer)))
            raise fault(plugin, f": there is no hook {name}", hint)
        wanted = list(inspect.signature(getattr(hookspecs, hook)).parameters)
        given = inspect.signature(function).parameters.values()
        if any(item.kind is not item.POSITIONAL_OR_KEYWORD or item.name not in wanted for item in given):
            raise fault(
                plugin,
                f": {name}({', '.join(map(_shown, given))}) where {name}({', '.join(wanted)}) is expected",
                "a hook may leave arguments out, but not name others, nor take them by keyword only",
            )


def implemented(plugin: Plugin) -> set[str]:
    """The names of the hooks that a plugin implements."""
    marks = {name: getattr(item, f"{hookspecs.PROJECT}_impl", None) for name, item in vars(plugin.module).items()}
    return {mark.get("specname") or name for name, mark in marks.items() if mark is not None}


def _shown(parameter: inspect.Parameter) -> str:
    return f"*, {parameter.name}" if parameter.kind is parameter.KEYWORD_ONLY else str(parameter).partition(":")[0]


def options(mechanisms: Sequence[Mechanism[Any]], owner: Callable[[Mechanism[Any]], Plugin]) -> None:
    """Each command-line option has one mechanism, and none is one of the program's own: refused for all commands alike,
    whether or not the one that was typed has it."""
    owners: dict[str, Mechanism[Any]] = {}
    for mechanism in mechanisms:
        for option in mechanism.options():
            for flag in option.flags:
                if flag in OWN_OPTIONS:
                    raise fault(
                        owner(mechanism),
                        f": {mechanism.name} offers the option {flag}, which commands of {OWN} have themselves",
                    )
                if flag in owners:
                    both = _both(owners[flag], mechanism, owner)
                    raise PluginError(f"{both} both own the option {flag}", hint=UNINSTALL)
                owners[flag] = mechanism


def _both(one: Mechanism[Any], other: Mechanism[Any], owner: Callable[[Mechanism[Any]], Plugin]) -> str:
    return f"{owner(one)} with [{one.name}] and {owner(other)} with [{other.name}]"


def enforcement(plugin: Plugin, kind: type[Any], mechanism: Mechanism[Any]) -> None:
    """A mechanism that contributes by a method of its own holds what others configured by one, too; and each of its
    settings has somebody who does something with it."""
    own = {name for name in _ENFORCING if getattr(kind, name) is not getattr(Mechanism, name)}
    if "contribute" in own and "tighten" not in own:
        raise fault(plugin, f": {kind.__name__} has a method contribute and no tighten, which holds others to it")
    for setting in mechanism.schema.fields.values() if not own else ():
        plain = isinstance(setting, Scalar) and setting.field is not None
        if not plain and {WILDCARD, setting.name}.isdisjoint(mechanism.before_launch):
            raise fault(
                plugin,
                f": nothing does anything with {mechanism.name}.{setting.name}",
                "say where it stands (field=), write a method, or name it in before_launch",
            )


def declared(plugin: Plugin, mechanism: Mechanism[Any]) -> None:
    """Each value that a setting declares is one that its kind reads as a layer writes it: any other would fail far from
    here, where nobody knows whose it is. Ours keep this by a test, which costs no start anything."""
    if plugin.distribution == OWN:
        return
    for setting in mechanism.schema.fields.values():
        enter(plugin, f"{mechanism.name}.{setting.name}", partial(_read_back, mechanism.name, setting), (), nothing)


def _read_back(table: str, setting: Setting) -> None:
    """Raise `PluginError` for a value of which `Kind.parse` reads another one, or none. That of a list's items need not be
    written as the kind has it. None is that there is none."""
    if isinstance(setting, Scalar):
        values = {"default": setting.default} if setting.default is not None or not setting.kind.optional else {}
    else:
        named = {f"default {member}": value for member, value in setting.default.items()}
        found = {"rest": setting.rest, "absent": setting.absent, **named}
        values = {} if setting.listed else {what: value for what, value in found.items() if value is not None}
    for what, value in values.items():
        node = Node(setting.kind.dump(value), (table, setting.name), Document(table, None, {}, {}))
        try:
            problem = "" if setting.kind.parse(node) == value else "another one is read"
        except HardeningError as error:
            problem = error.message
        if problem:
            raise PluginError(f"{table}.{setting.name}: the {what} {value!r:.{_SHOWN}} is none of its kind: {problem}")


def types(mechanisms: Sequence[Mechanism[Any]], owner: Callable[[Mechanism[Any]], Plugin]) -> None:
    """Settings are looked up by their class, and by its roles, so each of these has one mechanism."""
    owners: dict[type, Mechanism[Any]] = {}
    for mechanism in mechanisms:
        kind = mechanism.settings_type
        for role in (kind, *(base for base in kind.__mro__ if base.__module__ == roles.__name__)):
            other = owners.setdefault(role, mechanism)
            if other is not mechanism:
                problem = f"{_both(other, mechanism, owner)} both have {role.__name__} as their settings"
                raise PluginError(problem, hint=UNINSTALL)


def requirement(item: Brought) -> None:
    """Refuse a plugin whose distribution requires another version of this one (``Requires-Dist``; packaging.python.org,
    "Dependency specifiers"), or of which that cannot be told."""
    for line in item.requires:
        named = re.match(r"[A-Za-z0-9._-]+", line)
        if named is None or re.sub(r"[-_.]+", "-", named[0]).lower() != OWN:
            continue
        try:
            wanted = _unmet(line)
        except (ValueError, RecursionError, KeyError) as error:
            why = (str(error).splitlines() or ["no reason is given"])[0][:_SHOWN]
            problem = f" requires {line[:_SHOWN]!r}, which cannot be read: {why}"
            raise fault(item, problem, f"reinstall or remove {package(item)}") from None
        if wanted:
            raise fault(
                item,
                f" requires {OWN} {wanted[:_SHOWN]}, and this is {__version__}",
                f"install a version of {package(item)} that is made for this one, or update {OWN}",
            )


def _unmet(line: str) -> str:
    """The versions of this one that a requirement asks for; empty where this is one of them, or its condition is not true.
    Raises `ValueError`, `KeyError` or `RecursionError`, all from `packaging`, for one that cannot be read."""
    from packaging.requirements import Requirement  # few plugins say what they require

    if len(line) > _LONGEST:
        raise ValueError(f"it has {len(line)} letters, and at most {_LONGEST} are read")
    wanted = Requirement(line)
    # Nobody has asked for an extra.
    meant = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
    return str(wanted.specifier) if meant and not wanted.specifier.contains(__version__, prereleases=True) else ""
