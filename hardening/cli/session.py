"""What the commands share: plugins, facts of the host and the search path, each made when it is first needed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import click

from hardening.base.values import frozen
from hardening.cli.added import installed
from hardening.cli.commands import COMMANDS
from hardening.errors import PluginError, ProfileError, quoted
from hardening.plugin.installed import Announced, Brought, everything

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.compose.image_defaults import ImageDefaults
    from hardening.mechanism.host import Host
    from hardening.plugin.plugins import Plugins
    from hardening.profile.layers import Reader, SearchPath, Stack
    from hardening.profile.machine import Machine
    from hardening.profile.source import Document


@frozen(eq=False)
class Request:
    """Which stack a command line asks for: profiles, and the layer that its options form. ``reader`` gives the layers,
    where not all lie where they belong."""

    profiles: tuple[str, ...]
    options: Document | None = None
    reader: Reader | None = None


class Session:
    """One call of the program. Tests give plugins and a search path of their own; of these nothing is stored. ``words`` is
    the command line as it was typed, ``without`` the plugins that it leaves out."""

    words: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    faults: Sequence[PluginError] = ()

    def __init__(self, plugins: Plugins | None = None, search: SearchPath | None = None) -> None:
        self._plugins = plugins
        self._search = search

    @property
    def given(self) -> bool:
        """Whether the plugins are those of a test, and not the installed ones."""
        return self._plugins is not None

    @property
    def stores(self) -> bool:
        """Whether what this call composes may be stored for another."""
        return bool(self.words) and not self.without and self._plugins is None and self._search is None

    @cached_property
    def announced(self) -> Announced:
        """What the installed packages announce."""
        return everything()

    @cached_property
    def plugins(self) -> Plugins:
        """The installed plugins; raises `PluginError`."""
        from hardening.plugin.plugins import load

        return self._plugins if self._plugins is not None else load(self.announced, self.without)

    def leave_out_faulty(self) -> None:
        """Go on with the plugins that can be used; ``faults`` says what is wrong with the others."""
        from hardening.plugin.plugins import usable

        if not self.given:
            self.plugins, self.host, self.faults = usable(self.announced, self.without)

    @cached_property
    def commands(self) -> Mapping[str, Brought]:
        """The subcommands of other packages; raises `PluginError`."""
        return installed(COMMANDS, self.announced)

    @cached_property
    def host(self) -> Host:
        """What this host can do."""
        from hardening.mechanism.host import probe

        return probe(self.plugins.mechanisms)

    @cached_property
    def search(self) -> SearchPath:
        """Where profiles are looked up."""
        from hardening.plugin.plugins import shipped_profiles
        from hardening.profile.layers import SearchPath

        return self._search if self._search is not None else SearchPath.standard(shipped_profiles(self.announced))

    def shipped_places(self, text: str) -> str:
        """A text with ``web.toml:25 (shipped)`` for a line of a shipped profile, where any was looked up."""
        folders = self.search.folders if "search" in vars(self) else ()
        for folder in folders:
            if folder.shipped:
                text = re.sub(rf"{re.escape(str(folder.path))}/([\w-]+\.toml:\d+)", r"\1 (shipped)", text)
        return text

    @cached_property
    def machine(self) -> Machine:
        """What the administrator says to every call; raises `ProfileError`."""
        from hardening.profile.machine import configured

        return configured()

    def stack(self, request: Request) -> Stack:
        """The layers of a request; raises `ProfileError`."""
        from hardening.launch.fingerprints import ABSENT
        from hardening.profile.layers import resolve
        from hardening.profile.machine import ENFORCED, FILE

        for name in request.profiles:
            self._require(name)
        machine = self.machine
        # One that is there is read as a layer, and looked at again as that.
        absent = ((ENFORCED, ABSENT),) if machine.enforced is None else ()
        return resolve(
            request.profiles, self.search, request.options, ((FILE, machine.digest), *absent),
            request.reader, enforced=machine.enforced, signed=machine.signed,
        )  # fmt: skip

    def _require(self, profile: str) -> None:
        """Raise `ProfileError` with what was probably meant where nothing has the name of a profile."""
        from hardening.profile.layers import SUFFIX, is_path

        if profile.endswith(".json") and os.path.isfile(profile):
            from hardening.cli.options.elsewhere import POLICY

            raise ProfileError("no profile: those are TOML", origin=profile, hint=POLICY)
        if (is_path(profile) and ("/" not in profile or os.path.lexists(profile))) or self.search.hits(profile):
            return
        try:
            self.search.find(profile)
        except ProfileError as error:
            if profile in self.machine.default:
                error.origin = self.machine.origin
            from hardening.cli.options.elsewhere import published

            if "/" in profile and not published(profile):
                return
            here = next(
                (path for folder in ("", "profiles/") if os.path.isfile(path := f"{folder}{profile}{SUFFIX}")), ""
            )
            if profile and here:
                error.hint = f"a file of this folder is named by its path: -p {quoted(f'./{here}')}"
            else:
                error.hint = published(profile) or error.hint
            raise

    def compose(self, request: Request, offer: ImageDefaults | None = None) -> Composition:
        """The composition of a request, with what an image offers; raises `ProfileError` or `Problems`."""
        from hardening.compose.implied import compose_here
        from hardening.plugin import plugincalls

        stack, mechanisms, host = self.stack(request), self.plugins.mechanisms, self.host
        with plugincalls.bounded(plugincalls.SECONDS):  # kinds of values are called directly
            return compose_here(stack, mechanisms, host, self.today, offer)

    @property
    def today(self) -> date:
        """The day that decides which exceptions have expired: in UTC, which no variable of the caller's moves."""
        return datetime.now(UTC).date()


def session(context: click.Context) -> Session:
    """The session of a click context."""
    return context.ensure_object(Session)
