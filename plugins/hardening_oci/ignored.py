"""What crun and runc leave out of a configuration without a word; each entry was seen with an installed version.

A runtime may refuse a field by itself: that stops the launch, and is no business of this module, except where its words
would leave the user without a remedy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.assemble.program import HINT
from hardening.base.linux import abi
from hardening.base.pointer import escape
from hardening.errors import LaunchError
from hardening.launch.config.config import INTERPRETED_ANNOTATIONS
from hardening.launch.config.config_mounts import ACCESS_TIMES, ATTRIBUTES, OPPOSITES, PROPAGATION, is_bind
from hardening.launch.config.config_process import MAX_ID
from hardening.launch.secret import secrets
from hardening.mechanism.host import Host
from hardening.mechanism.roles import SystemCalls
from hardening.mechanism.runtime import Refusal

# Options of bind mounts that a runtime drops although it knows their neighbours.
OPTIONS: Mapping[str, frozenset[str]] = {
    "crun": frozenset({"nosymfollow", "symfollow", "rnosymfollow", "rsymfollow"}),
    "runc": frozenset(),
}


def refusals(name: str, version: tuple[int, ...], document: Mapping[str, Any], host: Host) -> Iterator[Refusal]:
    """Every value in a field of a configuration that runtime ``name`` reads and would ignore all the same on this host; the
    fields that it does not read stand in its class."""
    yield from _version(name, document)
    yield from _annotations(name, document)
    yield from _capabilities(name, document)
    yield from _mounts(name, version, document)
    yield from _linux(name, version, document)
    yield from _resources(name, document, host.uid)
    yield from _groups(name, document, host.uid)
    yield from _unmapped_root(name, document)
    yield from _syscalls(name, document, host)
    yield from _secrets(name, document)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _get(document: Any, pointer: str) -> Any:
    for key in pointer.split("/")[1:]:
        if not isinstance(document, Mapping) or key not in document:
            return None
        document = document[key]
    return document


def _items(document: Any, pointer: str) -> list[Any]:
    found = _get(document, pointer)
    return found if isinstance(found, list) else []


def _version(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    version = document.get("ociVersion")
    if not isinstance(version, str) or not version.startswith("1."):
        yield Refusal("/ociVersion", f"must be 1.x: {name} would not look at it", "write the version of the spec used")


def _annotations(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    """Instructions beside the specification: one of crun's replaces the seccomp filter, others choose another handler."""
    annotations = document.get("annotations")
    for key in annotations if isinstance(annotations, Mapping) else ():
        if isinstance(key, str) and key.startswith(INTERPRETED_ANNOTATIONS):
            reason = f"{name} may follow this annotation, which changes what runs and is in no field of the spec"
            yield Refusal(f"/annotations/{escape(key)}", reason, "leave the annotation out")


def _secrets(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    """Secrets as variables: the launcher can mount files in a container that the runtime has created, but the command's
    environment is what the runtime reads in `config.json`."""
    try:
        found = secrets.named(document)
    except LaunchError as error:
        yield Refusal(secrets.POINTER, error.message, "leave the annotation out")
        return
    for secret in found:
        if secret.kind == secrets.ENV:
            reason = f"{name} has variables from config.json alone, which lies on a disk, so {secret.name} can be none"
            yield Refusal(secrets.POINTER, reason, "give the secret as a file, or use --runtime native")


def _capabilities(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    sets = {
        key: set(_items(document, f"/process/capabilities/{key}")) for key in ("permitted", "inheritable", "ambient")
    }
    for key in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        for index, capability in enumerate(_items(document, f"/process/capabilities/{key}")):
            pointer = f"/process/capabilities/{key}/{index}"
            if capability not in abi.CAPABILITIES:
                yield Refusal(pointer, f"unknown capability {capability!r}: {name} would ignore it")
            elif key == "ambient" and capability not in sets["permitted"] & sets["inheritable"]:
                reason = f"{capability} is not permitted and inheritable: {name} would ignore that it cannot be raised"
                yield Refusal(pointer, reason)


def _mounts(name: str, version: tuple[int, ...], document: Mapping[str, Any]) -> Iterator[Refusal]:
    for index, mount in enumerate(_items(document, "/mounts")):
        if not isinstance(mount, Mapping):
            continue
        destination = mount.get("destination")
        if isinstance(destination, str) and os.path.normpath(f"/{destination.lstrip('/')}") == "/":
            yield Refusal(f"/mounts/{index}/destination", "resolves to the root itself, which the mount would cover")
        options = [option for option in _items(mount, "/options") if isinstance(option, str)]
        for number, option in enumerate(options if is_bind(mount.get("type"), options) else ()):
            if option in OPTIONS[name] or not is_bind_option(option):
                yield Refusal(f"/mounts/{index}/options/{number}", f"{name} ignores the option {option!r}", HINT)
        for key in ("uidMappings", "gidMappings"):
            if name == "runc" and version < (1, 2) and mount.get(key):
                yield Refusal(f"/mounts/{index}/{key}", f"runc {_dotted(version)} does not map ids of mounts", HINT)


def is_bind_option(option: str) -> bool:
    """Whether a runtime has heard of an option for bind mounts."""
    known = {*ATTRIBUTES, *OPPOSITES, *ACCESS_TIMES, *PROPAGATION, "bind", "defaults", "idmap"}
    return option in known or (option.startswith("r") and option[1:] in known)


def _linux(name: str, version: tuple[int, ...], document: Mapping[str, Any]) -> Iterator[Refusal]:
    propagation = _get(document, "/linux/rootfsPropagation")
    if propagation and str(propagation).removeprefix("r") not in PROPAGATION:
        yield Refusal("/linux/rootfsPropagation", f"{name} ignores {propagation!r}", HINT)
    elif name == "runc" and propagation in ("shared", "rshared"):
        yield Refusal("/linux/rootfsPropagation", "runc leaves the root private all the same", HINT)
    for index, entry in enumerate(_items(document, "/linux/namespaces")):
        if name == "runc" and version < (1, 2) and _get(entry, "/type") == "time":
            hint = 'write time = "host" in [namespaces], or use --runtime native or crun'
            yield Refusal(f"/linux/namespaces/{index}", f"runc {_dotted(version)} knows no time namespace", hint)
    for key in ("maskedPaths", "readonlyPaths"):
        for index, path in enumerate(_items(document, f"/linux/{key}")):
            if isinstance(path, str) and "*" in path:
                reason = f"{name} takes the pattern for a path that does not exist"
                yield Refusal(f"/linux/{key}/{index}", reason, "list the paths that it matches")
    if name == "crun" and _get(document, "/linux/mountLabel") and not os.path.exists("/sys/fs/selinux/enforce"):
        yield Refusal("/linux/mountLabel", "SELinux is not enabled on this host, and crun ignores the label", HINT)


def _resources(name: str, document: Mapping[str, Any], uid: int) -> Iterator[Refusal]:
    resources = _get(document, "/linux/resources")
    if uid == 0 or not isinstance(resources, Mapping):
        return
    for key in resources:
        if key == "devices" and not _items(resources, "/devices"):
            continue
        # crun makes no cgroup for an ordinary user without a path, and says nothing; neither sets device rules.
        if key == "devices" or (name == "crun" and not _get(document, "/linux/cgroupsPath")):
            hint = "name a delegated cgroup in /linux/cgroupsPath, or run as root" if key != "devices" else HINT
            yield Refusal(f"/linux/resources/{escape(key)}", f"{name} ignores it for an ordinary user", hint)


def _groups(name: str, document: Mapping[str, Any], uid: int) -> Iterator[Refusal]:
    pointer, maps = "/process/user/additionalGids", _items(document, "/linux/gidMappings")
    one_id = len(maps) == 1 and isinstance(maps[0], Mapping) and maps[0].get("size") == 1
    if not _items(document, pointer):
        return
    for index, gid in enumerate(_items(document, pointer)):
        if isinstance(gid, int) and not 0 <= gid <= MAX_ID:
            yield Refusal(f"{pointer}/{index}", f"{name} ignores what is not a group id", HINT)
    if name == "crun" and one_id:
        yield Refusal(pointer, "crun ignores them where one id only is mapped", HINT)
    if name == "runc" and uid != 0:
        reason = "runc gives no groups to the command of an ordinary user"
        yield Refusal(pointer, reason, "leave them out, or use --runtime native or crun")


def _unmapped_root(name: str, document: Mapping[str, Any]) -> Iterator[Refusal]:
    """runc sets a container up as the root of its user namespace, which must exist."""
    for pointer in ("/linux/uidMappings", "/linux/gidMappings") if name == "runc" else ():
        maps = _items(document, pointer)
        if maps and all(_get(entry, "/containerID") != 0 for entry in maps):
            hint = "use --runtime native or crun, or map id 0"
            yield Refusal(pointer, "runc needs id 0 in a user namespace, and it is not mapped", hint)


def joined(name: str, document: Mapping[str, Any], host: Host) -> Iterator[Refusal]:
    """Namespaces that these programs cannot join for an ordinary user, who may do so only from inside of the user namespace
    that owns them (setns(2)): crun enters a pid namespace before that one, and runc fails in that one."""
    entries = enumerate(_items(document, "/linux/namespaces"))
    paths = {_get(entry, "/type"): number for number, entry in entries if _get(entry, "/path")}
    kind = "user" if name == "runc" else "pid"
    if host.root or "user" not in paths or kind not in paths:
        return
    reason = f"{name} cannot join a {kind} namespace for an ordinary user"
    reason += " from inside of the user namespace that owns it" if kind != "user" else ""
    also = "" if name == "crun" else " or, without a pid namespace, crun"
    yield Refusal(f"/linux/namespaces/{paths[kind]}/path", reason, f"use --runtime native{also}")


def kept_groups(name: str, document: Mapping[str, Any], host: Host) -> Iterator[Refusal]:
    """The caller's groups that the command would keep: runc does not call setgroups(2) for an ordinary user. With one id
    nobody may, and then it is no matter of the runtime."""
    sizes = [_get(entry, "/size") for entry in _items(document, "/linux/gidMappings")]
    mapped = sum(size for size in sizes if isinstance(size, int))
    others = [str(gid) for gid in host.groups if gid != host.gid]
    if name == "runc" and not host.root and mapped > 1 and others:
        reason = f"runc would not drop the caller's groups {', '.join(others)}"
        yield Refusal(
            "/process/user", reason, "use --runtime native or crun, or call it without these groups (newgrp(1))"
        )


def _syscalls(name: str, document: Mapping[str, Any], host: Host) -> Iterator[Refusal]:
    entries = _items(document, "/linux/seccomp/syscalls")
    if not entries:
        return
    calls = host.find(SystemCalls)
    if calls is None or calls.problem:
        why = calls.problem if calls is not None else "nothing here knows the names of system calls"
        hint = "install libseccomp 2.5 or newer"
        yield Refusal("/linux/seccomp/syscalls", f"{name} may ignore unknown names: {why}", hint)
        return
    for index, entry in enumerate(entries):
        for number, syscall in enumerate(_items(entry, "/names")):
            if isinstance(syscall, str) and not calls.resolves(syscall):
                pointer = f"/linux/seccomp/syscalls/{index}/names/{number}"
                yield Refusal(
                    pointer,
                    f"libseccomp knows no system call {syscall!r}: {name} would ignore the rule",
                    "use --runtime native, whose program knows calls by their numbers, or update libseccomp"
                    if calls.is_young(syscall)
                    else "",
                )
