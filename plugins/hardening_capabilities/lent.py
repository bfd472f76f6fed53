"""What a file would lend to whoever executes it, and no command gets: no file lends anything where no privileges are gained,
and nothing outside of the bounding set elsewhere (capabilities(7))."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.denial import Cause, FileRights, Size, Way
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import runs_as_root
from hardening_capabilities.settings import ADDED, ROOT, CapabilitiesSettings
from hardening_capabilities.table import ALL


def refused(settings: CapabilitiesSettings, context: Context, rights: FileRights) -> Iterator[Cause]:
    """The leaves that keep a file's rights from whoever executes it: of capabilities that the command has not by itself."""
    is_root = runs_as_root(context)
    held = settings.added if is_root or not settings.no_new_privileges else settings.kept
    for name in (item.name for item in ALL if item.number in rights.capabilities and item.name not in held):
        leaf = f"capabilities.{name}"
        ways = (Way(leaf, ROOT, Size.CAPABILITY),) if is_root else ()
        what = f"its file capability {name} gives nothing: the command has to have it itself"
        yield Cause(leaf, what, (*ways, Way(leaf, ADDED, Size.CAPABILITY)), certain=True)
    if settings.no_new_privileges and rights.set_id:
        leaf = "capabilities.no_new_privileges"
        what = "its set-user-ID or set-group-ID bit gives nothing: no privileges are gained"
        yield Cause(leaf, what, advice="have the command start as the user or group that it changes to", certain=True)
