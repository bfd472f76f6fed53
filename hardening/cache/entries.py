"""Keeping what was composed, so that a stack that has not changed is not composed again (`hardening.launch.cache` reads it).

What is kept is ready to run, for every command: a bundle in an entry of its own, whose path is known before mechanisms
contribute to it, and beside it the fingerprints of everything that decided it (`hardening.cache.validity`).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hardening.assemble import bundles
from hardening.base import files, locks, places, state, trees
from hardening.base.digest import sha256
from hardening.base.files import Opened
from hardening.base.pointer import ARGS, CONFIG, lookup
from hardening.base.values import frozen
from hardening.cache.validity import Validity, with_code
from hardening.errors import HardeningError, LaunchError
from hardening.launch import cache, fingerprints
from hardening.launch.config.bundle import read_table
from hardening.launch.container import leases
from hardening.mechanism import inputs
from hardening.mechanism.inputs import Input

if TYPE_CHECKING:
    from hardening.launch.cache import Line
    from hardening.launch.request import LaunchRequest
    from hardening.mechanism.fragment import Spec

#: Entries of one key, and of all. The ones used last stay.
EACH = 32
MOST = 256


@frozen(eq=False)
class Entry:
    """An entry that this process makes, and holds alone: its directory, and the descriptor with the lock."""

    path: Path
    lock: int

    @property
    def bundle(self) -> Path:
        """Where its bundle is."""
        return self.path / cache.BUNDLE


def place(line: Line) -> Path:
    """Where the entries of a command line are. Raises `OSError`."""
    return state.location() / places.CACHE / cache.key(line)


def has_room(line: Line) -> bool:
    """Whether an entry for a command line could be had now. Nothing is written for that."""
    try:
        return len(os.listdir(place(line))) < EACH
    except FileNotFoundError:
        return True
    except OSError:
        return False


def reserve(line: Line) -> Entry | None:
    """A new entry for a command line; None where none can be had, for which no reason stops a run."""
    try:
        state.directory()
        folder = place(line)
        for path in (folder.parent, folder):
            files.make_directory(str(path), 0o711)
            os.close(cache.own(str(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        with Opened(locks.lock(str(folder.parent))):
            prune(folder.parent, MOST - 1)
            files.make_directory(str(folder), 0o711)
            if len(os.listdir(folder)) >= EACH:
                return None
            path = folder / places.new_id()
            files.make_directory(str(path), 0o711)
            return Entry(path, locks.lock(str(path)))
    except (OSError, HardeningError):
        return None


def share(entry: Entry) -> None:
    """Let others launch an entry that is whole, and go on holding it. Raises `OSError`."""
    # A lock that is converted is let go of in between: nobody prunes meanwhile.
    with Opened(locks.lock(str(entry.path.parents[1]))):
        fcntl.flock(entry.lock, fcntl.LOCK_SH)


def remove(entry: Entry) -> None:
    """Give an entry up, with all that is in it, and its key if that has no other."""
    with suppress(OSError):  # not empty, or not removable: the next `prune` tries again
        _remove(entry.path)
        entry.path.parent.rmdir()
    os.close(entry.lock)


@frozen(eq=False)
class Open:
    """What a run fills in: the command behind the words ``before``, or ``otherwise`` instead of none, and the ``values`` of
    variables by the places where the same line has them (`hardening.launch.config.variables`)."""

    before: tuple[str, ...]
    otherwise: tuple[str, ...]
    values: Mapping[str, list[int]]


def store(
    entry: Entry,
    validity: Validity,
    launch: LaunchRequest,
    spec: Spec,
    notes: Sequence[str],
    looked: Iterable[Input],
    left_open: Open,
    *,
    shown: str = "",
    loses: bool = False,
) -> bool:
    """Write what an entry with a bundle says. False where the bundle is good for one run only. ``looked`` is what decided
    the notes and the verdicts; ``shown`` are the options for people, without a secret; a run that ``loses`` its input says
    so."""
    contents = {name: content for name, content in spec.files.items() if isinstance(content, bytes)}
    document = spec.document
    try:
        digests = {name: sha256(content) for name, content in contents.items() if content}
        seen = {kind: dict(table) for kind, table in validity.seen.items()}
        names = leases.paths(document, CONFIG)
        for kind, table in inputs.take([*looked, *(Input("name", path) for path in names)]).items():
            seen[kind] = table | seen.get(kind, {})
        return _write(
            entry.path,
            seen,
            {
                "until": validity.until,
                "notes": list(notes),
                "shown": shown,
                "loses": loses,
                "launch": launch.kept(),
                "bundle": "",
                "config": sha256(spec.config),
                "files": digests,
                "tree": fingerprints.tree(str(entry.bundle)),
                "alone": is_alone(spec),
                "open": lookup(document, ARGS) is None,
                "before": list(left_open.before),
                "otherwise": list(left_open.otherwise),
                "values": dict(left_open.values),
            },
        )
    except OSError:
        return False


def is_alone(spec: Spec) -> bool:
    """Whether a configuration names what one container alone can have: a lease, a control group."""
    document = spec.document
    return bool(leases.paths(document, CONFIG) or lookup(document, "/linux/cgroupsPath"))


def store_verdict(line: Line, validity: Validity, launch: LaunchRequest, place: Path, digest: str) -> None:
    """Keep that a bundle elsewhere, whose configuration has this SHA-256, was admitted. A failure to write is no error: the
    bundle is judged again."""
    entry = None if validity.unknown else reserve(line)
    if entry is None:
        return
    verdict = {
        "until": validity.until,
        "notes": [],
        "loses": False,
        "launch": launch.kept(),
        "bundle": str(place),
        "config": digest,
    }
    try:
        written = _write(entry.path, validity.seen, verdict)
    except OSError:
        written = False
    if written:
        os.close(entry.lock)
    else:
        remove(entry)


def _write(entry: Path, seen: dict[str, dict[str, str]], statements: Mapping[str, object]) -> bool:
    """Write an entry under its name once it is whole. False where code may have changed since it was loaded."""
    known = with_code(seen)
    if known is None:
        return False
    # What is most likely to differ is looked at first.
    order = sorted(known, key=lambda kind: (kind not in cache.VARYING, kind))
    whole = {"inputs": {kind: known[kind] for kind in order}, **statements}
    text = json.dumps(whole, separators=(",", ":")).encode()
    files.replace(str(entry / cache.FILE), sha256(text).encode() + b"\n" + text)
    return True


@frozen(eq=False)
class Stored:
    """An entry on disk. ``used`` is when it was used last (nanoseconds since the epoch)."""

    path: Path
    used: int
    whole: bool

    @property
    def running(self) -> bool:
        """Whether it is in use. Raises `OSError`."""
        return locks.is_in_use(str(self.path))


def stored(base: Path) -> list[Stored]:
    """All entries of a cache, the ones used last first. Raises `OSError`."""
    found = []
    for path in base.glob("*/*"):
        try:
            found.append(Stored(path, path.lstat().st_mtime_ns, (path / cache.FILE).exists()))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return sorted(found, key=lambda item: item.used, reverse=True)


def prune(base: Path, kept: int) -> tuple[int, dict[Path, str]]:
    """Remove what is no whole entry, and those used least recently beyond ``kept``; never one that is in use. How many, and
    what could not be removed, with the reason."""
    whole = 0
    removed = 0
    left: dict[Path, str] = {}
    for item in stored(base):
        whole += item.whole
        # Of no other one the lock is asked for: in passing that would be in the way of a launch.
        if not item.whole or whole > kept:
            try:
                removed += _take_away(item.path)
            except OSError as error:
                left[item.path] = error.strerror or str(error)
    for key in base.iterdir():
        with suppress(OSError):  # not empty, or no directory
            key.rmdir()
    return removed, left


def clear() -> int:
    """Remove every entry that is not in use; how many there were. Raises `LaunchError` where that cannot be, and for a state
    directory that somebody else could have written."""
    place = state.existing()
    if place is None or not (place / places.CACHE).is_dir():
        return 0
    base = place / places.CACHE
    try:
        with Opened(locks.lock(str(base))):
            removed, left = prune(base, 0)
    except OSError as error:
        raise LaunchError(
            f"cannot clear the cache: {error.strerror}",
            origin=error.filename or base,
            hint=state.ANOTHER,
        ) from None
    for path, reason in left.items():
        raise LaunchError(
            f"{len(left)} of {removed + len(left)} entries cannot be removed: {reason}",
            origin=path,
            hint="remove it with the rights of whom its files belong to, and clear again",
        )
    return removed


def _take_away(path: Path) -> bool:
    """Remove an entry, unless it is in use. Raises `OSError`."""
    lock = locks.try_lock(str(path))
    if lock is None:
        return False
    with Opened(lock):
        _remove(path)
    return True


def _remove(path: Path) -> None:
    """Remove an entry with what its bundle has reserved in the same state directory; without its file nobody trusts it.
    Raises `OSError`."""
    with suppress(FileNotFoundError, IsADirectoryError):
        (path / cache.FILE).unlink()
    with suppress(OSError):
        bundles.remove_groups(path / cache.BUNDLE)
    home = path.parents[2]
    with suppress(OSError, LaunchError):
        names = leases.paths(read_table(str(path / cache.BUNDLE), CONFIG), CONFIG)
        leases.remove_free(tuple(name for name in names if Path(os.path.normpath(name)).is_relative_to(home)))
    trees.remove(str(path))
