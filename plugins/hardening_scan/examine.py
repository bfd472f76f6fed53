"""A root from its path to what was found in it, by a child that has nothing else to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from hardening.base.values import frozen
from hardening.errors import HostError, UsageError
from hardening.images.ids import Ids
from hardening.images.store import Unpacked
from hardening.images.unpacking import child, tree
from hardening.mechanism.scanner import (
    CAPABILITIES,
    DENIABLE,
    DEVICES,
    SETGID,
    SETUID,
    UNREAD,
    Detection,
    Package,
    Scanner,
)
from hardening_scan import walk
from hardening_scan.external import External
from hardening_scan.settings import ScanSettings


@frozen(eq=False)
class Scanned:
    """What was found in a root. ``entries`` is how many files it has; ``hiding`` is of what could not be looked at the kinds
    that it may be, all of them where it says nothing; ``left_out`` is what the image has that was asked about, and the root
    that was made of it has not; ``digest`` is that of its manifest."""

    findings: tuple[Detection, ...]
    packages: tuple[Package, ...]
    entries: int
    hiding: Mapping[Detection, frozenset[str]] = MappingProxyType({})
    left_out: tuple[Detection, ...] = ()
    digest: str = ""

    def denied(self, settings: ScanSettings) -> tuple[Detection, ...]:
        """What of it the settings deny."""
        return tuple(item for item in (*self.findings, *self.left_out) if self.denying(item, settings))

    def denying(self, item: Detection, settings: ScanSettings) -> tuple[str, ...]:
        """The kinds for which the settings deny a finding. What could not be looked at is whatever may not be there."""
        if item.kind == UNREAD:
            may_be = self.hiding.get(item, DENIABLE)
            return tuple(
                kind for kind in settings.gated if kind in may_be and not settings.permits_all(kind, item.path)
            )
        return () if settings.permits(item.kind, item.path) else (item.kind,)


def of_image(scanned: Scanned, unpacked: Unpacked) -> Scanned:
    """What is to be said of an image, from what was found in the root that was made of it: with what of the kinds of a scan
    the image has, and other engines may give to its programs, though this root has it not."""
    kinds = {
        tree.DEVICE: DEVICES,
        tree.SET_USER: SETUID,
        tree.SET_GROUP: SETGID,
        f"{tree.ATTRIBUTE} security.capability": CAPABILITIES,
    }
    named = sorted(
        Detection(kinds[why], f"/{path}", f"{why}, left out when it was unpacked")
        for why, path in unpacked.skipped
        if why in kinds
    )
    count = unpacked.count - len(unpacked.skipped)
    more = [Detection(UNREAD, "/", f"{count} more were left out when it was unpacked")] if count > 0 else []
    hiding = {**scanned.hiding, **{item: frozenset(kinds.values()) for item in more}}
    return attrs.evolve(
        scanned, left_out=(*named, *more), hiding=MappingProxyType(hiding), digest=str(unpacked.about["digest"])
    )


def every(scanners: Mapping[str, Scanner], settings: ScanSettings) -> tuple[Scanner, ...]:
    """The scanners by name, and the one that a profile names."""
    own = (External(settings.command),) if settings.command else ()
    return (*(scanner for _, scanner in sorted(scanners.items())), *own)


def asked(scanners: Mapping[str, Scanner], settings: ScanSettings) -> tuple[Scanner, ...]:
    """Those that find something of the kinds that are denied."""
    return tuple(item for item in every(scanners, settings) if walk.concerns(item).intersection(settings.gated))


def examine(
    path: str,
    scanners: Sequence[Scanner],
    ids: Ids,
    limits: walk.WalkLimits | None = None,
) -> Scanned:
    """Look at the root at a path. Raises `UsageError` for what is no directory, and `HostError` where it cannot be looked at
    safely."""
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        raise UsageError("is not a directory that you can read", origin=path, hint="name the directory of a root")

    def work(tell: child.Tell) -> dict[str, Any]:
        tree = walk.mounted(real)
        try:
            return walk.scan(tree, scanners, limits or walk.WalkLimits())
        finally:
            os.close(tree)

    try:
        data = child.run(work, ids)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            raise UsageError(f"cannot be looked at: {error.strerror}", origin=path) from None
        hint = "it needs open_tree(2) and mount_setattr(2) of Linux 5.12, and of an ordinary user a user namespace"
        raise HostError(f"cannot be mounted to be looked at: {error.strerror}", origin=path, hint=hint) from None
    hiding: dict[Detection, frozenset[str]] = {}
    findings = []
    for kind, path_in_root, detail, may_be in data["findings"]:
        item = Detection(kind, path_in_root, detail)
        findings.append(item)
        if kind == UNREAD:
            hiding[item] = hiding.get(item, frozenset()) | frozenset(may_be)
    packages = tuple(Package(*row) for row in data["packages"])
    return Scanned(tuple(findings), packages, int(data["entries"]), MappingProxyType(hiding))
