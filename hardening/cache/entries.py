"""Keeping what was composed, so that a stack that has not changed is not composed again (`hardening.launch.cache` reads it).

What is kept is ready to run, for every command: a bundle in an entry of its own, whose path is known before mechanisms
contribute to it, and beside it the fingerprints of everything that decided it. These are taken after the host was checked
and before anything is contributed: a change after that makes an entry that is never valid, not one that is wrong. What was
used before that says itself what was seen of it then (`Input.seen`): the content of each profile, that no place before it
had one of its name, and that a directory of packages did not exist. The host is probed again, and code that is younger than
this process is not vouched for.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hardening.assemble import bundles
from hardening.base import files, locks, places, state, trees
from hardening.base.digest import sha256
from hardening.base.files import Opened
from hardening.base.pointer import ARGS, CONFIG, lookup
from hardening.base.values import frozen
from hardening.errors import HardeningError, LaunchError
from hardening.launch import cache, fingerprints
from hardening.launch.config.bundle import read_table
from hardening.launch.container import leases
from hardening.mechanism import inputs
from hardening.mechanism.inputs import Input, Unknown
from hardening.plugin import installed
from hardening.plugin.plugins import GROUP
from hardening.profile.layers import SUFFIX, is_path

if TYPE_CHECKING:
    from hardening.compose.composition import Composition
    from hardening.launch.cache import Line
    from hardening.launch.request import LaunchRequest
    from hardening.mechanism.fragment import Spec
    from hardening.mechanism.host import Host
    from hardening.mechanism.mechanism import Context
    from hardening.mechanism.runtime import Runtime
    from hardening.plugin.plugins import Plugins
    from hardening.profile.layers import SearchPath

#: Entries of one key, and of all. The ones used last stay.
EACH = 32
MOST = 256
#: What of a package is looked at as a module where it is loaded, or never read by a program.
_NO_DATA = (".py", ".pyc", ".pyi", ".so", "py.typed")


@frozen(eq=False)
class Entry:
    """An entry that this process makes, and holds alone: its directory, and the descriptor with the lock."""

    path: Path
    lock: int

    @property
    def bundle(self) -> Path:
        """Where its bundle is."""
        return self.path / cache.BUNDLE


@frozen(eq=False)
class Validity:
    """What decides whether an entry is valid: ``seen`` are its fingerprints, ``until`` is its last day, ``unknown``
    says what nobody can look at again, and then nothing is kept."""

    seen: dict[str, dict[str, str]]
    until: str
    unknown: tuple[str, ...]

    @property
    def passed(self) -> tuple[str, ...]:
        """The variables that are passed on as the caller has them."""
        return tuple(name for name, seen in self.seen.get("passed", {}).items() if seen != fingerprints.ABSENT)


def of_composition(
    plugins: Plugins,
    search: SearchPath,
    composition: Composition,
    context: Context,
    runtime: Runtime,
    command: Sequence[str],
) -> Validity:
    """How long a bundle that is to be composed is valid. Where the runtime reads ``command`` and variables from the
    configuration, that is good for these alone."""
    found = [
        *_of_profiles(composition, search),
        *composition.looked,
        *(
            item
            for mechanism in composition.mechanisms
            for item in mechanism.inputs(composition.settings[mechanism.name], context)
        ),
    ]
    if not runtime.takes_variables:
        found = [_as_it_is(item) for item in found]
        found += inputs.command(command)
    until = composition.until.isoformat() if composition.until is not None else ""
    return _validity(plugins, context.host, composition, runtime, found, until)


def _as_it_is(item: Input | Unknown) -> Input | Unknown:
    """An input of which the value counts that is in the configuration."""
    return Input("variable", item.argument) if isinstance(item, Input) and item.kind == "passed" else item


def of_verdict(plugins: Plugins, host: Host, runtime: Runtime, looked: Iterable[Input]) -> Validity:
    """How long the verdict on a bundle that exists is valid; ``looked`` is what the verdicts of plugins rest on. The
    command is in its configuration, which is held to its digest."""
    found = [item for item in looked if item.kind != fingerprints.COMMAND]
    return _validity(plugins, host, None, runtime, found, "")


def _validity(
    plugins: Plugins,
    host: Host,
    composition: Composition | None,
    runtime: Runtime,
    found: Iterable[Input | Unknown],
    until: str,
) -> Validity:
    everything = [
        *_of_caller(host),
        *_of_packages(),
        *found,
        *runtime.inputs(host),
        *plugins.inputs(composition, host),
    ]
    unknown = tuple(item.reason for item in everything if isinstance(item, Unknown))
    seen = {} if unknown else inputs.take([item for item in everything if not isinstance(item, Unknown)])
    return Validity(seen, until, unknown)


def _of_caller(host: Host) -> inputs.Inputs:
    yield from inputs.kernel("/proc/sys/kernel/random/boot_id", "/proc/self/uid_map")
    yield from inputs.environment("XDG_CONFIG_HOME")
    yield from inputs.accounts(host.uid)


def _of_profiles(composition: Composition, search: SearchPath) -> Iterator[Input]:
    """The profiles as they were read, and every place where one of their names was looked for: but for the one that had it,
    the search saw nothing there, whatever is there by now."""
    for file, seen in composition.stack.consulted:
        yield from inputs.file(file, seen)
    stack = composition.stack
    if any(map(_is_relative, stack.named)) or any(layer.document.depends_on_folder for layer in stack.layers):
        yield from inputs.folder()
    for layer in stack.layers:
        if layer.document.file is not None:
            yield from inputs.file(layer.document.file, layer.document.digest)
    for found in composition.stack.found:
        for folder in search.folders:
            path = folder.path / (found.name + SUFFIX)
            same = os.path.realpath(path) == os.path.realpath(found.path)
            yield from (inputs.way if same else inputs.passed_over)(os.path.abspath(path))


def _is_relative(profile: str) -> bool:
    return is_path(profile) and not os.path.isabs(state.expanded(profile))


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
    yield from (Input("packages", place, fingerprints.ABSENT) for place in installed.awaited())


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
        below[:] = [
            name for name in below if name != "__pycache__" and not os.path.exists(f"{folder}/{name}/__init__.py")
        ]
        for name in sorted(names):
            if not name.endswith(_NO_DATA):
                yield Input("code", f"{folder}/{name}")


def _started() -> int:
    """When this process began, in nanoseconds since the epoch, not later than it did (proc_pid_stat(5))."""
    ticks = int(files.process("self")[files.STARTTIME])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time_ns() - int((uptime - ticks / os.sysconf("SC_CLK_TCK")) * 1e9) - 20_000_000


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
    code = seen.get("code", {}) | {item.argument: fingerprints.take("code", item.argument) for item in _of_code()}
    started = _started()
    if any(int(text.split()[1]) >= started for text in code.values() if " " in text):
        return False
    seen = seen | {"code": code}
    # What is most likely to differ is looked at first.
    order = sorted(seen, key=lambda kind: (kind not in cache.VARYING, kind))
    whole = {"inputs": {kind: seen[kind] for kind in order}, **statements}
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
