"""Writing a policy: all of a file or nothing of it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hardening.base import locks, wholefile
from hardening.base.files import Opened
from hardening.errors import LaunchError, ProfileError
from hardening.launch.record import behalf
from hardening.profile import toml_lines
from hardening.profile.layers import parse_layer
from hardening.profile.source import parse_toml
from hardening.profile.source import read as read_profile
from hardening.profile.toml_text import inline, key
from hardening_trust import jsontree, policy, scopes
from hardening_trust.kinds import RequirementsKind
from hardening_trust.requirements import Requirements, dump_all
from hardening_trust.settings import DEFAULT, read
from hardening_trust.settings import TrustSettings as Settings

_TABLE = "trust"


def replace(path: Path, text: str) -> None:
    """Put ``text`` into a file, all of it or nothing, with the rights of who has called. A link stays one, and the file
    keeps its mode. Raises `LaunchError`; then the file is as it was."""
    hint = "nothing was changed; check its directory"
    room = "nothing was changed; free space on that disk"
    with wholefile.errors_as(LaunchError, "cannot be written", origin=path, hint=hint, room=room):
        behalf.save(str(path), text.encode())


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """While a file is read and replaced: nobody else does the same, so that the statements of both are in it."""
    try:
        folder = locks.lock(os.path.dirname(os.path.realpath(path)))
    except OSError:  # `replace` will say why
        yield
        return
    with Opened(folder):
        yield


def into_policy(path: Path, transport: str, scope: str, requirements: Requirements) -> str:
    """The text of a policy.json with one scope set; ``transport`` is empty for the default. A file that is not there begins
    with a default that rejects. Raises `ProfileError` for one that is malformed."""
    data: dict[str, Any] = {DEFAULT: [{"type": "reject"}]}
    if os.path.lexists(path):
        found = jsontree.document(wholefile.read_trusted(path, "the policy", policy.MAX_BYTES, hint="look at it"), path)
        policy.parse(found)
        data = json.loads(found.text)
    if transport:
        data.setdefault("transports", {}).setdefault(transport, {})[scope] = dump_all(requirements)
    else:
        data[DEFAULT] = dump_all(requirements)
    text = json.dumps(data, indent=4, ensure_ascii=False) + "\n"
    policy.parse(jsontree.document(text.encode(), path))
    return text


def into_profile(path: Path, transport: str, scope: str, requirements: Requirements) -> str:
    """The text of a profile with one scope set; everything else of it stays as it is written. Raises `ProfileError` for a
    profile that is malformed, and for a statement of several lines in the place of the new one."""
    before = read_profile(path, path.stem).text if os.path.lexists(path) else ""
    value = RequirementsKind().dump(requirements)
    keys = (_TABLE, transport, scope) if transport else (_TABLE, DEFAULT)
    wanted = _with(tomllib.loads(before), keys, value)
    for text in _candidates(before, keys, inline(value)):
        try:
            same = parse_toml(text) == wanted
        except (ValueError, RecursionError):
            continue
        if same:
            require_read(text, path)
            return text
    line = toml_lines.key_lines(before).get(keys) or 1
    raise ProfileError(
        f"{'.'.join(keys)} is not written in a line of its own, and is left as it is",
        origin=f"{path}:{line}",
        hint=f"change it there by hand, to {inline(value)}",
    )


def _with(data: dict[str, Any], keys: tuple[str, ...], value: object) -> dict[str, Any]:
    table = data
    for name in keys[:-1]:
        table = table.setdefault(name, {})
    table[keys[-1]] = value
    return data


def _candidates(text: str, keys: tuple[str, ...], value: str) -> Iterator[str]:
    """Ways to set a key in TOML text, of which the first that means it is taken."""
    lines = text.splitlines(keepends=True)
    ended = [line if line.endswith("\n") else f"{line}\n" for line in lines]
    said = f"{key(keys[-1])} = {value}\n"
    places = toml_lines.key_lines(text)
    at = places.get(keys)
    if at is not None:
        yield "".join([*ended[: at - 1], said, *ended[at:]])
        yield "".join([*ended[: at - 1], f"{'.'.join(key(part) for part in keys[1:])} = {value}\n", *ended[at:]])
    header = places.get(keys[:-1])
    if header is not None:
        last = max(line for name, line in places.items() if name[: len(keys) - 1] == keys[:-1])
        yield "".join([*ended[:last], said, *ended[last:]])
        yield "".join([*ended[:header], said, *ended[header:]])
    gap = ["\n"] if ended and ended[-1].strip() else []
    yield "".join([*ended, *gap, f"[{'.'.join(key(part) for part in keys[:-1])}]\n", said])


def require_read(text: str, path: Path) -> None:
    """Raise `ProfileError` unless the text is a profile whose `[trust]` can be read."""
    from hardening.mechanism.schema import Schema
    from hardening.profile.source import Document

    places: Mapping[toml_lines.Path, str] = {
        name: f"{path}:{line}" for name, line in toml_lines.key_lines(text).items()
    }
    layer = parse_layer(Document(path.stem, path, parse_toml(text), places, text=text))
    for _ in read(Schema.of(Settings), layer.tables[_TABLE]):
        pass


def target(text: str) -> tuple[str, str]:
    """Transport and scope of what was typed: `docker.io/library`, `oci:/srv/images`, `dir:`, `default`; both are
    empty for the default. A relative path is taken from the working directory, whose links are followed."""
    if text == DEFAULT:
        return "", ""
    transport, colon, rest = text.partition(":")
    if colon and transport in scopes.KNOWN and not rest[:1].isdecimal():
        relative = transport in scopes.OF_PATHS and rest and not rest.startswith("/")
        return transport, os.path.realpath(rest) if relative else rest.removeprefix("//")
    return "docker", text
