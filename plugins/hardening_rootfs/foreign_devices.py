"""The devices of a foreign configuration, and its rules for them, within the devices of the settings."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Violation
from hardening_rootfs.devices import numbers
from hardening_rootfs.foreign_binds import USUAL
from hardening_rootfs.settings import RootfsSettings

_USUAL: Mapping[str, Numbers] = {**USUAL, "/dev/console": ("c", 5, 1), "/dev/ptmx": ("c", 5, 2)}
Numbers = tuple[str, int, int | None]
#: Terminals of the container's own, of any number.
_TERMINALS: Numbers = ("c", 136, None)
_MAKE = "m"  # the right to make a device's node, without which it cannot be opened
Device = dict[str, Any]


def tighten(settings: RootfsSettings, document: Mapping[str, Any], fragment: Fragment) -> Iterator[Violation]:
    """Contribute the devices that stay, and the rules of the device cgroup without those that permit others."""
    linux = document.get("linux") or {}
    devices: list[Device] = []
    for index, device in enumerate(linux.get("devices") or ()):
        kept, violations = _device(settings, device, f"/linux/devices/{index}")
        devices += kept
        yield from violations
    fragment.put("/linux/devices", devices or None, "rootfs.devices")
    rules = (linux.get("resources") or {}).get("devices")
    if rules is None:
        return
    permitted: set[Numbers | None] = {*_USUAL.values(), _TERMINALS, *map(numbers, settings.devices.having(True))}
    kept_rules = []
    for index, rule in enumerate(rules):
        if _is_within(rule, permitted):
            kept_rules.append(rule)
        else:
            yield Violation(f"/linux/resources/devices/{index}", _shown(rule), "none", "rootfs.devices")
    if len(kept_rules) < len(rules):
        fragment.put("/linux/resources/devices", kept_rules, "rootfs.devices")


def _device(settings: RootfsSettings, device: Device, pointer: str) -> tuple[list[Device], list[Violation]]:
    """A device that the settings show stays, with no more rights than the host's own has; each container has the usual
    ones anyway."""
    path = str(device.get("path"))
    found = (str(device.get("type")).replace("u", "c"), device.get("major"), device.get("minor"))
    leaf = f"rootfs.devices.{path}"
    if not settings.devices[path] or found != numbers(path):
        shown = f"{path}: {found[0]} {found[1]}:{found[2]}"
        return [], [] if found == _USUAL.get(path) else [Violation(pointer, shown, "none, or the host's own", leaf)]
    host = os.stat(path)
    allowed = stat.S_IMODE(host.st_mode) & 0o777
    # podman writes the type of the file into its mode.
    mode = device.get("fileMode", 0o666) & 0o777
    asked, own = (mode, device.get("uid", 0), device.get("gid", 0)), (mode & allowed, host.st_uid, host.st_gid)
    if asked == own:
        return [device], []
    kept = {**device, "fileMode": own[0], "uid": own[1], "gid": own[2]}
    return [kept], [Violation(pointer, _rights(path, *asked), _rights(path, *own), leaf)]


def _rights(path: str, mode: int, uid: int, gid: int) -> str:
    return f"{path}: {mode:03o} {uid}:{gid}"


def _is_within(rule: Mapping[str, Any], permitted: set[Numbers | None]) -> bool:
    """Whether a rule forbids, permits a node to be made, or permits one of the given devices."""
    if not rule.get("allow") or rule.get("access") == _MAKE:
        return True
    kind, major, minor = str(rule.get("type")).replace("u", "c"), rule.get("major"), rule.get("minor")
    return (kind, major, minor) in permitted or (kind, major, None) in permitted & {_TERMINALS}


def _shown(rule: Mapping[str, Any]) -> str:
    major, minor = ("*" if rule.get(key) in (None, -1) else rule[key] for key in ("major", "minor"))
    return f"{rule.get('type') or 'a'} {major}:{minor} {rule.get('access') or 'rwm'}"


def permits_all(rules: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rules of a device cgroup, of which the last for a device decides, permit every device to be
    read or written, or every block or character device."""
    general = [rule for rule in rules if {rule.get("major"), rule.get("minor")} <= {None, -1}]
    for kind in "bc":
        last = [rule for rule in general if rule.get("type") in (None, "", "a", kind)][-1:]
        if last and last[0].get("allow") and {*"rw"} & {*(last[0].get("access") or "rwm")}:
            return True
    return False
