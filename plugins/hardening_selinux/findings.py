"""What is worth saying about the labels, and whether the kernel gave them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hardening.mechanism.findings import Finding, Severity
from hardening.mechanism.mechanism import Context, Verification
from hardening.mechanism.roles import HOST, Isolation
from hardening_selinux.host import SelinuxFacts, file_label, process_label
from hardening_selinux.labels import Label
from hardening_selinux.settings import AUTO, SelinuxSettings
from hardening_selinux.spec import wanted_volumes

#: What each rule finds (`hardening.mechanism.mechanism.Mechanism.rules`).
RULES = {
    "host-namespace": "A namespace of the host that undoes the separation by labels",
    "not-relabelled": "A volume that is not relabelled",
    "off": "A command without a label",
    "shared-level": "A level that several containers share",
    "unconfined": "A type that does not confine",
}

#: What there is no label without.
_OTHERS = tuple(f"selinux.{name}" for name in ("user", "role", "type", "level", "mount_label"))
_CONTEXT = re.compile(r'- tmpfs .*[ ,](?:root)?context="?[^:,]+:[^:,]+:([^:,"]+)')
#: Domains that the usual policies leave alone, or give the power over the host that a runtime or init has.
UNCONFINED = frozenset(
    ("unconfined_t", "unconfined_service_t", "spc_t", "container_runtime_t", "kernel_t", "init_t", "initrc_t")
)


def findings(settings: SelinuxSettings, context: Context) -> Iterator[Finding]:
    """Labels that do not confine, levels that do not separate, and namespaces that undo the separation."""
    facts = context.host.of(SelinuxFacts)
    if not settings.enabled:
        severity = Severity.WARNING if facts.active else Severity.NOTE
        yield Finding("selinux/off", severity, "the command gets no SELinux label", leaf="selinux.enabled")
        return
    if not facts.active:
        for volume in wanted_volumes(settings, context):
            yield Finding(
                "selinux/not-relabelled",
                Severity.NOTE,
                f"{volume.source} is not relabelled: SELinux is not active",
                leaf=f"rootfs.volumes.{volume.target}",
                origin=str(volume.origin or ""),
            )
    label = process_label(settings, facts)
    if label.type in UNCONFINED:
        yield Finding(
            "selinux/unconfined",
            Severity.WARNING,
            f"{label.type} does not confine the command",
            leaf="selinux.type",
            hint='write type = "auto" in [selinux], or a type made for this application (udica writes one)',
        )
    if settings.level != AUTO:
        yield Finding(
            "selinux/shared-level",
            Severity.WARNING,
            f"every container at the level {settings.level} can reach the others' files",
            leaf="selinux.level",
            hint='level = "auto" in [selinux] reserves a pair for each container',
        )
    yield from _joined(context)


def _joined(context: Context) -> Iterator[Finding]:
    isolation = context.of(Isolation)
    if isolation is None:
        return
    for name, what in (("pid", "processes"), ("ipc", "shared memory and queues")):
        if isolation.where(name) == HOST:
            yield Finding(
                "selinux/host-namespace",
                Severity.WARNING,
                f"with the host's {name} namespace, label separation from the host's {what} is lost: what the policy lets "
                "the command reach there, it reaches",
                leaf=f"namespaces.{name}",
                hint=f'write {name} = "private" in [namespaces]',
            )


def verify(settings: SelinuxSettings, receipt: Mapping[str, Any], facts: SelinuxFacts) -> Iterator[Verification]:
    """Hold the label of the command (``/proc/PID/attr/current``) against the settings."""
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
