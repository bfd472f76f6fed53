"""Who the caller is to a registry: the files that podman, skopeo and docker log in to (containers-auth.json(5)).

What is read here is never shown: it has no text form, and errors name the file only.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from hardening.base import jsontext, programs, wholefile
from hardening.base.state import LOGINS, logins
from hardening.base.values import frozen
from hardening.base.wholefile import Owner
from hardening.errors import ImageError, LaunchError, ProfileError
from hardening.images.reference import DEFAULT_HOST, Reference

MAX_BYTES = 1 << 20
HELPER_SECONDS = 30
_LEGACY = ("https://index.docker.io/v1/", "index.docker.io")
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_LOGIN = "log in again: podman login, or skopeo login"


@frozen
class Credentials:
    """A name and a password, or a token that a token service takes instead (``identitytoken``)."""

    user: str = attrs.field(repr=False)
    password: str = attrs.field(default="", repr=False)
    token: str = attrs.field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(named: Reference, environment: Mapping[str, str], uid: int) -> Credentials | None:
    """The credentials for a repository: those of the longest name that it begins with, from the first file that has any.
    None where nobody has logged in. Raises `ImageError` for a file that is broken."""
    explicit = LOGINS in environment
    for path in logins(environment, uid):
        document = _read(path, required=explicit)
        found = None if document is None else _of_file(document, path, named)
        if found is not None:
            return found
    return None


def _of_file(document: Mapping[str, Any], path: str, named: Reference) -> Credentials | None:
    helpers = _table(document, "credHelpers", path)
    known = _table(document, "auths", path)
    for key in _keys(named):
        helper = helpers.get(key)
        if isinstance(helper, str):
            return _ask(helper, key, path)
        entry = known.get(key)
        if isinstance(entry, dict):
            found = _decode(entry, path)
            if found is not None:
                return found
    store = document.get("credsStore")
    if isinstance(store, str) and store:
        host = _LEGACY[0] if named.host == DEFAULT_HOST else named.host
        return _ask(store, host, path)
    return None


def _keys(named: Reference) -> Iterator[str]:
    """The names that an entry for a repository may have, the longest first."""
    parts = named.repository.split("/")
    for end in range(len(parts), 0, -1):
        yield "/".join(parts[:end])
    yield from (f"https://{named.host}", f"http://{named.host}")  # which docker has written
    if named.host == DEFAULT_HOST:
        yield from _LEGACY


def _read(path: str, *, required: bool) -> dict[str, Any] | None:
    if not required:
        try:
            os.stat(path)
        except FileNotFoundError:
            return None
        except OSError:
            pass  # which the reading says
    hint = f"correct or unset {LOGINS}" if required else _LOGIN
    owner = Owner.ANY if required else Owner.OWN  # what is named by its path, the caller has chosen
    try:
        # It names programs to start, too.
        data = wholefile.read_trusted(Path(path), "the credentials file", MAX_BYTES, hint=hint, owner=owner)
    except ProfileError as error:
        raise ImageError(error.message, origin=path, hint=error.hint) from None
    try:
        document = jsontext.parse(data, path)
    except LaunchError:
        document = None
    if not isinstance(document, dict):
        # Not even the place of the mistake is told: the parser's words may quote what stands there.
        raise ImageError("is not a credentials file", origin=path, hint=_LOGIN)
    return document


def _table(document: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    found = document.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ImageError(f"`{key}` is not a table", origin=path, hint=_LOGIN)
    return found


def _decode(entry: Mapping[str, Any], path: str) -> Credentials | None:
    token = entry.get("identitytoken")
    token = token if isinstance(token, str) else ""
    _require_text(token, path)
    text = entry.get("auth")
    if not isinstance(text, str) or not text:
        user, password = entry.get("username"), entry.get("password")
        if isinstance(user, str) and isinstance(password, str):
            _require_text(user + password, path)
            return Credentials(user, password, token)
        return Credentials("", token=token) if token else None
    try:
        name, colon, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:  # no base64, or no text
        name = colon = secret = ""
    if not colon:
        raise ImageError("an entry of `auths` cannot be decoded", origin=path, hint=_LOGIN)
    return Credentials(name, secret.rstrip("\0"), token)


def _require_text(text: str, path: str) -> None:
    """Raise `ImageError`, without quoting it, for what cannot be sent: JSON can spell half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ImageError("an entry of `auths` cannot be decoded", origin=path, hint=_LOGIN) from None


def _ask(helper: str, server: str, path: str) -> Credentials | None:
    """Ask ``docker-credential-HELPER get``; None where it has nothing for the server."""
    if not _HELPER.fullmatch(helper):
        raise ImageError("invalid name of a credential helper", origin=path, hint=_LOGIN)
    program = f"docker-credential-{helper}"
    try:
        done = programs.run([program, "get"], server.encode(), HELPER_SECONDS)
    except FileNotFoundError:
        raise ImageError(f"{program} is not installed", origin=path, hint=_LOGIN) from None
    except (OSError, subprocess.TimeoutExpired):
        raise ImageError(f"{program} does not answer", origin=path, hint=_LOGIN) from None
    if done.returncode != 0:
        return None
    try:
        answer: Any = jsontext.parse(done.stdout, program)
        user, password = str(answer["Username"]), str(answer["Secret"])
        (user + password).encode()
    except (LaunchError, ValueError, KeyError, TypeError):
        raise ImageError(f"{program} returned no credentials", origin=path, hint=_LOGIN) from None
    return Credentials("", token=password) if user == "<token>" else Credentials(user, password)
