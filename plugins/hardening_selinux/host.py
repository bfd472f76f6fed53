"""Whether SELinux confines anything on this host, and what is missing for the settings."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from hardening.base import files
from hardening.base.linux import mountinfo
from hardening.base.values import frozen
from hardening.errors import HostError
from hardening.mechanism import inputs as host_inputs
from hardening.mechanism.host import Host
from hardening.mechanism.inputs import Inputs, Unknown
from hardening.mechanism.mechanism import Context, Unsupported
from hardening_selinux.contexts import BUILT_IN, ContainerContexts, load, places
from hardening_selinux.labels import Label, Level
from hardening_selinux.relabel import wanted_volumes
from hardening_selinux.settings import AUTO, READ_ONLY, SelinuxSettings


@frozen
class SelinuxFacts:
    """State of SELinux (selinux(8)). ``inactive`` says why no label can be set, empty where SELinux is active; ``mount``
    is where selinuxfs is, ``policy`` the policy's name, ``version`` that of its binary format, ``mls`` whether labels
    have levels; ``caller`` is the caller's own label."""

    inactive: str = ""
    mount: str = "/sys/fs/selinux"
    enforcing: bool = True
    policy: str = ""
    version: int = 0
    mls: bool = True
    caller: str = ""
    contexts: ContainerContexts = BUILT_IN

    @property
    def active(self) -> bool:
        """Whether the kernel keeps labels."""
        return not self.inactive


def probe(host: Host, root: Path = Path("/")) -> SelinuxFacts:
    """Ask selinuxfs and the policy's files on the host whose root is ``root``. Raises `HostError`."""
    if "selinuxfs" not in _read(root / "proc/filesystems").split():
        return SelinuxFacts(inactive="the kernel was built without SELinux, or booted without it")
    mounts = mountinfo.seen(mountinfo.parse(mountinfo.lines(_read(root / "proc/self/mountinfo"))))
    mount = next((found.place for found in mounts if found.kind == "selinuxfs"), "")
    if not mount:
        return SelinuxFacts(inactive="selinuxfs is not mounted, so no policy is loaded")
    folder = root / mount.lstrip("/")
    caller = _read(root / "proc/self/attr/current").rstrip("\0\n")
    if caller in ("", "kernel"):
        return SelinuxFacts(inactive="no policy is loaded", mount=str(folder))
    policy = _policy_name(_read(root / "etc/selinux/config"))
    return SelinuxFacts(
        mount=str(folder),
        enforcing=_read(folder / "enforce").strip() == "1",
        policy=policy,
        version=int(_read(folder / "policyvers").strip() or "0"),
        mls=_read(folder / "mls").strip() == "1",
        caller=caller,
        contexts=load(root, policy),
    )


def assumed(host: Host) -> SelinuxFacts:
    """One that confines."""
    return SelinuxFacts(policy="targeted")


def _read(path: Path) -> str:
    try:
        return files.read(str(path))
    except FileNotFoundError:
        return ""
    except OSError as error:
        # Without SELinux, reading the label of a process is EINVAL.
        if error.errno == errno.EINVAL:
            return ""
        raise HostError(f"cannot find out the state of SELinux: {error.strerror}", origin=path) from None


def _policy_name(config: str) -> str:
    """``SELINUXTYPE`` of /etc/selinux/config (selinux_config(5))."""
    for line in config.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == "SELINUXTYPE":
            return value.strip()
    return "targeted"


def check(settings: SelinuxSettings, context: Context) -> Iterator[Unsupported]:
    """SELinux that is not active or stops nothing, a policy without levels, and names that the policy does not know."""
    if not settings.enabled:
        return
    facts = context.host.of(SelinuxFacts)
    if not facts.active:
        yield Unsupported(
            "selinux.enabled",
            f"SELinux is not active: {facts.inactive}",
            "install and load a policy",
            whole=True,
        )
        return
    if not facts.enforcing:
        yield Unsupported(
            "selinux.type",
            "SELinux is permissive: it records what it would deny and stops nothing",
            "run setenforce 1",
            whole=True,
        )
    if not facts.mls:
        yield Unsupported(
            "selinux.level", "the policy has no levels, so containers are not kept apart", "load a policy with MCS"
        )
    process = process_label(settings, facts)
    if facts.mls and settings.level != AUTO:
        process = process.at(Level.parse(settings.level))
    labels = {"selinux.type": process, "selinux.mount_label": file_label(settings, facts)}
    for leaf, label in labels.items():
        if not policy_knows(label, facts):
            yield Unsupported(
                leaf,
                f"the policy {facts.policy} does not know the context {label}",
                "correct the name, or install the policy module that defines it (container-selinux for container_t)",
            )


def inputs(settings: SelinuxSettings, context: Context) -> Inputs:
    """The state of SELinux, and the policy's files. Volumes are relabelled at every run, for files come to be in them."""
    yield from host_inputs.lines("/proc/filesystems", "nodev\tselinuxfs")
    if context.host.of(SelinuxFacts).active:
        facts = context.host.of(SelinuxFacts)
        yield from host_inputs.mounts("selinuxfs")
        # The kernel counts in `status` each load of a policy and each change of its mode.
        yield from host_inputs.kernel("/proc/self/attr/current", f"{facts.mount}/status", f"{facts.mount}/enforce")
        yield from host_inputs.kernel(f"{facts.mount}/policyvers", f"{facts.mount}/mls")
        for path in ("/etc/selinux/config", *places(Path("/"), facts.policy)):
            yield from host_inputs.file(path)
    for volume in wanted_volumes(settings, context):
        yield Unknown(f"rootfs.volumes.{volume.target} is relabelled")


def process_label(settings: SelinuxSettings, facts: SelinuxFacts) -> Label:
    """The label of the command, before an `auto` level is filled in."""
    contexts = facts.contexts
    special = {AUTO: contexts.process, "init": contexts.init_process, "kvm": contexts.kvm_process}
    base = special.get(settings.type, contexts.process)
    label = attrs.evolve(
        base,
        user=base.user if settings.user == AUTO else settings.user,
        role=base.role if settings.role == AUTO else settings.role,
        type=base.type if settings.type in special else settings.type,
    )
    return label if facts.mls else label.at(None)


def file_label(settings: SelinuxSettings, facts: SelinuxFacts) -> Label:
    """The label of the container's own file systems, before an `auto` level is filled in."""
    special = {AUTO: facts.contexts.file, READ_ONLY: facts.contexts.ro_file}
    label = special.get(settings.mount_label) or Label.parse(settings.mount_label)
    return label if facts.mls else label.at(None)


def policy_knows(label: Label, facts: SelinuxFacts) -> bool:
    """Whether the loaded policy accepts a context: selinuxfs refuses others with EINVAL (security_check_context(3))."""
    path = f"{facts.mount}/context"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(f"{label}\0".encode())
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise HostError(f"cannot ask the policy about {label}: {error.strerror}", origin=path) from None
    return True
