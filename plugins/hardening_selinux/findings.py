"""What is worth saying about the labels, and whether the kernel gave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hardening.findings import Finding, Severity
from hardening.mechanism import Check, Context
from hardening_namespaces.settings import HOST, NamespacesSettings
from hardening_selinux.host import SelinuxFacts, process_label
from hardening_selinux.labels import Label
from hardening_selinux.settings import AUTO, SelinuxSettings
from hardening_selinux.spec import wanted_volumes

#: What each rule finds (`hardening.mechanism.Mechanism.rules`).
RULES = {
    "host-namespace": "A namespace of the host that undoes the separation by labels",
    "not-relabelled": "A volume that is not relabelled",
    "off": "A command without a label",
    "shared-level": "A level that several containers share",
    "unconfined": "A type that does not confine",
}

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
            hint='type = "auto", or a type made for this application (udica writes one)',
        )
    if settings.level != AUTO:
        yield Finding(
            "selinux/shared-level",
            Severity.WARNING,
            f"every container at the level {settings.level} can reach the others' files",
            leaf="selinux.level",
            hint='level = "auto" reserves a pair for each container',
        )
    yield from _joined(context)


def _joined(context: Context) -> Iterator[Finding]:
    namespaces = context.of(NamespacesSettings)
    if namespaces is None:
        return
    for name, what in (("pid", "processes"), ("ipc", "shared memory and queues")):
        if getattr(namespaces, name) == HOST:
            yield Finding(
                "selinux/host-namespace",
                Severity.WARNING,
                f"with the host's {name} namespace, label separation from the host's {what} is lost: what the policy lets "
                "the command reach there, it reaches",
                leaf=f"namespaces.{name}",
                hint=f'namespaces.{name} = "private"',
            )


def verify(settings: SelinuxSettings, receipt: Mapping[str, Any], facts: SelinuxFacts) -> Iterator[Check]:
    """Hold the label of the command (``/proc/PID/attr/current``) against the settings."""
    if not settings.enabled:
        return
    text = str(receipt["label"]).rstrip("\0\n")
    try:
        label = Label.parse(text)
    except ValueError:
        yield Check("selinux.enabled", "a label", f"{text or 'none'}{_why(facts)}", holds=False)
        return
    wanted = process_label(settings, facts)
    for name in ("user", "role", "type"):
        expected, found = getattr(wanted, name), getattr(label, name)
        yield Check(f"selinux.{name}", expected, found, expected == found)
    yield Check("selinux.enabled", "enforcing", "enforcing" if facts.enforcing else "permissive", facts.enforcing)
    if facts.mls or label.level is not None:
        paired = label.level is not None and label.level.pair is not None
        holds = paired if settings.level == AUTO else str(label.level) == settings.level
        expected = "a pair of categories" if settings.level == AUTO else settings.level
        yield Check("selinux.level", expected, str(label.level), holds)


def _why(facts: SelinuxFacts) -> str:
    return "" if facts.active else f" (SELinux is not active: {facts.inactive})"
