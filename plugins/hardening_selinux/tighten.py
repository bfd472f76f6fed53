"""How a foreign configuration is made nowhere looser than the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.fragment import Fragment
from hardening.mechanism.mechanism import Context, Violation
from hardening.mechanism.schema import Leaf
from hardening_selinux.host import SelinuxFacts, process_label
from hardening_selinux.labels import Level
from hardening_selinux.settings import AUTO, SelinuxSettings
from hardening_selinux.spec import LABEL, MOUNT_LABEL, asked_label, level_of, mount_label, put


def tighten(
    settings: SelinuxSettings, document: Mapping[str, Any], context: Context, fragment: Fragment
) -> Iterator[Violation]:
    """Keep a label that the settings would give, a pair of its own included; replace any other."""
    if not settings.enabled or context.lacks("selinux.enabled"):
        return
    facts = context.host.of(SelinuxFacts)
    wanted = process_label(settings, facts)
    asked = asked_label(document, LABEL)
    if asked is not None:
        for name in ("user", "role", "type"):
            if getattr(asked, name) != getattr(wanted, name):
                yield Violation(LABEL, f"{name} {getattr(asked, name)}", getattr(wanted, name), f"selinux.{name}")
    if asked is not None and _is_within(asked.level, settings, facts, context):
        level = asked.level
    else:
        if asked is not None:
            allowed = "a pair of categories" if settings.level == AUTO else settings.level
            yield Violation(LABEL, f"level {asked.level}", allowed, "selinux.level")
        level = level_of(settings, facts, wanted, context, fragment)
    put(settings, facts, wanted.at(level), fragment)
    asked_mount = asked_label(document, MOUNT_LABEL)
    allowed_mount = mount_label(settings, facts, level)
    if asked_mount is not None and asked_mount != allowed_mount:
        yield Violation(MOUNT_LABEL, str(asked_mount), str(allowed_mount), "selinux.mount_label")


def _is_within(level: Level | None, settings: SelinuxSettings, facts: SelinuxFacts, context: Context) -> bool:
    if not facts.mls:
        return level is None
    if settings.level == AUTO:
        # Another engine may give its pair to several: under a limit it is one that was reserved here.
        return level is not None and level.pair is not None and context.limit(Leaf("selinux", "level")) is None
    return level is not None and str(level) == settings.level
