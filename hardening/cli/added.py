"""Subcommands that other packages bring, through the entry-point group ``hardening.commands``: the name is the command's,
the value names a click command. Its module is imported when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import click

from hardening.errors import PluginError
from hardening.plugin.installed import Announced, Brought, brought

GROUP = "hardening.commands"
OWN = "hardening"  # the distribution of the program itself


def installed(taken: Iterable[str], among: Announced | None = None) -> dict[str, Brought]:
    """The entry points by name, sorted; ``taken`` are the names of the program's own commands. Raises `PluginError`, with
    both owners, where two want one name."""
    owners = dict.fromkeys(taken, OWN)
    found: dict[str, Brought] = {}
    for item in sorted(brought(GROUP, among), key=lambda item: (item.name, owner(item))):
        other = owners.setdefault(item.name, owner(item))
        if item.name in found or other != owner(item):
            raise PluginError(
                f'{other} and {owner(item)} both bring the command "{item.name}"',
                hint="uninstall one of them" if other != OWN else f"update or remove {owner(item)}",
            )
        found[item.name] = item
    return found


def owner(item: Brought) -> str:
    """The distribution that an entry point belongs to."""
    return item.distribution or "an unknown package"


def load(item: Brought) -> click.Command:
    """Import a command; raises `PluginError` where it cannot be, or is none."""
    from hardening.plugin.plugincalls import aside, describe, fault

    try:
        with aside():
            command = item.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        module = item.value.partition(":")[0].strip()
        raise fault(item, f": its command cannot be imported: {describe(error, module)}") from error
    if not isinstance(command, click.Command):
        raise fault(item, f": its command is {type(command).__name__}, not a click command")
    return command


def summary(item: Brought) -> str:
    """A line about a command, without importing it: what it is for, as far as its source tells that, and who brings it."""
    lines = [_short_help(item), "" if owner(item) == OWN else f"From {owner(item)}."]
    return " ".join(filter(None, lines))


def _short_help(item: Brought) -> str:
    """What click would show of a command: the ``short_help`` of its decorator, or the beginning of its docstring. Empty for
    one that is made in another way."""
    import ast  # nothing but help reads sources

    module, _, name = (part.strip() for part in item.value.partition(":"))
    try:
        body = ast.parse(_source(module)).body
    except (SyntaxError, ValueError, RecursionError):
        return ""
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            calls = [call for call in node.decorator_list if isinstance(call, ast.Call)]
            said = [word.value for call in calls for word in call.keywords if word.arg == "short_help"]
            if said:
                return str(said[0].value) if isinstance(said[0], ast.Constant) else ""
            return click.Command(name, help=ast.get_docstring(node)).get_short_help_str(80)
    return ""


def _source(module: str) -> bytes:
    """The source of a module; empty where `sys.path` has none."""
    parts = module.split(".")
    for place in sys.path:
        for ending in (("__init__.py",), ()):
            path = os.path.join(place or ".", *parts, *ending)
            try:
                with open(path if ending else f"{path}.py", "rb") as file:
                    return file.read()
            except OSError:
                continue
    return b""
