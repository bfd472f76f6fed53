"""Stacks of shipped profiles, composed and assembled for whoever calls, root or an ordinary user."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hardening.assemble import pipeline
from hardening.cli.session import Request, Session
from hardening.compose.composition import Composition, compose
from hardening.mechanism.host import Host
from hardening.plugin.plugins import Plugins
from hardening.profile.layers import SUFFIX, TEST_SUFFIX
from tests.support import runs
from tests.support.users import REPOSITORY, User

#: The files of the profiles, without those of assertions beside them.
FILES = tuple(
    sorted(
        path
        for path in (REPOSITORY / "profiles/hardening_profiles").glob(f"*{SUFFIX}")
        if not path.name.endswith(TEST_SUFFIX)
    )
)


@cache
def here(user: User | None = None) -> tuple[Plugins, Host]:
    """The installed plugins, and what they know of this host for a caller."""
    plugins = runs.installed()
    return plugins, runs.host_of(user, plugins)


def composed(profiles: Sequence[str], user: User | None = None) -> Composition:
    """A stack of profiles, by name or path."""
    plugins, host = here(user)
    session = Session(plugins)
    return compose(session.stack(Request(tuple(profiles))), plugins.mechanisms, host, session.today)


def assembled(
    profiles: Sequence[str], command: Sequence[str], folder: Path, user: User | None = None
) -> pipeline.Assembly:
    """The assembly for a command under a stack; its bundle belongs at ``folder / "bundle"``."""
    plugins, host = here(user)
    return pipeline.assembled(plugins, composed(profiles, user), host, command, bundle=folder / "bundle")


def layer(folder: Path, name: str, text: str) -> str:
    """Write a layer and return its path, as ``-p`` takes it."""
    path = folder / f"{name}.toml"
    path.write_text(text)
    path.chmod(0o644)
    return str(path)
