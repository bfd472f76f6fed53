"""What a shell may put in the place of what was typed of a setting, an image, a plugin or a rule."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from hardening.cli.session import session
from hardening.compose.rules import RuleRegistry
from hardening.errors import HardeningError
from hardening.mechanism.mechanism import Mechanism
from hardening.mechanism.schema import Family
from hardening.plugin import plugins
from hardening.plugin.installed import brought


def complete_setting(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tables and settings that begin with what was typed."""
    try:
        mechanisms = session(ctx).plugins.mechanisms
    except HardeningError:
        return []
    known = {item.name: item.summary for item in mechanisms}
    known |= {
        str(item.leaf(name)): setting.help
        for item in mechanisms
        for name, setting in item.schema.settings.items()
        if name
    }
    table, dot, _ = incomplete.partition(".")
    for item in mechanisms:
        if dot and item.name == table:
            known = dict.fromkeys(_members(item), "") | known
    return [CompletionItem(name, help=known[name]) for name in sorted(known) if name.startswith(incomplete)]


def _members(mechanism: Mechanism[Any]) -> list[str]:
    """The leaves of the families of a mechanism, of each member that it names by itself."""
    families = (item for item in mechanism.schema.settings.values() if isinstance(item, Family))
    return [str(mechanism.leaf(family.name, member)) for family in families for member in family.default]


def complete_member(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What may be in the list that an option of a mechanism adds to, or takes from."""
    family = getattr(parameter, "family", None)
    names = sorted(family.default) if isinstance(family, Family) and family.listed else []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_image(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The images of the caller's store whose names begin with what was typed; the rest of a path is the shell's."""
    from hardening.cli import fetching

    with suppress(HardeningError, OSError):
        store = fetching.existing_store()
        names = [record.name for record in store.records()] if store is not None else []
        found = [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]
    return []


def complete_plugin(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The plugins that begin with what was typed."""
    found = brought(plugins.GROUP, session(ctx).announced)
    return [CompletionItem(item.name) for item in found if item.name.startswith(incomplete)]


def complete_rule(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The rules whose ids, or whole names, begin with what was typed."""
    with suppress(HardeningError):
        rules = RuleRegistry(session(ctx).plugins.mechanisms)
        words = [(word, name) for ident, name in rules.names.items() for word in (ident, name)]
        return [
            CompletionItem(word, help=rules.described(name).summary)
            for word, name in words
            if word.startswith(incomplete)
        ]
    return []


def complete_command(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """An image before `--`, and after it a file."""
    if "--" in os.environ.get("COMP_WORDS", "").split():
        return [CompletionItem(incomplete, type="file")]
    return complete_image(ctx, parameter, incomplete)
