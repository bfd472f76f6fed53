"""Storing what was composed, so that a stack that has not changed is not composed again (`hardening.launch.plans` reads it).

What is stored is ready to run: a bundle in a slot of its own, whose path is known before mechanisms contribute to it, and
beside it everything that decided it. The inputs are looked at after the host was checked and before anything is contributed:
a change after that makes the plan one that never counts, not one that counts wrongly. What was used before that says itself
what was seen of it then (`Input.seen`): the content of each profile, that no place before it had one of its name, and that
a directory of packages did not exist. The host is probed again, and code that is younger than this process is not vouched
for.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hardening.assemble import bundle, bundles
from hardening.base import files, locks, places, state
from hardening.base.digest import sha256
from hardening.base.locks import Locked
from hardening.base.pointer import CONFIG
from hardening.base.values import frozen
from hardening.errors import HardeningError, LaunchError
from hardening.launch import looks, plans
from hardening.launch.config.bundle import read_table
from hardening.launch.container import leases
from hardening.mechanism import inputs
from hardening.mechanism.inputs import Input, Unknown
from hardening.plugin import installed
from hardening.plugin.plugins import GROUP
from hardening.profile.layers import SUFFIX

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.launch.request import LaunchRequest
    from hardening.mechanism.fragment import Spec
    from hardening.mechanism.host import Host
    from hardening.mechanism.mechanism import Context
    from hardening.mechanism.runtime import Runtime
    from hardening.plugin.plugins import Plugins
    from hardening.profile.layers import SearchPath

#: Slots of one command line, and of all: those in use besides are made for one run. The ones used last stay.
SLOTS_EACH = 32
SLOTS = 256
#: What of a package is looked at as a module where it is loaded, or never read by a program.
_NO_DATA = (".py", ".pyc", ".pyi", ".so", "py.typed")


@frozen(eq=False)
class Slot:
    """A slot that this process holds: its directory, and the descriptor with the lock."""

    path: Path
    lock: int

    @property
    def bundle(self) -> Path:
        """Where its bundle is."""
        return self.path / plans.BUNDLE


@frozen(eq=False)
class Basis:
    """What decided a composition: ``seen`` are the texts of its looks, ``until`` is the last day on which it counts,
    ``unknown`` says what no look can tell, and then nothing is stored."""

    seen: dict[str, dict[str, str]]
    until: str
    unknown: tuple[str, ...]


def of_composition(
    plugins: Plugins, search: SearchPath, composition: Composition, context: Context, runtime: Runtime
) -> Basis:
    """The basis of a bundle that is to be composed."""
    found = [
        *_of_profiles(composition, search),
        *composition.looked,
        *(
            item
            for mechanism in composition.mechanisms
            for item in mechanism.inputs(composition.settings[mechanism.name], context)
        ),
    ]
    until = composition.until.isoformat() if composition.until is not None else ""
    return _basis(plugins, context.host, composition, runtime, found, until)


def of_verdict(plugins: Plugins, host: Host, runtime: Runtime, looked: Iterable[Input]) -> Basis:
    """The basis of the verdict on a bundle that exists; ``looked`` is what the verdicts of plugins rest on."""
    return _basis(plugins, host, None, runtime, looked, "")


def _basis(
    plugins: Plugins,
    host: Host,
    composition: Composition | None,
    runtime: Runtime,
    found: Iterable[Input | Unknown],
    until: str,
) -> Basis:
    everything = [
        *_of_caller(host),
        *_of_packages(),
        *found,
        *runtime.inputs(host),
        *plugins.inputs(composition, host),
    ]
    unknown = tuple(item.reason for item in everything if isinstance(item, Unknown))
    seen = {} if unknown else inputs.take([item for item in everything if not isinstance(item, Unknown)])
    return Basis(seen, until, unknown)


def _of_caller(host: Host) -> inputs.Inputs:
    yield from inputs.kernel("/proc/sys/kernel/random/boot_id", "/proc/self/uid_map")
    yield from inputs.environment("XDG_CONFIG_HOME")
    yield from inputs.accounts(host.uid)


def _of_profiles(composition: Composition, search: SearchPath) -> Iterator[Input]:
    """The profiles as they were read, and every place where one of their names was looked for: but for the one that had it,
    the search saw nothing there, whatever is there by now."""
    for file, seen in composition.stack.consulted:
        yield from inputs.file(file, seen)
    for layer in composition.stack.layers:
        if layer.document.file is not None:
            yield from inputs.file(layer.document.file, layer.document.digest)
    for found in composition.stack.found:
        for folder in search.folders:
            path = folder.path / (found.name + SUFFIX)
            same = os.path.realpath(path) == os.path.realpath(found.path)
            yield from (inputs.way if same else inputs.passed_over)(os.path.abspath(path))


def _of_packages() -> Iterator[Input]:
    """Which packages there are, and what they announce to this program."""
    yield Input("code", sys.executable)
    yield Input("code", os.path.join(sys.prefix, "pyvenv.cfg"))
    library = os.path.dirname(os.__file__)
    for place in dict.fromkeys(os.path.abspath(entry) for entry in sys.path):
        # The standard library's directory has hundreds of names, and changes with the system only.
        yield Input("code" if place.startswith(library) and "-packages" not in place else "packages", place)
        for folder in installed.distributions(place):
            if f"[{GROUP}" in installed.announced(folder):
                # The headers say which version of this program each plugin is made for.
                for name in (installed.ENTRY_POINTS, *installed.HEADERS):
                    yield Input("code", os.path.join(folder, name))
    # One that is made in the meantime has not been asked for what it brings.
    yield from (Input("packages", place, looks.ABSENT) for place in installed.awaited())


def _of_code() -> Iterator[Input]:
    """The modules that took part, but for those of the standard library, and the data that lies in their packages."""
    library = os.path.dirname(os.__file__)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not file or (os.path.dirname(file).startswith(library) and "-packages" not in file):
            continue
        yield Input("code", os.path.abspath(file))
        for folder in getattr(module, "__path__", ()):
            yield from _of_data(os.path.abspath(folder))


def _of_data(package: str) -> Iterator[Input]:
    """The files of a package that are no modules: one may decide as much as code does (a table of groups)."""
    for folder, below, names in os.walk(package):
        below[:] = [name for name in below if name != "__pycache__" and not _is_package(f"{folder}/{name}")]
        for name in sorted(names):
            if not name.endswith(_NO_DATA):
                yield Input("code", f"{folder}/{name}")


def _is_package(folder: str) -> bool:
    return os.path.exists(f"{folder}/__init__.py")


def _started() -> int:
    """When this process began, in nanoseconds since the epoch, not later than it did (proc_pid_stat(5))."""
    ticks = int(files.process("self")[files.STARTTIME])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time_ns() - int((uptime - ticks / os.sysconf("SC_CLK_TCK")) * 1e9) - 20_000_000


def shelf(words: Sequence[str]) -> Path:
    """Where the slots of a command line are. Raises `OSError`."""
    return state.location() / places.PLANS / plans.key(words)


def has_room(words: Sequence[str]) -> bool:
    """Whether a slot for a command line could be had now. Nothing is written for that."""
    try:
        place = shelf(words)
        if not place.is_dir():
            return True
        return (
            sum(item.whole or item.running for item in stored(place.parent) if item.path.parent == place) < SLOTS_EACH
        )
    except OSError:
        return False


def reserve(words: Sequence[str]) -> Slot | None:
    """A new slot for a command line; None where none can be had, for which no reason stops a run."""
    try:
        state.directory()
        place = shelf(words)
        for path in (place.parent, place):
            state.make(path)
            os.close(plans.own(str(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
        with Locked(locks.lock(str(place.parent))):
            evict(place.parent, SLOTS - 1)
            state.make(place)
            if len(os.listdir(place)) >= SLOTS_EACH:
                return None
            path = place / places.new_id()
            state.make(path)
            return Slot(path, locks.lock(str(path)))
    except (OSError, HardeningError):
        return None


def drop(slot: Slot) -> None:
    """Give a slot up, with all that is in it."""
    _remove(slot.path)
    os.close(slot.lock)


def store(
    slot: Slot,
    basis: Basis,
    launch: LaunchRequest,
    spec: Spec,
    notes: Sequence[str],
    looked: Iterable[Input] = (),
    typed: Mapping[str, list[int]] = MappingProxyType({}),
    *,
    loses: bool = False,
    lasting: bool = True,
) -> bool:
    """Write the bundle of a slot, and its plan if it is ``lasting``. False where the bundle is good for one run only.
    ``looked`` is what decided the notes and the verdicts, ``typed`` where the line has the values of variables of which the
    configuration has the names alone (`hardening.launch.config.variables`); a run that ``loses`` its input says so. Raises
    `LaunchError` where the bundle cannot be written."""
    bundle.write(spec, slot.bundle, private=True)
    if not lasting:
        return False
    contents = {name: content for name, content in spec.files.items() if isinstance(content, bytes)}
    try:
        digests = {name: sha256(content) for name, content in contents.items() if content}
        seen = {kind: dict(table) for kind, table in basis.seen.items()}
        later = [*looked, *(Input("name", path) for path in leases.paths(spec.document, CONFIG))]
        for kind, table in inputs.take(later).items():
            seen[kind] = table | seen.get(kind, {})
        return _write(
            slot.path,
            seen,
            {
                "until": basis.until,
                "notes": list(notes),
                "loses": loses,
                "launch": launch.kept(),
                "bundle": "",
                "config": sha256(spec.config),
                "files": digests,
                "typed": dict(typed),
                "tree": looks.tree(str(slot.bundle)),
            },
        )
    except OSError:
        return False


def store_verdict(words: Sequence[str], basis: Basis, launch: LaunchRequest, place: Path, digest: str) -> None:
    """Keep that a bundle elsewhere, whose configuration has this SHA-256, was admitted. A failure to write is no error: the
    bundle is judged again."""
    slot = None if basis.unknown else reserve(words)
    if slot is None:
        return
    plan = {
        "until": basis.until,
        "notes": [],
        "loses": False,
        "launch": launch.kept(),
        "bundle": str(place),
        "config": digest,
    }
    try:
        written = _write(slot.path, basis.seen, plan)
    except OSError:
        written = False
    if written:
        os.close(slot.lock)
    else:
        drop(slot)


def _write(slot: Path, seen: dict[str, dict[str, str]], plan: Mapping[str, object]) -> bool:
    """Write a plan under its name once it is whole. False where code may have changed since it was loaded."""
    code = seen.get("code", {}) | {item.argument: looks.look("code", item.argument) for item in _of_code()}
    started = _started()
    if any(int(text.split()[1]) >= started for text in code.values() if " " in text):
        return False
    seen = seen | {"code": code}
    # What is most likely to differ is looked at first.
    order = sorted(seen, key=lambda kind: (kind != "variable", kind))
    whole = {"inputs": {kind: seen[kind] for kind in order}, **plan}
    text = json.dumps(whole, separators=(",", ":")).encode()
    partial = slot / f".{plans.FILE}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(sha256(text).encode() + b"\n" + text)
    partial.rename(slot / plans.FILE)
    return True


@frozen(eq=False)
class Stored:
    """A slot on disk. ``used`` is when it was used last (nanoseconds since the epoch), ``running`` whether it is in use."""

    path: Path
    used: int
    running: bool
    whole: bool


def stored(base: Path) -> list[Stored]:
    """All slots below a folder of plans, the ones used last first. Raises `OSError`."""
    found = []
    for path in base.glob("*/*"):
        try:
            used, running = path.lstat().st_mtime_ns, locks.is_locked(str(path))
        except (FileNotFoundError, NotADirectoryError):
            continue
        found.append(Stored(path, used, running, (path / plans.FILE).exists()))
    return sorted(found, key=lambda item: item.used, reverse=True)


def evict(base: Path, kept: int) -> int:
    """Remove slots that hold no plan, and those used least recently beyond ``kept``; never one that is in use. How many."""
    whole = 0
    removed = 0
    for item in stored(base):
        whole += item.whole or item.running
        if not item.running and (not item.whole or whole > kept):
            removed += _take_away(item.path)
    for shelf in base.iterdir():
        with suppress(OSError):  # not empty, or no directory
            shelf.rmdir()
    return removed


def clear() -> int:
    """Remove every slot that is not in use; how many there were. Raises `LaunchError` where that cannot be, and for a state
    directory that somebody else could have written."""
    place = state.existing()
    if place is None or not (place / places.PLANS).is_dir():
        return 0
    base = place / places.PLANS
    try:
        with Locked(locks.lock(str(base))):
            return evict(base, 0)
    except OSError as error:
        raise LaunchError(
            f"cannot remove what is kept of earlier runs: {error.strerror}",
            origin=error.filename or base,
            hint="remove it, or set HARDENING_STATE to another directory of your own",
        ) from None


def _take_away(path: Path) -> bool:
    lock = locks.try_lock(str(path))
    if lock is None:
        return False
    try:
        _remove(path)
    finally:
        os.close(lock)
    return True


def _remove(path: Path) -> None:
    """Remove a slot with what its bundle has reserved in the same state directory; what has no plan any more is believed by
    nobody."""
    with suppress(FileNotFoundError, IsADirectoryError):
        (path / plans.FILE).unlink()
    with suppress(OSError):
        bundles.remove_groups(path / plans.BUNDLE)
    place = path.parents[2]
    with suppress(OSError, LaunchError):
        names = leases.paths(read_table(str(path / plans.BUNDLE), CONFIG), CONFIG)
        leases.remove_free(tuple(name for name in names if Path(os.path.normpath(name)).is_relative_to(place)))
    bundles.discard(path)
