"""A root as scanners see it: through a mount that is read-only, without devices, setuid and programs, which has no path.

Every file is opened as a place only (O_PATH), by its name in a directory that is held open, and never through a link or
into another file system; only regular ones are ever opened for reading.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import attrs

from hardening.base.linux import abi, kernel
from hardening.base.values import frozen
from hardening.mechanism.scanner import DENIABLE, EXTERNAL, UNREAD, Detection, Package, RootEntry, ScannedRoot, Scanner

#: Files in all, directories below one another, findings of a kind, characters of these, and names in a directory of lists.
ENTRIES, DEPTH, FINDINGS, TEXT, NAMES = 5_000_000, 200, 20_000, 8 << 20, 100_000
_SAFE = abi.MOUNT_ATTR_RDONLY | abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV | abi.MOUNT_ATTR_NOEXEC
_RESOLVE = abi.IN_ROOT | abi.RESOLVE_NO_XDEV


@frozen(eq=False)
class WalkLimits:
    """How much of a root is looked at: how many files, how deep, how many findings of a kind and characters of these; and
    the seconds for one file, for the whole root by one scanner, for all files, and of a processor for everything."""

    entries: int = ENTRIES
    depth: int = DEPTH
    findings: int = FINDINGS
    text: int = TEXT
    file: float = 60
    whole: float = 900
    patience: float = 1800
    processor: float = 3600


def mounted(path: str) -> int:
    """A descriptor of a mount of a directory that is nowhere attached. An ordinary user is moved into a user namespace for
    it. Raises `OSError`."""
    ids = os.geteuid(), os.getegid()
    try:
        return _tree(path)
    except PermissionError:
        kernel.unshare(abi.CLONE_NEWUSER | abi.CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{ids[0]} {ids[0]} 1"),
        ("gid_map", f"{ids[1]} {ids[1]} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return _tree(path)


def _tree(path: str) -> int:
    tree = kernel.open_tree(abi.AT_FDCWD, os.fsencode(path), abi.OPEN_TREE_CLONE | abi.AT_RECURSIVE)
    try:
        kernel.mount_setattr(tree, add=_SAFE, recursive=True)
    except OSError:
        os.close(tree)
        raise
    return tree


def concerns(scanner: Scanner) -> frozenset[str]:
    """The kinds that a scanner has to do with. Scanners of other packages may judge by the packages that it lists."""
    return frozenset(scanner.kinds).difference((UNREAD,)).union((EXTERNAL,) if scanner.lists else ())


def scan(tree: int, scanners: Sequence[Scanner], limits: WalkLimits) -> dict[str, Any]:
    """Everything that scanners find, as JSON data: ``findings`` and ``packages``, sorted, and ``entries``, how many files
    there are. The last of each finding are the kinds that may be there as well, where it could not be looked at. To be
    called in a process of its own: it takes the timers."""
    signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_PROF, limits.processor)  # what holds the interpreter gets no signal, and so an end
    walk = _Walk(tree, scanners, limits)
    walk.run()
    root = ScannedRoot(tree, walk.read_path, walk.names)
    packages = [item for scanner in scanners if scanner.lists for item in walk.packages(scanner, root)]
    root = attrs.evolve(root, packages=tuple(packages))
    for scanner in scanners:
        walk.whole(scanner, root)
    return {
        "findings": sorted((item.kind, item.path, item.detail, sorted(may_be)) for item, may_be in walk.found),
        "packages": sorted(_row(package) for package in packages),
        "entries": walk.entries,
    }


def _row(package: Package) -> tuple[str, str, str, str]:
    return package.manager, package.name, package.version, package.architecture


class _Full(Exception):
    """A limit was reached."""


class _Late(BaseException):
    """A patience is at its end. No exception of the usual kind: a scanner that swallows those goes on for ever."""


def _late(number: int, frame: object) -> None:
    raise _Late


class _Walk:
    """One walk through a root. Directories are held open down to the one that is being listed."""

    def __init__(self, tree: int, scanners: Sequence[Scanner], limits: WalkLimits) -> None:
        self.found: list[tuple[Detection, frozenset[str]]] = []
        self.entries = 0
        self._counts: Counter[str] = Counter()
        self._characters: Counter[str] = Counter()
        self._tree, self._scanners, self._limits = tree, scanners, limits
        self._concerns = {scanner: concerns(scanner) for scanner in scanners}
        self._late: set[Scanner] = set()
        self._end = time.monotonic() + limits.patience

    def run(self) -> None:
        """Show every file to every scanner."""
        self._wait(self._limits.file)
        top = os.open(f"/proc/self/fd/{self._tree}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._show("/", top)
        finally:
            os.close(top)
        stack: list[tuple[int, str, Iterator[str]]] = []
        path = "/"
        try:
            self._enter(stack, self._tree, "")
            while stack:
                folder, path, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(stack.pop()[0])
                    continue
                self._visit(stack, folder, f"{path}/{name}", name)
        except _Full as full:
            self._unread("/", str(full))
        except _Late:
            self._unread("/", f"{path or '/'} cannot be listed in time: the rest is not looked at")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for descriptor, *_ in stack:
                os.close(descriptor)

    def packages(self, scanner: Scanner, root: ScannedRoot) -> list[Package]:
        """The packages that a scanner lists."""
        packages: list[Package] = []

        def others() -> Iterator[Detection]:
            for item in scanner.packages(root):
                if isinstance(item, Package):
                    packages.append(item)
                else:
                    yield item

        self._wait(self._limits.whole)
        self._ask(scanner, "/", others)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return packages

    def whole(self, scanner: Scanner, root: ScannedRoot) -> None:
        """Show the root as a whole to a scanner."""
        self._wait(self._limits.whole)
        self._ask(scanner, "/", lambda: scanner.whole(root))
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ask(self, scanner: Scanner, path: str, question: Callable[[], Iterable[Detection]]) -> None:
        """Keep what a scanner finds. What it fails with is no acceptance, and keeps no other scanner from its work. One that
        has once taken too long is not asked again: it would take as long for each file."""
        if scanner in self._late:
            return
        may_be = self._concerns[scanner]
        try:
            for item in question():
                if item.kind != UNREAD and item.kind not in scanner.kinds:
                    self._unread("/", f"the scanner {scanner.name} finds the kind {item.kind}, which it does not name")
                else:
                    self._add(item, may_be)
        except MemoryError:
            raise
        except _Late:
            self._late.add(scanner)
            said = f"the scanner {scanner.name} takes too long with {path}, and is not asked again"
            self._unread("/", said, may_be)
            self._wait(self._limits.file)
        except OSError as error:
            self._unread(path, f"the scanner {scanner.name} cannot look at it: {error.strerror}", may_be)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a fault of some package: it refuses, and hides nothing of the others
            self._unread(path, f"the scanner {scanner.name} failed: {type(error).__name__}", may_be)

    @staticmethod
    def _wait(seconds: float) -> None:
        """`_Late` after so long, and again each second for who catches even that."""
        signal.setitimer(signal.ITIMER_REAL, seconds, 1)

    def _unread(self, path: str, why: str, may_be: frozenset[str] = frozenset(DENIABLE)) -> None:
        self._add(Detection(UNREAD, path, why), may_be)

    def _add(self, item: Detection, may_be: frozenset[str]) -> None:
        """Keep a finding. Each kind has limits of its own: many of one do not hide another."""
        if self._counts[item.kind] < 0:
            return
        self._counts[item.kind] += 1
        self._characters[item.kind] += len(item.path) + len(item.detail)
        if self._counts[item.kind] <= self._limits.findings and self._characters[item.kind] <= self._limits.text:
            self.found.append((item, may_be))
            return
        self._counts[item.kind] = -1
        said = Detection(UNREAD, "/", f"there are too many findings of the kind {item.kind}: the rest is left out")
        self.found.append((said, frozenset(DENIABLE if item.kind == UNREAD else (item.kind,))))

    def _enter(self, stack: list[tuple[int, str, Iterator[str]]], place: int, path: str) -> None:
        """Begin with a directory that ``place`` holds open."""
        if len(stack) >= self._limits.depth:
            self._unread(path, f"more than {self._limits.depth} directories deep")
            return
        try:
            folder = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._unread(path or "/", f"cannot be listed: {error.strerror}")
            return
        stack.append((folder, path, self._listed(folder, path)))

    def _listed(self, folder: int, path: str) -> Iterator[str]:
        try:
            with os.scandir(folder) as listed:
                for item in listed:
                    yield item.name
        except OSError as error:
            self._unread(path or "/", f"cannot be listed: {error.strerror}")

    def _visit(self, stack: list[tuple[int, str, Iterator[str]]], folder: int, path: str, name: str) -> None:
        self.entries += 1
        if self.entries > self._limits.entries:
            raise _Full(f"more than {self._limits.entries} files: the rest is not looked at")
        if time.monotonic() > self._end:
            raise _Full(f"it takes longer than {self._limits.patience:.0f} seconds: the rest is not looked at")
        self._wait(self._limits.file)
        try:
            place = kernel.openat2(folder, os.fsencode(name), os.O_PATH | os.O_NOFOLLOW, _RESOLVE)
        except OSError as error:
            if error.errno != errno.ENOENT:  # gone meanwhile
                why = "another file system is mounted there" if error.errno == errno.EXDEV else error.strerror
                self._unread(path, f"is not looked at: {why}")
            return
        try:
            if stat.S_ISDIR(self._show(path, place).st_mode):
                self._enter(stack, place, path)
        finally:
            os.close(place)

    def _show(self, path: str, place: int) -> os.stat_result:
        status = os.fstat(place)
        entry = RootEntry(path, status, place, _reader(place, status), partial(_pieces, place, status))
        for scanner in self._scanners:
            self._ask(scanner, path, partial(scanner.entry, entry))
        return status

    def _place(self, path: str) -> int:
        return kernel.openat2(self._tree, os.fsencode(path), os.O_PATH, _RESOLVE)

    def read_path(self, path: str, most: int) -> bytes:
        """The first bytes of a regular file."""
        place = self._place(path)
        try:
            return _reader(place, os.fstat(place))(most)
        finally:
            os.close(place)

    def names(self, path: str) -> list[str]:
        """The names in a directory. Raises `OSError` for one with more than `NAMES`."""
        place = self._place(path)
        try:
            with os.scandir(f"/proc/self/fd/{place}") as listed:
                found = [item.name for item in islice(listed, NAMES + 1)]
        finally:
            os.close(place)
        if len(found) > NAMES:
            raise OSError(errno.E2BIG, f"more than {NAMES} names are in it")
        return found


def _opened(place: int, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _pieces(place: int, status: os.stat_result, size: int) -> Iterator[bytes]:
    opened = _opened(place, status)
    try:
        while piece := os.read(opened, size):
            yield piece
    finally:
        os.close(opened)


def _reader(place: int, status: os.stat_result) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        opened = _opened(place, status)
        try:
            most = min(most, status.st_size)  # which is what the buffer takes
            data = os.read(opened, most)
            while 0 < len(data) < most and (more := os.read(opened, most - len(data))):
                data += more
            return data
        finally:
            os.close(opened)

    return read
