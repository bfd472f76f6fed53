"""Profiles in the docker/containers format, resolved to entries for one machine and one set of capabilities.

Sources: moby ``profiles/seccomp``, containers/common ``pkg/seccomp`` (``seccomp.json(5)``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from hardening.base import jsontext, wholefile
from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import LaunchError, ProfileError
from hardening_seccomp.actions import Action, ActionKind, errno_number
from hardening_seccomp.conditions import ConditionEntry, is_ambiguous, rule_of
from hardening_seccomp.filters import Filter
from hardening_seccomp.oci import (
    ARCHITECTURES,
    FLAGS,
    INSTEAD,
    NO_LISTENER,
    OF_LISTENERS,
    emit,
    oci_architecture,
    read_action,
    read_cases,
    read_names,
)

MAX_BYTES = 1 << 20
_TOP = (
    "defaultAction",
    "defaultErrnoRet",
    "defaultErrno",
    "archMap",
    "architectures",
    "flags",
    "listenerPath",
    "listenerMetadata",
    "syscalls",
)
_RULE = ("name", "names", "action", "args", "includes", "excludes", "errnoRet", "errno")
_ARGUMENT = ("index", "value", "valueTwo", "op")
_COMMENTS = ("comment", "description")
#: Names of architectures in ``includes.arches``, as Go and libseccomp-golang write them.
_GO_NAMES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "loongarch64": "loong64",
    "mipsel": "mipsle",
    "mipsel64": "mips64le",
}


@frozen
class DockerTarget:
    """What a profile is resolved for: ``architecture`` as libseccomp names it, ``capabilities`` with their CAP_ prefix
    (those of the bounding set), the kernel's (major, minor)."""

    architecture: str
    capabilities: frozenset[str]
    kernel: tuple[int, int]


@frozen
class DockerProfile:
    """A resolved profile; ``architectures`` are the further ones that it allows, ``flags`` stand as they are written;
    ``digest`` is the SHA-256 of the file, at ``path``, that it was read from."""

    default: Action
    entries: tuple[tuple[str, ConditionEntry], ...]
    architectures: frozenset[str]
    flags: tuple[str, ...]
    digest: str = ""
    path: Path | None = None

    @property
    def by_call(self) -> Mapping[str, Sequence[ConditionEntry]]:
        """The entries of each system call."""
        listed: dict[str, list[ConditionEntry]] = {}
        for name, entry in self.entries:
            listed.setdefault(name, []).append(entry)
        return listed

    @property
    def ambiguous(self) -> Sequence[str]:
        """The system calls with overlapping entries of different actions."""
        return [name for name, found in self.by_call.items() if is_ambiguous(found)]


#: Where podman's own profile is (containers/common, pkg/seccomp); docker has its own built in, which permits less.
_DEFAULTS = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))


def composed(profile: str | None, target: DockerTarget) -> Mapping[str, Any] | None:
    """The `/linux/seccomp` of a profile, by its text or absolute path, or of None that of `_DEFAULTS`; None where there is
    none. Raises `ProfileError`."""
    if profile is not None and profile.lstrip().startswith("{"):
        found = parse(profile.encode(), target, origin="the seccomp profile")
    else:
        path = Path(profile) if profile is not None else next(filter(Path.exists, _DEFAULTS), None)
        if path is None:
            return None
        found = read_file(path, target)
    rules = {name: rule_of(entries, found.default) for name, entries in found.by_call.items()}
    return emit(Filter(found.default, rules, found.architectures | {target.architecture})).document


def read_file(path: Path, target: DockerTarget, *, origin: object | None = None) -> DockerProfile:
    """Read and resolve a file; `ProfileError` where it is missing, too large, malformed, or where others could have written
    or replaced it."""
    hint = "check the path, which begins at the folder of the TOML profile, and its permissions"
    try:
        data = wholefile.read_trusted(path, f"the seccomp profile {path}", MAX_BYTES, hint=hint)
    except ProfileError as error:
        raise ProfileError(error.message, origin=origin or path, hint=error.hint) from None
    return attrs.evolve(parse(data, target, origin=path), digest=hashlib.sha256(data).hexdigest(), path=path)


def parse(data: bytes, target: DockerTarget, *, origin: object | None = None) -> DockerProfile:
    """Resolve the JSON text of a profile. Raises `ProfileError`: not JSON, unknown or repeated keys, wrong values."""
    try:
        raw = jsontext.parse(data, str(origin or "the profile"))
    except LaunchError as error:
        raise ProfileError(f"not a seccomp profile: {error.message}", origin=error.origin) from None
    top = _object(raw, _TOP, "", origin)
    for key in ("listenerPath", "listenerMetadata"):
        if top.get(key):
            raise ProfileError(f"/{key}: {NO_LISTENER}", origin=origin, hint=INSTEAD)
    default = _action(top.get("defaultAction"), top.get("defaultErrno"), top.get("defaultErrnoRet"), "", origin)
    entries: list[tuple[str, ConditionEntry]] = []
    for index, item in enumerate(_array(top.get("syscalls"), "/syscalls", origin)):
        place = f"/syscalls/{index}"
        rule = _object(item, _RULE, place, origin)
        if _applies(rule, target, place, origin):
            entries += _entries(rule, place, origin)
        else:
            _entries(rule, place, origin)  # checked all the same
    return DockerProfile(default, tuple(entries), _architectures(top, target, origin), _flags(top, origin))


def _object(value: object, keys: Sequence[str], place: str, origin: object | None) -> Mapping[str, Any]:
    """Its known members. As encoding/json of Go reads them for docker and podman, their keys are written in any case."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProfileError(f"{place or 'the profile'} is not an object", origin=origin)
    known = {key.lower(): key for key in keys}
    found: dict[str, Any] = {}
    for written, item in value.items():
        if written.startswith("_") or written.lower() in _COMMENTS:
            continue
        key = known.get(written.lower())
        if key is None:
            meant = nearest(written, keys) or f"known keys: {', '.join(keys)}."
            hint = f"{meant} Docker and podman pass over others: remove it, or begin it with _ where it is a comment"
            raise ProfileError(f"{place}/{written[:200]}: unknown key", origin=origin, hint=hint)
        if key in found:
            raise ProfileError(f"{place}/{written}: repeats {key}", origin=origin, hint="remove one of them")
        found[key] = item
    return found


def _array(value: object, place: str, origin: object | None) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ProfileError(f"{place} is not an array", origin=origin)
    return value


def _strings(value: object, place: str, origin: object | None) -> Sequence[str]:
    items = _array(value, place, origin)
    if not all(isinstance(item, str) for item in items):
        raise ProfileError(f"{place} is not an array of strings", origin=origin)
    return items


def _action(name: object, word: object, number: object, place: str, origin: object | None) -> Action:
    """An action; the errno's name, which containers write, goes before its number, which differs by architecture."""
    named = word not in (None, "")
    action = read_action(
        name, None if named and number == 0 else number, origin, f"{place}/action" if place else "/defaultAction"
    )
    if not named or action.kind is not ActionKind.ERRNO:
        return action
    key = f"{place}/errno" if place else "/defaultErrno"
    if not isinstance(word, str):
        raise ProfileError(f"{key} is not a string", origin=origin)
    try:
        return Action(ActionKind.ERRNO, errno_number(word))
    except ProfileError as error:
        raise ProfileError(f"{key}: {error.message}", origin=origin, hint=error.hint) from None


def _entries(rule: Mapping[str, Any], place: str, origin: object | None) -> Iterable[tuple[str, ConditionEntry]]:
    if bool(rule.get("name")) == bool(rule.get("names")):
        raise ProfileError(f"{place} needs either name or names", origin=origin)
    names = rule.get("names") or [rule["name"]]
    action = _action(rule.get("action"), rule.get("errno"), rule.get("errnoRet"), place, origin)
    tests = _array(rule.get("args"), f"{place}/args", origin)
    tests = [_object(test, _ARGUMENT, f"{place}/args/{index}", origin) for index, test in enumerate(tests)]
    cases = read_cases(tests, origin, f"{place}/args")
    return [
        (name, ConditionEntry(action, case)) for name in read_names(names, origin, f"{place}/names") for case in cases
    ]


def _applies(rule: Mapping[str, Any], target: DockerTarget, place: str, origin: object | None) -> bool:
    keys = ("caps", "arches", "minKernel")
    includes = _object(rule.get("includes"), keys, f"{place}/includes", origin)
    excludes = _object(rule.get("excludes"), keys, f"{place}/excludes", origin)
    native = go_name(target.architecture)
    if native in _strings(excludes.get("arches"), f"{place}/excludes/arches", origin):
        return False
    if target.capabilities.intersection(_strings(excludes.get("caps"), f"{place}/excludes/caps", origin)):
        return False
    if excludes.get("minKernel") and _reached(excludes["minKernel"], target, f"{place}/excludes", origin):
        return False
    arches = _strings(includes.get("arches"), f"{place}/includes/arches", origin)
    if arches and native not in arches:
        return False
    if not target.capabilities.issuperset(_strings(includes.get("caps"), f"{place}/includes/caps", origin)):
        return False
    return not includes.get("minKernel") or _reached(includes["minKernel"], target, f"{place}/includes", origin)


def _reached(version: object, target: DockerTarget, place: str, origin: object | None) -> bool:
    match = re.fullmatch(r"(\d{1,5})\.(\d{1,5})(\.\d{1,5})?", version) if isinstance(version, str) else None
    if match is None:
        raise ProfileError(f"{place}/minKernel {version!r} is not a kernel version such as 4.8", origin=origin)
    return target.kernel >= (int(match[1]), int(match[2]))


def go_name(architecture: str) -> str:
    """The name that the format uses for an architecture."""
    return _GO_NAMES.get(architecture, architecture)


def _architectures(top: Mapping[str, Any], target: DockerTarget, origin: object | None) -> frozenset[str]:
    mapped = _array(top.get("archMap"), "/archMap", origin)
    listed = _strings(top.get("architectures"), "/architectures", origin)
    if mapped and listed:
        raise ProfileError("archMap and architectures exclude each other", origin=origin, hint="remove one of them")
    seen = set[object]()
    for index, item in enumerate(mapped):
        entry = _object(item, ("architecture", "subArchitectures"), f"/archMap/{index}", origin)
        below = _strings(entry.get("subArchitectures"), f"/archMap/{index}/subArchitectures", origin)
        names = _known([str(entry.get("architecture")), *below], origin)
        if entry.get("architecture") in seen:
            hint = "docker and podman take the first: leave one of them"
            raise ProfileError(f"/archMap/{index} repeats an architecture", origin=origin, hint=hint)
        seen.add(entry.get("architecture"))
        if entry.get("architecture") == oci_architecture(target.architecture):
            listed = [oci_architecture(name) for name in names]
    return frozenset(_known(listed, origin)) - {target.architecture}


def _known(names: Sequence[str], origin: object | None) -> list[str]:
    known = {oci_architecture(name): name for name in ARCHITECTURES}
    for name in names:
        if name not in known:
            raise ProfileError(f"unknown architecture {name!r}", origin=origin)
    return [known[name] for name in names]


def _flags(top: Mapping[str, Any], origin: object | None) -> tuple[str, ...]:
    names = tuple(_strings(top.get("flags"), "/flags", origin))
    known = (*FLAGS.values(), OF_LISTENERS)
    for index, name in enumerate(names):
        if name not in known:
            raise ProfileError(
                f"/flags/{index}: unknown flag {name!r}", origin=origin, hint="known: " + ", ".join(known)
            )
    return names
