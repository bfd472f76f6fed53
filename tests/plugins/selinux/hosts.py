"""Hosts with SELinux, as values and as directories that look like one, for the tests of `selinux`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import Volume
from hardening_namespaces import Namespaces
from hardening_namespaces.settings import NamespacesSettings
from hardening_rootfs.settings import RootfsSettings
from hardening_selinux.host import SelinuxFacts
from hardening_selinux.settings import SelinuxSettings

CALLER = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"
INACTIVE = SelinuxFacts(inactive="the kernel was built without SELinux, or booted without it")


def settings(**values: Any) -> SelinuxSettings:
    """The strict settings but for ``values``."""
    defaults = {field.name: field.metadata["setting"].default for field in attrs.fields(SelinuxSettings)}
    return SelinuxSettings(**(defaults | values))


def facts(folder: Path, **values: Any) -> SelinuxFacts:
    """SELinux with a policy that accepts every context; ``folder`` stands for selinuxfs."""
    (folder / "context").touch()
    return SelinuxFacts(mount=str(folder), policy="targeted", version=33, caller=CALLER, **values)


def context(given: SelinuxFacts, *others: object, bundle: Path | None = None, stays: bool = True) -> Context:
    """A context on a host with these facts, with settings of other mechanisms."""
    host = Host((6, 12), "6.12.0", "x86_64", 0, 0, (0,), MappingProxyType({SelinuxFacts: given}))
    return Context(host, {type(other): other for other in others}, bundle=bundle, bundle_stays=stays)


def fake_host(root: Path, **files: str) -> Path:
    """A directory that looks like the root of a host with SELinux; ``files`` replaces what is in selinuxfs."""
    kernel = {"enforce": "1", "mls": "1", "policyvers": "33", "context": ""} | files
    texts = {
        "proc/filesystems": "nodev\tsysfs\nnodev\tselinuxfs\n\text4\n",
        "proc/self/mountinfo": "24 1 0:22 / /proc rw - proc proc rw\n30 1 0:9 / /sys/fs/selinux rw,nosuid shared:5 "
        "- selinuxfs selinuxfs rw\n",
        "proc/self/attr/current": f"{CALLER}\0",
        "etc/selinux/config": "# comment\nSELINUX=enforcing\nSELINUXTYPE = minimum\n",
        **{f"sys/fs/selinux/{name}": text for name, text in kernel.items()},
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def namespaces(**values: Any) -> NamespacesSettings:
    """Settings of `namespaces`, the strict ones but for ``values``."""
    strict: NamespacesSettings = _strict(Namespaces())
    return attrs.evolve(strict, **values)


def volumes(*given: Volume) -> RootfsSettings:
    """Settings of `rootfs`, the strict ones with these volumes."""
    from hardening_rootfs import Rootfs

    strict: RootfsSettings = _strict(Rootfs())
    return attrs.evolve(strict, volumes=attrs.evolve(strict.volumes, named={each.target: each for each in given}))


def _strict(mechanism: Any) -> Any:
    leaves: dict[tuple[str, str], Any] = {}
    for setting in mechanism.schema.fields.values():
        if hasattr(setting, "rest"):
            leaves |= {(setting.name, member): value for member, value in setting.default.items()}
            leaves[setting.name, "*"] = setting.rest
        else:
            leaves[setting.name, ""] = setting.default
    return mechanism.build(leaves)
