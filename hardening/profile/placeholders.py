"""Names in braces that stand for the caller's own places and names: ``{cwd}:{cwd}``, ``/srv/{user}``.

They are data: what one stands for is neither split, nor looked up, nor filled in again. Of files alone, for the shell fills
in what is typed.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from hardening.base import state
from hardening.base.text import nearest

#: ``{name}``, and ``{{name}}`` for its text.
_WRITTEN = re.compile(r"\{\{(?P<text>[A-Za-z_]+)\}\}|\{(?P<name>[A-Za-z_]+)\}")
CWD = "cwd"


class NoPlaceholder(ValueError):
    """Text in braces that stands for nothing here; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise NoPlaceholder(f"there is no working directory: {error.strerror}", "`cd` to one that is there") from None


def _home() -> str:
    found = state.home()
    if found is None:
        raise NoPlaceholder("the caller has no home directory", "write the whole path")
    return str(found)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise NoPlaceholder(f"uid {os.getuid()} has no account", "write {uid} for its number") from None


#: What there is, each with what it stands for.
NAMES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {CWD: _cwd, "home": _home, "user": _user, "uid": lambda: str(os.getuid()), "gid": lambda: str(os.getgid())}
)


def elsewhere(written: str) -> str:
    """What to do where a value cannot be that the working directory was filled into; empty for any other."""
    if f"{{{CWD}}}" not in written:
        return ""
    # What lies in /root no profile shows.
    go = "`mkdir -p ~/project && cd ~/project`" if os.getuid() else "`mkdir -p /srv/project && cd /srv/project`"
    return f"{go}, or `cd` to a project that you have: {{{CWD}}} is {_cwd()} here"


def fill(text: str) -> tuple[str, frozenset[str]]:
    """A text with what its placeholders stand for now, and which ones those are. Raises `NoPlaceholder`."""
    used: set[str] = set()

    def one(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return f"{{{found['text']}}}"
        if name not in NAMES:
            braces = [f"{{{known}}}" for known in NAMES]
            near = nearest(name.lower(), NAMES)
            hint = near.replace('"', "{", 1).replace('"', "}", 1) if near else f"there are {', '.join(braces)}"
            raise NoPlaceholder(f"{{{name}}} stands for nothing", f"{hint}; {{{{{name}}}}} is the text itself")
        used.add(name)
        return NAMES[name]()

    return _WRITTEN.sub(one, text), frozenset(used)
