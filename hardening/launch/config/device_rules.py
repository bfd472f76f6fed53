"""Rules for devices (`/linux/resources/devices`) of the native launcher, which keeps them without a control group.

A device is used through its node. So the rules hold where the command can make no node, where the mounts of the host's files
are `nodev`, and where it can neither change those nor go around them (/proc/PID/root). Besides what the rules permit it has
the devices of every container, as under crun and runc, which permit those after all rules. What cannot be kept is refused.
"""

from __future__ import annotations

from hardening.base.linux import abi
from hardening.launch.config.model import ANY, DEFAULT_DEVICES, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardening.launch.config.model import Configuration
    from hardening.launch.config.reader import ConfigTable, Problem

POINTER = "/linux/resources/devices"
TERMINALS = 136  # the major number of those in a devpts
_PTMX = (5, 2)
_KEEPS = "the native launcher keeps rules for devices without a control group"


def read(resources: ConfigTable) -> tuple[Rule, ...]:
    """The rules, () where they forbid nothing."""
    rules, everything = [], frozenset[str]()
    for entry in resources.tables("devices"):
        kind, access = entry.text("type") or "a", entry.text("access") or "rwm"
        numbers = [entry.integer(key, ANY, 2**32 - 1) for key in ("major", "minor")]
        major, minor = (ANY if number is None else number for number in numbers)
        rule = Rule(
            allow=entry.flag("allow"), kind=kind.replace("u", "c"), major=major, minor=minor, access=frozenset(access)
        )
        entry.done()
        if rule.kind not in ("a", "b", "c"):
            entry.refuse("type", "must be a, b, c or u")
        elif rule.kind == "a" and (major, minor) != (ANY, ANY):
            entry.refuse("type", "must be b, c or u where there are numbers")
        if not rule.access <= set("rwm"):
            entry.refuse("access", "must be some of r, w and m")
        rules.append(rule)
        if not rule.allow:
            everything -= rule.access
        elif rule.kind == "a":
            everything |= rule.access
    return () if everything == set("rwm") else tuple(rules)


def permits(rules: tuple[Rule, ...], kind: str, major: int, minor: int) -> bool:
    """Whether a device can be read and written. What no rule is for is forbidden."""
    if kind == "c" and ((major, minor) in (*DEFAULT_DEVICES.values(), _PTMX) or major == TERMINALS):
        return True
    access = frozenset[str]()
    for rule in rules:
        if rule.covers(kind, major, minor):
            access = access | rule.access if rule.allow else access - rule.access
    return access >= set("rw")


def problems(config: Configuration) -> Iterator[Problem]:
    """(JSON pointer, reason) of what keeps the rules from being kept."""
    sets = config.process.capabilities
    held = sets.bounding | sets.effective | sets.permitted | sets.inheritable | sets.ambient
    if abi.has_capability(held, "CAP_SYS_ADMIN"):
        yield POINTER, f"{_KEEPS}, by its mounts, which CAP_SYS_ADMIN can change"
    if config.namespace("user") is None and abi.has_capability(held, "CAP_MKNOD"):
        yield POINTER, f"{_KEEPS} where no node can be made: in a user namespace, or without CAP_MKNOD"
    if not (config.creates("user") or config.creates("pid")):
        yield POINTER, f"{_KEEPS} where it sees no other processes: in a new user or pid namespace"
    for index, rule in enumerate(config.device_rules):
        forbids = not (rule.allow or rule.is_for_all) and rule.access & set("rw")
        if forbids and any(rule.covers("c", *numbers) for numbers in DEFAULT_DEVICES.values()):
            yield f"{POINTER}/{index}", "the native launcher gives each container the default devices"
    for index, device in enumerate(config.devices):
        if not permits(config.device_rules, device.kind, device.major, device.minor):
            yield f"/linux/devices/{index}", f"{POINTER} does not permit to read and write it"
    at_dev = config.at_dev()
    if config.devices_in_root() or (at_dev is not None and at_dev.kind == "bind"):
        yield POINTER, f"{_KEEPS} where /dev is a new file system"
