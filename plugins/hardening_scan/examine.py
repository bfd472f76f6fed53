"""A root from its path to what was found in it, by a child that has nothing else to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hardening.errors import HardeningError, HostError, UsageError
from hardening.images import child, tree
from hardening.images.ids import Ids
from hardening.images.store import Unpacked
from hardening.scankinds import CAPABILITIES, DEVICES, EXTERNAL, KINDS, SETGID, SETUID, UNREAD
from hardening.scanning import Found, Package, Scanner
from hardening.values import frozen
from hardening_scan import walk
from hardening_scan.settings import ScanSettings


@frozen(eq=False)
class Scanned:
    """What was found in a root. ``entries`` is how many files it has; ``aside`` is what could not be looked at and only
    concerns kinds that no gate asks for; ``left_out`` is what an image has and the root that was made of it has not, and
    ``digest`` is that of its manifest."""

    findings: tuple[Found, ...]
    packages: tuple[Package, ...]
    entries: int
    aside: frozenset[Found] = frozenset()
    left_out: tuple[Found, ...] = ()
    digest: str = ""

    def denied(self, settings: ScanSettings) -> tuple[Found, ...]:
        """What of it the settings deny."""
        gated = settings.gated
        if not gated:
            return ()
        return tuple(item for item in self.findings if item.kind in (*gated, UNREAD) and item not in self.aside
                     and not settings.permits(item.kind, item.path))  # fmt: skip


def left_out(unpacked: Unpacked) -> tuple[Found, ...]:
    """What of the kinds of a scan an image has, and its root has not."""
    kinds = {
        tree.DEVICE: DEVICES,
        tree.SET_USER: SETUID,
        tree.SET_GROUP: SETGID,
        f"{tree.ATTRIBUTE} security.capability": CAPABILITIES,
    }
    named = [
        Found(kinds[why], f"/{path}", f"{why}, which no root here has")
        for why, path in unpacked.skipped
        if why in kinds
    ]
    more = unpacked.count - len(unpacked.skipped)
    return (*sorted(named), *([Found(UNREAD, "/", f"{more} more were left out of the root")] if more > 0 else ()))


def asked(scanners: Mapping[str, Scanner], kinds: Iterable[str]) -> tuple[Scanner, ...]:
    """The scanners that find something of some kinds, by name."""
    wanted = set(kinds)
    return tuple(scanner for _, scanner in sorted(scanners.items()) if _concerns(scanner, wanted))


def _concerns(scanner: Scanner, kinds: set[str]) -> bool:
    """Whether a scanner has to do with some kinds. Other packages' scanners may judge by the packages that it lists."""
    return bool(kinds & set(scanner.kinds)) or (scanner.lists and EXTERNAL in kinds)


def examine(
    path: str,
    scanners: Sequence[Scanner],
    ids: Ids,
    command: tuple[str, ...] = (),
    limits: walk.Limits | None = None,
    gated: Iterable[str] = KINDS,
) -> Scanned:
    """Look at the root at a path; ``gated`` are the kinds that a gate asks for. Raises `UsageError` for what is no
    directory, and `HostError` where it cannot be looked at safely."""
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        raise UsageError("is no directory that you can look at", origin=path, hint="name the directory of a root")

    def work(tell: child.Tell) -> dict[str, Any]:
        tree = walk.mounted(real)
        try:
            return walk.scan(tree, scanners, command, limits or walk.Limits())
        finally:
            os.close(tree)

    try:
        data = child.run(work, ids)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            raise UsageError(f"cannot be looked at: {error.strerror}", origin=path) from None
        hint = "it needs open_tree(2) and mount_setattr(2) of Linux 5.12, and of an ordinary user a user namespace"
        raise HostError(f"cannot be mounted to be looked at: {error.strerror}", origin=path, hint=hint) from None
    findings = tuple(Found(*item[:3]) for item in data["findings"])
    strange = next((item for item in findings if item.kind not in KINDS), None)
    if strange is not None:
        raise HardeningError(f"a scanner finds the kind {strange.kind}, which there is not", hint="update its package")
    wanted = set(gated)
    others = {scanner.name for scanner in scanners if not _concerns(scanner, wanted)}
    counts = {Found(*item[:3]) for item in data["findings"] if item[3] not in others}
    aside = frozenset(item for item in findings if item.kind == UNREAD and item not in counts)
    return Scanned(findings, tuple(Package(*item) for item in data["packages"]), int(data["entries"]), aside)
