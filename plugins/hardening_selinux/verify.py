"""What the kernel says of the labels of a process and its mounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.mechanism import Context, Verification
from hardening_selinux.host import SelinuxFacts, file_label, process_label
from hardening_selinux.labels import Label
from hardening_selinux.settings import AUTO, SelinuxSettings

#: What there is no label without.
_OTHERS = tuple(f"selinux.{name}" for name in ("user", "role", "type", "level", "mount_label"))
_CONTEXT = re.compile(r'- tmpfs .*[ ,](?:root)?context="?[^:,]+:[^:,]+:([^:,"]+)')


def verify(settings: SelinuxSettings, context: Context, receipt: Mapping[str, Any]) -> Iterator[Verification]:
    """Hold the label of the command (``/proc/PID/attr/current``) against the settings."""
    facts = context.host.of(SelinuxFacts)
    if not settings.enabled:
        return
    text = str(receipt["label"] or "").rstrip("\0\n")
    try:
        label = Label.parse(text)
    except ValueError:
        yield Verification.of("selinux.enabled", "a label", f"{text or 'none'}{_why(facts)}", False, *_OTHERS)
        return
    wanted = process_label(settings, facts)
    for name in ("user", "role", "type"):
        expected, found = getattr(wanted, name), getattr(label, name)
        yield Verification.of(f"selinux.{name}", expected, found, expected == found)
    enforce = receipt["enforce"]
    mode = "enforcing" if enforce == 1 else "permissive" if enforce == 0 else "no selinuxfs"
    yield Verification.of("selinux.enabled", "enforcing", mode, enforce == 1)
    if facts.mls or label.level is not None:
        paired = label.level is not None and label.level.pair is not None
        holds = paired if settings.level == AUTO else str(label.level) == settings.level
        expected = "a pair of categories" if settings.level == AUTO else settings.level
        yield Verification.of("selinux.level", expected, str(label.level), holds)
    else:
        yield Verification.unseen("selinux.level", settings.level, "the policy has no levels")
    yield _mount_label(settings, receipt, facts)


def _mount_label(settings: SelinuxSettings, receipt: Mapping[str, Any], facts: SelinuxFacts) -> Verification:
    """The type that file systems in memory were mounted with (mount(8), context=)."""
    wanted = file_label(settings, facts).type
    found = {match[1] for line in receipt["mountinfo"] if (match := _CONTEXT.search(line)) is not None}
    return Verification.of("selinux.mount_label", wanted, ", ".join(sorted(found)) or "none", found == {wanted})


def _why(facts: SelinuxFacts) -> str:
    return "" if facts.active else f" (SELinux is not active: {facts.inactive})"
