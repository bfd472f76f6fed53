"""The labels of the OCI configuration: ``process.selinuxLabel`` and ``linux.mountLabel`` (runtime-spec, config.md), the
lease of the MCS pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardening.base import state
from hardening.base.pointer import lookup
from hardening.errors import SpecError
from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context
from hardening_selinux.host import SelinuxFacts, file_label, process_label
from hardening_selinux.labels import CATEGORIES, Label, Level, Point
from hardening_selinux.relabel import relabel, wanted_volumes
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
    level = level_of(settings, facts, label, context, fragment)
    put(settings, facts, label.at(level), fragment)


def prepare(settings: SelinuxSettings, context: Context, document: Mapping[str, Any]) -> None:
    """Relabel volumes: `Z` to the level in the document, `z` to the one that all containers share.

    Raises `ProfileError` for a place that must not be relabelled, `HostError` where the kernel refuses.
    """
    label = asked_label(document, LABEL)
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


def level_of(
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


def put(settings: SelinuxSettings, facts: SelinuxFacts, label: Label, fragment: Fragment) -> None:
    """Put both labels."""
    fragment.put(LABEL, str(label), *_PROCESS_LEAVES)
    fragment.put(MOUNT_LABEL, str(mount_label(settings, facts, label.level)), "selinux.mount_label", "selinux.level")


def mount_label(settings: SelinuxSettings, facts: SelinuxFacts, level: Level | None) -> Label:
    """The label of the container's own file systems, for a process at ``level``."""
    label = file_label(settings, facts)
    if settings.mount_label not in (AUTO, READ_ONLY) and facts.mls:
        return label
    return label.at(_file_level(level, ""))


def asked_label(document: Mapping[str, Any], pointer: str) -> Label | None:
    """The label that a configuration has at a pointer; raises `SpecError` for what is none."""
    raw = lookup(document, pointer)
    if not raw:
        return None
    try:
        return Label.parse(raw)
    except ValueError as error:
        raise SpecError(str(error), origin=pointer) from None
