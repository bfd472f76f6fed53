"""Print what a shipped profile composes to, as the table of its page: tools/facts.py PROFILE"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from hardening.base.linux.libseccomp import Libseccomp
from hardening.compose import composition as compose
from hardening.mechanism import host
from hardening.mechanism.roles import PRIVATE
from hardening.plugin import plugins
from hardening.profile import layers
from hardening.profile.placeholders import NAMES
from hardening_capabilities import CapabilitiesSettings
from hardening_namespaces.settings import TYPES, NamespacesSettings
from hardening_process.kinds import RlimitKind
from hardening_process.settings import ProcessSettings
from hardening_rootfs.settings import RootfsSettings
from hardening_seccomp.settings import SeccompSettings

#: The pages count the system calls of one machine: groups also hold names that only others have.
ARCHITECTURE = "x86_64"


def composed(profile: str) -> compose.Composition:
    """A profile, composed for any host."""
    found = plugins.load()
    stack = layers.resolve([profile], layers.SearchPath(tuple(plugins.shipped_profiles())))
    return compose.compose(stack, found.mechanisms, host.probe(found.mechanisms), date.today())


def facts(profile: str) -> Iterator[tuple[str, str]]:
    """What the profile permits and bounds: each fact and its value."""
    composition = composed(profile)
    by_type: dict[type, Any] = dict(composition.composed)
    capabilities: CapabilitiesSettings = by_type[CapabilitiesSettings]
    yield "capabilities", _listed(sorted(capabilities.kept)) or "none"
    yield "capabilities of root alone", _listed(sorted(capabilities.added - capabilities.kept)) or "none"
    yield "new privileges by `exec`", "no" if capabilities.no_new_privileges else "yes"
    yield from _syscalls(by_type[SeccompSettings])
    yield from _namespaces(by_type[NamespacesSettings])
    yield from _places(composition.settings["rootfs"])
    yield from _process(by_type[ProcessSettings])
    excepted = [str(leaf) for leaf, _ in composition.used_exceptions()]
    yield "loosened by exception", _listed(excepted) or "nothing"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def native_calls() -> frozenset[str]:
    """The system calls of `ARCHITECTURE`, on whatever machine the pages are made."""
    library = Libseccomp.load()
    token = library.architecture(ARCHITECTURE)
    return frozenset(library.names(token)) if token is not None else frozenset()


def _syscalls(settings: SeccompSettings) -> Iterator[tuple[str, str]]:
    whole, partly = settings.permitted(native_calls())
    yield "system calls allowed, of x86-64", f"{whole}, and {partly} with some arguments"
    yield "any other system call", f"`{settings.syscalls.rest.leaves[0]}`"


def _namespaces(settings: NamespacesSettings) -> Iterator[tuple[str, str]]:
    private = [name for name in TYPES if getattr(settings, name) == PRIVATE]
    yield "private namespaces", _listed(private)
    yield "shared with the host", _listed([name for name in TYPES if name not in private]) or "none"
    yield "network", "a loopback device" if settings.net == PRIVATE else "the host's"
    yield "ids", f"`{settings.id_map}`"


def _places(settings: RootfsSettings) -> Iterator[tuple[str, str]]:
    yield "root", "read-only" if settings.read_only else "writable"
    for place, tmpfs in settings.mounted_tmpfs().items():
        rights = ", programs can run from it" if "exec" in tmpfs.rights else ""
        yield f"writable: `{_as_written(place)}`", f"{tmpfs.size >> 20} MiB in memory{rights}"
    yield "writable: `/dev/shm`", f"{settings.shm_size >> 20} MiB in memory" if settings.shm_size else "none"
    processes = {"invisible": "of the same user", "noaccess": "by their ids", "off": "all"}[settings.hidepid]
    yield "`/proc`", f"processes {processes}" + ("" if settings.subset else ", and the kernel's own files")
    yield "`/sys`", settings.sys
    yield "volumes", _listed([_as_written(volume.target) for volume in settings.mounted_volumes()]) or "none"
    yield "devices of the host", _listed(settings.devices.having(True)) or "none"


def _as_written(path: str) -> str:
    """A path, or the placeholder of the caller's own place that it is."""
    return {NAMES[name](): f"{{{name}}}" for name in ("home", "cwd")}.get(path, path)


def _process(settings: ProcessSettings) -> Iterator[tuple[str, str]]:
    show = RlimitKind().show
    limits = [f"`{name}` {show(limit)}" for name, limit in sorted(settings.rlimits.named.items())]
    yield "resource limits", ", ".join(limits)
    yield "umask", f"`{settings.umask:03o}`"


def table(profile: str) -> str:
    """The facts as a table in Markdown."""
    return "\n".join(
        ["| what | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts(profile))]
    )


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(table(sys.argv[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
