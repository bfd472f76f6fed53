"""The packages that a root's own package manager has written down, read without it: of dpkg, opkg, apk, pacman and rpm."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from hardening.mechanism.inputs import Inputs
from hardening.mechanism.scanner import UNREAD, Detection, Package, RootEntry, ScannedRoot, Scanner
from hardening_scan import owners, rpm
from hardening_scan.malformed import Malformed

#: Bytes of a list of packages, of a file about one, and of all; fields in a paragraph, packages, and characters of these.
LONGEST, SINGLE, TOTAL, FIELDS, MOST, TEXT = 64 << 20, 1 << 20, 512 << 20, 1000, 200_000, 32 << 20
DPKG, DPKG_PARTS = "/var/lib/dpkg/status", "/var/lib/dpkg/status.d"
OPKG = ("/usr/lib/opkg/status", "/var/lib/opkg/status", "/opt/lib/opkg/status")
APK = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
PACMAN = "/var/lib/pacman/local"
RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm")
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Packages(Scanner):
    """Lists packages; it finds fault with lists that cannot be read."""

    name = "packages"
    summary = "packages that dpkg, opkg, apk, pacman or rpm have installed"
    kinds = (UNREAD,)
    lists = True

    def __init__(self, total: int = TOTAL) -> None:
        self._total = total

    def inputs(self) -> Inputs:
        return ()

    def entry(self, entry: RootEntry) -> Iterable[Detection]:
        return ()

    def packages(self, root: ScannedRoot) -> list[Package | Detection]:
        found = _Lists(root, self._total)
        found.read("dpkg", DPKG, partial(stanzas, "dpkg"))
        for name in found.names("dpkg", DPKG_PARTS):
            if not name.endswith(".md5sums"):
                found.read("dpkg", f"{DPKG_PARTS}/{name}", partial(stanzas, "dpkg"), SINGLE)
        for path in OPKG:
            found.read("opkg", path, partial(stanzas, "opkg"))
        for path in APK:
            found.read("apk", path, apk)
        for name in found.names("pacman", PACMAN):
            found.read("pacman", f"{PACMAN}/{name}/desc", pacman, SINGLE)
        for place in RPM:
            for name in rpm.READERS:
                found.read("rpm", f"{place}/{name}", partial(rpm.packages, name), rpm.LONGEST)
            found.read("rpm", f"{place}/rpmdb.sqlite-wal", _no_log, SINGLE)
        return [*found.packages, *found.unread]

    def owners(self, root: ScannedRoot, paths: Sequence[str]) -> Mapping[str, str]:
        listed = [item for item in self.packages(root) if isinstance(item, Package)]
        return owners.owners(root, paths, listed)


class _Lists:
    """Reads lists of packages: each once, however many links lead to it."""

    def __init__(self, root: ScannedRoot, total: int) -> None:
        self.packages: list[Package] = []
        self.unread: list[Detection] = []
        self._root = root
        self._seen: set[bytes] = set()
        self._text, self._left = 0, total

    def read(self, manager: str, path: str, parse: Callable[[bytes], list[Package]], longest: int = LONGEST) -> None:
        """Add the packages of a file, if there is one."""
        try:
            data = self._root.read(path, min(longest, self._left) + 1)
            self._left = max(0, self._left - len(data))
            if not self._left:
                raise Malformed("all lists together are too long")
            if len(data) > longest:
                raise Malformed(f"it is longer than {longest} bytes")
            digest = hashlib.sha256(data, usedforsecurity=False).digest()
            if digest in self._seen:
                return
            self._seen.add(digest)
            found = parse(data)
            self._text += sum(len(item.name) + len(item.version) + len(item.architecture) for item in found)
            if len(self.packages) + len(found) > MOST or self._text > TEXT:
                raise Malformed(f"there are more than {MOST} packages, or their names are too long")
            self.packages.extend(found)
        except OSError as error:
            self._tell(manager, path, error)
        except Malformed as error:
            self._tell(manager, path, error)

    def names(self, manager: str, path: str) -> list[str]:
        """The names in a directory of lists, if there is one."""
        try:
            return sorted(self._root.names(path))
        except OSError as error:
            self._tell(manager, path, error)
            return []

    def _tell(self, manager: str, path: str, error: OSError | Malformed) -> None:
        if isinstance(error, OSError) and error.errno in _ABSENT:
            return
        why = error.strerror if isinstance(error, OSError) else error
        self.unread.append(Detection(UNREAD, path, f"the packages of {manager} cannot be read: {why}"))


def stanzas(manager: str, data: bytes) -> list[Package]:
    """The installed packages of a status file of dpkg or opkg (deb822(5)). Raises `Malformed`."""
    found = []
    for number, fields in enumerate(_paragraphs(data, _deb822), 1):
        if "package" not in fields:
            raise Malformed(f"paragraph {number} names no package")
        if fields.get("status", "install ok installed").endswith(" installed"):
            if not fields.get("version"):
                raise Malformed(f"paragraph {number} names no version")
            found.append(Package(manager, fields["package"], fields["version"], fields.get("architecture", "")))
    return found


def apk(data: bytes) -> list[Package]:
    """The packages of an installed database of apk. Raises `Malformed`."""
    found = []
    for number, fields in enumerate(_paragraphs(data, _letter), 1):
        if not fields.get("P") or not fields.get("V"):
            raise Malformed(f"paragraph {number} names no package, or no version")
        found.append(Package("apk", fields["P"], fields["V"], fields.get("A", "")))
    return found


def pacman(data: bytes) -> list[Package]:
    """The package of a `desc` of pacman's local database: paragraphs of a name between % and values. Raises `Malformed`."""
    fields: dict[str, str] = {}
    for said in _paragraphs(data, _percent):
        fields |= said
    if not fields.get("%NAME%") or not fields.get("%VERSION%"):
        raise Malformed("it names no package, or no version")
    return [Package("pacman", fields["%NAME%"], fields["%VERSION%"], fields.get("%ARCH%", ""))]


Line = Callable[[dict[str, str], str], None]


def _deb822(fields: dict[str, str], line: str) -> None:
    if line[:1] in (" ", "\t"):
        return
    name, colon, value = line.partition(":")
    if not colon or not name or name.lower() in fields:
        raise Malformed("a line is not a field, or a field is there twice")
    fields[name.lower()] = value.strip()


def _letter(fields: dict[str, str], line: str) -> None:
    if line[1:2] != ":":
        raise Malformed("a line is not a field")
    fields[line[0]] = line[2:]


def _percent(fields: dict[str, str], line: str) -> None:
    """The first line of a paragraph is its name, the second what counts here."""
    if not fields:
        if not (line.startswith("%") and line.endswith("%") and len(line) > 2):
            raise Malformed("a paragraph has no name")
        fields[line] = ""
    else:
        ((name, value),) = fields.items()
        fields[name] = value or line


def _paragraphs(data: bytes, take: Line) -> Iterator[dict[str, str]]:
    """The paragraphs of a text, one at a time: what is hostile may have millions of lines."""
    if b"\0" in data:
        raise Malformed("it is not text")
    fields: dict[str, str] = {}
    count = 0
    for row in io.BytesIO(data):
        if row.strip():
            take(fields, row.decode("utf-8", "backslashreplace").rstrip("\r\n"))
            if len(fields) > FIELDS:
                raise Malformed(f"a paragraph has more than {FIELDS} fields")
        elif fields:
            count += 1
            if count > MOST:
                raise Malformed(f"there are more than {MOST} packages")
            yield fields
            fields = {}
    if fields:
        yield fields


def _no_log(data: bytes) -> list[Package]:
    """SQLite's write-ahead log, which is empty where rpm has ended by itself. Raises `Malformed`."""
    if data:
        raise Malformed("rpm was ended before it had taken over what it wrote; `rpm --rebuilddb` does")
    return []
