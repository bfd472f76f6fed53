"""The verdict on what is about to be written or run: whether its root has what the composed settings deny."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from hardening.base.text import printable
from hardening.compose.composition import Composition
from hardening.compose.fold import Resolved
from hardening.errors import HardeningError, quoted
from hardening.images.ids import Ids
from hardening.mechanism.roles import RootDirectory
from hardening.mechanism.runtime import Refusal
from hardening.mechanism.scanner import UNREAD, Detection, Scanner
from hardening.mechanism.schema import WILDCARD, Leaf
from hardening.plugin.admission import Candidate, Verdict
from hardening.profile.exemption import REASON
from hardening.profile.toml_text import inline
from hardening_scan import examine
from hardening_scan.examine import Scanned
from hardening_scan.settings import ScanSettings, above

NAME = "scan"
POINTER = "/root/path"
#: Paths of one kind that a refusal names.
SHOWN = 10


def admit(candidate: Candidate, settings: ScanSettings, scanners: Mapping[str, Scanner]) -> Verdict | None:
    """The verdict on a candidate; None for one that has no root yet."""
    composition = candidate.composition
    root = candidate.composed.get("root")
    if composition is None or not isinstance(root, dict) or not isinstance(root.get("path"), str):
        return None
    path = _place(root["path"], composition, candidate.base)
    if path is None:
        return _verdict(candidate, [_of_the_host(settings, composition)])
    try:
        of_run = candidate.base is None
        ids = composition.image_ids(candidate.host) if of_run else _ids(candidate.composed)
        scanned = examine.examine(path, examine.asked(scanners, settings), ids)
    except HardeningError as error:
        refused = Refusal("", f"the root cannot be scanned: {error.message}", error.hint or "")
        return _verdict(candidate, [refused])
    return _verdict(candidate, refusals(scanned, settings, composition))


def _place(path: str, composition: Composition, base: Path | None) -> str | None:
    """Where the root is that a bundle makes up or names; None for the host's own."""
    if base is not None:
        path = os.path.join(base, path)
    elif not path.startswith("/"):
        roots = (item for item in composition.composed.values() if isinstance(item, RootDirectory))
        path = next((str(root.directory()) for root in roots), "/")
    return None if os.path.realpath(path) == "/" else path


def _ids(document: Mapping[str, Any]) -> Ids:
    """Whose the files of the root are for a configuration that was made elsewhere."""

    def ranges(name: str) -> list[tuple[int, int, int]]:
        maps = (document.get("linux") or {}).get(name) or ()
        return [(item["containerID"], item["hostID"], item["size"]) for item in maps]

    uids, gids = ranges("uidMappings"), ranges("gidMappings")
    return Ids.of((uids, gids) if uids and gids else None, os.geteuid(), os.getegid())


def _verdict(candidate: Candidate, found: Iterable[Refusal]) -> Verdict:
    """The verdict, which names the field of a configuration that somebody has written."""
    pointer = POINTER if candidate.base is not None else ""
    return Verdict(NAME, tuple(attrs.evolve(item, pointer=pointer) for item in found))


def _of_the_host(settings: ScanSettings, composition: Composition) -> Refusal:
    said = ", ".join(f"scan.{kind}" for kind in settings.gated)
    hint = "name a root of its own (--rootfs DIR) or an image"
    open_to_all = all(all(settings.of(kind).named.values()) for kind in settings.gated)
    if open_to_all and not any(_limit(decider(composition, kind, "/")) for kind in settings.gated):
        options = " ".join(f"--set scan.{kind}=allow --exception 'scan.{kind}.*={REASON}'" for kind in settings.gated)
        hint = f"{hint}, or go without a scan: {options}"
    return Refusal("", f"{said}: the host's own root is not scanned, and so not admitted", hint)


def refusals(scanned: Scanned, settings: ScanSettings, composition: Composition) -> Iterator[Refusal]:
    """A refusal for each kind of what is denied, with the paths, and the smallest loosening."""
    denied = scanned.denied(settings)
    for kind in dict.fromkeys(item.kind for item in denied):
        items = [item for item in denied if item.kind == kind]
        rows = [f"{text(item.path)} ({text(item.detail)})" for item in items[:SHOWN]]
        more = f", and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
        by = list(dict.fromkeys(name for item in items for name in scanned.denying(item, settings)))
        denies = f"what {', '.join(f'scan.{name}' for name in by)} {'denies' if len(by) == 1 else 'deny'}"
        has = f"may have {denies}, as it was not looked at" if kind == UNREAD else f"has {denies}"
        yield Refusal("", f"the root {has}: {', '.join(rows)}{more}", _hint(composition, kind, by, items))


def decider(composition: Composition, kind: str, path: str) -> Resolved:
    """The leaf that decides about something of a kind at a path."""
    names = (path, *above(path), WILDCARD)
    found = (composition.leaves.get(Leaf(NAME, kind, name)) for name in names)
    return next(item for item in found if item is not None)


def _limit(resolved: Resolved) -> str:
    """Where the limit is set that denies it, if one does."""
    return resolved.limit_origin if resolved.limit_origin and not resolved.limit else ""


def _hint(composition: Composition, kind: str, by: Sequence[str], items: Sequence[Detection]) -> str:
    """Where it is said, and what permits exactly these paths, if anything can."""
    paths = list(dict.fromkeys(item.path for item in items))
    said = ", ".join(_said(decider(composition, name, paths[0])) for name in by)
    mend = "fix what is reported there" if kind == UNREAD else "take it out of the root"
    if any(_limit(decider(composition, name, path)) for name in by for path in paths):
        return f"{said}; {mend}: no exception lifts a limit"
    if "/" in paths:
        permit = f"--set scan.{kind}.default=allow --exception 'scan.{kind}.*={REASON}'"
        return f"{said}; {mend}" if kind == UNREAD else f"{said}; fix it, or permit all of the kind: {permit}"
    if len(paths) > SHOWN or any(text(path) != path for path in paths):
        return f"{said}; `hardening scan` lists them; {mend}, or allow their paths"
    listed = inline(paths)
    allow = " ".join(f"--set {quoted(f'scan.{name}.allow={listed}')}" for name in by)
    permitted = " ".join(f"--exception {quoted(f'scan.{name}.{path}={REASON}')}" for name in by for path in paths)
    return f"{said}; {mend}, or permit it: {allow} {permitted}"


def _said(resolved: Resolved) -> str:
    limit = _limit(resolved)
    return f"{resolved.leaf} is deny, {f'a limit set at {limit}' if limit else f'set at {resolved.origin}'}"


def text(path: str) -> str:
    """A path as people and terminals can read it."""
    return printable(path)
