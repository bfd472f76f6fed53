"""The verdict on what is about to be written or run: whether its root has what the composed settings deny."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hardening.compose import Composition
from hardening.errors import HardeningError
from hardening.images.ids import Ids
from hardening.runtime import Candidate, Refusal, Verdict
from hardening.scankinds import UNREAD
from hardening.scanning import Found, Scanner
from hardening.schema import REST, Leaf
from hardening_rootfs.settings import RootfsSettings
from hardening_scan import examine
from hardening_scan.settings import ScanSettings, above

NAME = "scan"
POINTER = "/root/path"
#: Paths of one kind that a refusal names.
SHOWN = 10


def admit(candidate: Candidate, settings: ScanSettings, scanners: Mapping[str, Scanner]) -> Verdict | None:
    """The verdict on a candidate; None for one that has no root yet."""
    composition = candidate.composition
    root = candidate.document.get("root")
    if composition is None or not isinstance(root, dict) or not isinstance(root.get("path"), str):
        return None
    path = _place(root["path"], composition, candidate.base)
    if path is None:
        return _rejected([_of_the_host(settings)])
    try:
        of_run = candidate.base is None
        ids = Ids.of_composition(composition, candidate.host) if of_run else _ids(candidate.document)
        chosen = examine.asked(scanners, settings.gated)
        found = examine.examine(path, chosen, ids, settings.command)
    except HardeningError as error:
        return _rejected([Refusal(POINTER, f"the root cannot be scanned: {error.message}", error.hint or "")])
    return _rejected(list(refusals(found.denied(settings), composition)))


def _place(path: str, composition: Composition, base: Path | None) -> str | None:
    """Where the root is that a bundle makes up or names; None for the host's own."""
    if base is not None:
        path = os.path.join(base, path)
    elif not path.startswith("/"):
        rootfs = composition.composed.get(RootfsSettings)
        path = rootfs.path.path if isinstance(rootfs, RootfsSettings) else "/"
    return None if os.path.realpath(path) == "/" else path


def _ids(document: Mapping[str, Any]) -> Ids:
    """Whose the files of the root are for a configuration that was made elsewhere."""

    def ranges(name: str) -> list[tuple[int, int, int]]:
        maps = (document.get("linux") or {}).get(name) or ()
        return [(item["containerID"], item["hostID"], item["size"]) for item in maps]

    uids, gids = ranges("uidMappings"), ranges("gidMappings")
    return Ids.of((uids, gids) if uids and gids else None, os.geteuid(), os.getegid())


def _rejected(found: list[Refusal]) -> Verdict:
    return Verdict(NAME, tuple(found))


def _of_the_host(settings: ScanSettings) -> Refusal:
    said = ", ".join(f"scan.{kind}" for kind in settings.gated)
    hint = "name a root of its own (--rootfs DIR) or an image"
    if all(all(settings.of(kind).named.values()) for kind in settings.gated):
        options = " ".join(f"--set scan.{kind}=allow --exception 'scan.{kind}.*=REASON'" for kind in settings.gated)
        hint = f"{hint}, or go without a scan: {options}"
    return Refusal(POINTER, f"{said}: the host's own root is not scanned, and so not admitted", hint)


def refusals(denied: Sequence[Found], composition: Composition) -> Iterator[Refusal]:
    """A refusal for each kind of what is denied, with the paths, and the smallest loosening."""
    for kind in dict.fromkeys(item.kind for item in denied):
        items = [item for item in denied if item.kind == kind]
        rows = [f"{text(item.path)} ({item.detail})" for item in items[:SHOWN]]
        more = f", and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
        yield Refusal(POINTER, f"the root has what scan.{kind} denies: {', '.join(rows)}{more}",
                      _hint(composition, kind, items))  # fmt: skip


def _hint(composition: Composition, kind: str, items: Sequence[Found]) -> str:
    """Where it is said, and what permits exactly these paths."""
    paths = list(dict.fromkeys(item.path for item in items))
    leaf = next((leaf for name in (paths[0], *above(paths[0]), REST)
                 if (leaf := Leaf(NAME, kind, name)) in composition.leaves), Leaf(NAME, kind, REST))  # fmt: skip
    resolved = composition.leaves[leaf]
    said = f"{leaf} is deny, said at {resolved.origin}"
    if kind == UNREAD and "/" in paths:
        return f"{said}; mend what is said there, or write --set scan.{kind}.default=allow"
    if len(paths) > SHOWN or any(text(path) != path for path in paths):
        return f"{said}; `hardening scan` lists them; take them out of the root, or allow their paths"
    allow = shlex.quote(f"scan.{kind}.allow={json.dumps(paths, ensure_ascii=False)}")
    permitted = " ".join(f"--exception {shlex.quote(f'scan.{kind}.{path}=REASON')}" for path in paths)
    return f"{said}; take it out of the root, or permit it: --set {allow} {permitted}"


def text(path: str) -> str:
    """A path as people and terminals can read it."""
    from hardening.report.table import clean

    return clean(path)
