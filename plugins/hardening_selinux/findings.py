"""What is worth saying about the labels."""

from __future__ import annotations

from collections.abc import Iterator

from hardening.mechanism.findings import Finding, FindingsOf, Severity
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import HOST, Isolation
from hardening.mechanism.schema import Leaf
from hardening_selinux.host import SelinuxFacts, process_label
from hardening_selinux.relabel import wanted_volumes
from hardening_selinux.settings import AUTO, SelinuxSettings

_about = FindingsOf("selinux")

#: Domains that the usual policies leave alone, or give the power over the host that a runtime or init has.
UNCONFINED = frozenset(
    ("unconfined_t", "unconfined_service_t", "spc_t", "container_runtime_t", "kernel_t", "init_t", "initrc_t")
)


def findings(settings: SelinuxSettings, context: Context) -> Iterator[Finding]:
    """Labels that do not confine, levels that do not separate, and namespaces that undo the separation."""
    facts = context.host.of(SelinuxFacts)
    if not settings.enabled:
        severity = Severity.WARNING if facts.active else Severity.NOTE
        yield _about.finding(severity, "off", "the command gets no SELinux label", "enabled")
        return
    if not facts.active:
        for volume in wanted_volumes(settings, context):
            yield _about.note(
                "not-relabelled",
                f"{volume.source} is not relabelled: SELinux is not active",
                Leaf("rootfs", "volumes", volume.target),
                origin=volume.origin,
            )
    label = process_label(settings, facts)
    if label.type in UNCONFINED:
        yield _about.warning(
            "unconfined",
            f"{label.type} does not confine the command",
            "type",
            hint='write type = "auto" in [selinux], or a type made for this application (udica writes one)',
        )
    if settings.level != AUTO:
        yield _about.warning(
            "shared-level",
            f"every container at the level {settings.level} can reach the others' files",
            "level",
            hint='level = "auto" in [selinux] reserves a pair for each container',
        )
    yield from _joined(context)


def _joined(context: Context) -> Iterator[Finding]:
    isolation = context.of(Isolation)
    if isolation is None:
        return
    for name, what in (("pid", "processes"), ("ipc", "shared memory and queues")):
        if isolation.where(name) == HOST:
            yield _about.warning(
                "host-namespace",
                f"with the host's {name} namespace, label separation from the host's {what} is lost: what the policy lets "
                "the command reach there, it reaches",
                Leaf("namespaces", name),
                hint=f'write {name} = "private" in [namespaces]',
            )
