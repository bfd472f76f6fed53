"""The labels of the OCI configuration: ``process.selinuxLabel`` and ``linux.mountLabel`` (runtime-spec, config.md), the
lease of the MCS pair, and which volumes are relabelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hardening.base import state
from hardening.base.pointer import lookup
from hardening.errors import ProfileError, SpecError
from hardening.mechanism import inputs as look
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.mechanism import Context, Excess
from hardening.mechanism.roles import RootDirectory, Volume
from hardening.mechanism.schema import Leaf
from hardening_selinux import contexts
from hardening_selinux.host import SelinuxFacts, file_label, process_label
from hardening_selinux.labels import CATEGORIES, Label, Level, Point
from hardening_selinux.relabel import relabel, require_own_place
from hardening_selinux.settings import AUTO, READ_ONLY, SelinuxSettings

LABEL = "/process/selinuxLabel"
MOUNT_LABEL = "/linux/mountLabel"

_PROCESS_LEAVES = tuple(f"selinux.{name}" for name in ("enabled", "user", "role", "type", "level"))


def contribute(settings: SelinuxSettings, context: Context, fragment: Fragment) -> None:
    """Put the labels and reserve the pair; nothing where SELinux is not active.

    Only with a bundle to be written is anything reserved. Raises `ProfileError` for a volume that must not be relabelled,
    `LaunchError` where no pair can be reserved.
    """
    wanted_volumes(settings, context)
    if not settings.enabled or context.lacks("selinux.enabled"):
        return
    facts = context.host.of(SelinuxFacts)
    label = process_label(settings, facts)
    level = _level(settings, facts, label, context, fragment)
    _put(settings, facts, label.at(level), fragment)


def inputs(settings: SelinuxSettings, context: Context) -> Inputs:
    """The state of SELinux, and the policy's files. Volumes are relabelled at every run, for files come to be in them."""
    yield from look.lines("/proc/filesystems", "nodev\tselinuxfs")
    if context.host.of(SelinuxFacts).active:
        facts = context.host.of(SelinuxFacts)
        yield from look.mounts("selinuxfs")
        # The kernel counts in `status` each load of a policy and each change of its mode.
        yield from look.kernel("/proc/self/attr/current", f"{facts.mount}/status", f"{facts.mount}/enforce")
        yield from look.kernel(f"{facts.mount}/policyvers", f"{facts.mount}/mls")
        for path in ("/etc/selinux/config", *contexts.places(Path("/"), facts.policy)):
            yield from look.file(path)
    for volume in wanted_volumes(settings, context):
        yield Unknown(f"rootfs.volumes.{volume.target} is relabelled")


def prepare(settings: SelinuxSettings, context: Context, document: Mapping[str, Any]) -> None:
    """Relabel volumes: `Z` to the level in the document, `z` to the one that all containers share.

    Raises `ProfileError` for a place that must not be relabelled, `HostError` where the kernel refuses.
    """
    label = _asked(document, LABEL)
    if label is None or context.lacks("selinux.enabled"):
        return
    file = context.host.of(SelinuxFacts).contexts.file
    for volume in wanted_volumes(settings, context):
        relabel(Path(volume.source), file.at(_file_level(label.level, volume.relabel)), state.home())


def _file_level(level: Level | None, option: str) -> Level | None:
    """The level of files that a process at ``level`` owns, or with ``z`` shares with every other container."""
    if level is None:
        return None
    point = Point(0) if option == "z" else level.low
    return Level(point, point)


def wanted_volumes(settings: SelinuxSettings, context: Context) -> list[Volume]:
    """The volumes that are to be relabelled; raises `ProfileError` for one beyond ``selinux.relabel``, or in a place that
    must keep its labels."""
    rootfs = context.of(RootDirectory)
    if rootfs is None or not settings.enabled:
        return []
    volumes = [volume for volume in rootfs.mounted_volumes() if volume.relabel]
    permitted = {"never": "", "private": "Z", "shared": "zZ"}[settings.relabel]
    for volume in volumes:
        if volume.relabel not in permitted:
            raise ProfileError(
                f"rootfs.volumes.{volume.target}: the option {volume.relabel} relabels {volume.source} on the host, and "
                f'selinux.relabel is "{settings.relabel}"',
                origin=volume.origin,
                hint='set selinux.relabel = "private" for Z, "shared" for z, or leave the option out',
            )
        require_own_place(Path(volume.source), state.home(), volume.origin)
    return volumes


def _level(
    settings: SelinuxSettings, facts: SelinuxFacts, label: Label, context: Context, fragment: Fragment
) -> Level | None:
    """The level of the process: given, or a pair of its own, for which the lease is put."""
    if not facts.mls:
        return None
    if settings.level != AUTO:
        return Level.parse(settings.level)
    from hardening_selinux import mcs  # only hosts with SELinux need it

    sensitivity = label.level.low.sensitivity if label.level is not None else 0
    categories = _categories(facts)
    if context.bundle is None:
        return Level.of_pair(mcs.choose(categories), sensitivity)
    keeper = context.bundle.absolute() if context.bundle_stays else None
    lease = mcs.reserve(state.directory() / mcs.FOLDER, keeper, categories)
    fragment.lease(lease.path)
    return Level.of_pair(lease.pair, sensitivity)


def _categories(facts: SelinuxFacts) -> Sequence[int]:
    """The categories to choose from: those that the caller's own clearance holds, where it is limited to some."""
    try:
        own = Label.parse(facts.caller).level
    except ValueError:
        own = None
    held = own.high.categories if own is not None else ()
    return held if len(held) >= 2 else range(CATEGORIES)


def _put(settings: SelinuxSettings, facts: SelinuxFacts, label: Label, fragment: Fragment) -> None:
    fragment.put(LABEL, str(label), *_PROCESS_LEAVES)
    fragment.put(MOUNT_LABEL, str(mount_label(settings, facts, label.level)), "selinux.mount_label", "selinux.level")


def mount_label(settings: SelinuxSettings, facts: SelinuxFacts, level: Level | None) -> Label:
    """The label of the container's own file systems, for a process at ``level``."""
    label = file_label(settings, facts)
    if settings.mount_label not in (AUTO, READ_ONLY) and facts.mls:
        return label
    return label.at(_file_level(level, ""))


def tighten(
    settings: SelinuxSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Excess]:
    """Keep a label that the settings would give, a pair of its own included; replace any other."""
    if not settings.enabled or context.lacks("selinux.enabled"):
        return
    facts = context.host.of(SelinuxFacts)
    wanted = process_label(settings, facts)
    asked = _asked(document, LABEL)
    if asked is not None:
        for name in ("user", "role", "type"):
            if getattr(asked, name) != getattr(wanted, name):
                yield Excess(LABEL, f"{name} {getattr(asked, name)}", getattr(wanted, name), f"selinux.{name}")
    if asked is not None and _is_within(asked.level, settings, facts, context):
        level = asked.level
    else:
        if asked is not None:
            allowed = "a pair of categories" if settings.level == AUTO else settings.level
            yield Excess(LABEL, f"level {asked.level}", allowed, "selinux.level")
        level = _level(settings, facts, wanted, context, fragment)
    _put(settings, facts, wanted.at(level), fragment)
    asked_mount = _asked(document, MOUNT_LABEL)
    allowed_mount = mount_label(settings, facts, level)
    if asked_mount is not None and asked_mount != allowed_mount:
        yield Excess(MOUNT_LABEL, str(asked_mount), str(allowed_mount), "selinux.mount_label")


def _asked(document: Mapping[str, Any], pointer: str) -> Label | None:
    raw = lookup(document, pointer)
    if raw is None or raw == "":
        return None
    if not isinstance(raw, str):
        raise SpecError("a security context is expected", origin=pointer)
    try:
        return Label.parse(raw)
    except ValueError as error:
        raise SpecError(str(error), origin=pointer) from None


def _is_within(level: Level | None, settings: SelinuxSettings, facts: SelinuxFacts, context: Context) -> bool:
    if not facts.mls:
        return level is None
    if settings.level == AUTO:
        # Another engine may give its pair to several: under a limit it is one that was reserved here.
        return level is not None and level.pair is not None and context.limit(Leaf("selinux", "level")) is None
    return level is not None and str(level) == settings.level
