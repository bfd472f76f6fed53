"""The packages that a root's own package manager has written down, read without it: of dpkg and apk."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator

from hardening.scankinds import UNREAD
from hardening.scanning import Entry, Found, Package, Root, Scanner

#: Bytes of a list of packages, and files in a directory of them.
LONGEST, MOST = 64 << 20, 10_000
DPKG, DPKG_PARTS, APK = "/var/lib/dpkg/status", "/var/lib/dpkg/status.d", "/lib/apk/db/installed"
RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/usr/share/rpm")
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class Malformed(ValueError):
    """A list of packages that is none."""


class Packages(Scanner):
    """Lists packages; it finds fault with lists that cannot be read."""

    name = "packages"
    summary = "packages that dpkg or apk have installed"
    kinds = (UNREAD,)

    def entry(self, entry: Entry) -> Iterable[Found]:
        return ()

    def whole(self, root: Root) -> Iterator[Found]:
        yield from self._read(root, DPKG, "dpkg")
        yield from self._read(root, APK, "apk")
        try:
            parts = sorted(root.names(DPKG_PARTS))[:MOST]
        except OSError:
            parts = []
        for name in parts:
            if not name.endswith(".md5sums"):
                yield from self._read(root, f"{DPKG_PARTS}/{name}", "dpkg")
        for place in RPM:
            try:
                there = sorted(root.names(place))
            except OSError:
                continue
            if any(name.startswith(("rpmdb.sqlite", "Packages")) for name in there):
                yield Found(UNREAD, place, "the packages of rpm are not listed: no reader of its database is used")

    def _read(self, root: Root, path: str, manager: str) -> Iterator[Found]:
        try:
            data = root.read(path, LONGEST + 1)
            if len(data) > LONGEST:
                raise Malformed("it is too long")
            root.packages.extend((dpkg if manager == "dpkg" else apk)(data))
        except OSError as error:
            if error.errno not in _ABSENT:
                yield Found(UNREAD, path, f"the packages of {manager} cannot be read: {error.strerror}")
        except Malformed as error:
            yield Found(UNREAD, path, f"the packages of {manager} cannot be read: {error}")


def dpkg(data: bytes) -> list[Package]:
    """The installed packages of a status file (deb822(5)). Raises `Malformed`."""
    found = []
    for number, stanza in enumerate(_stanzas(data), 1):
        fields: dict[str, str] = {}
        for line in stanza:
            if line[:1] in (" ", "\t"):
                continue
            name, colon, value = line.partition(":")
            if not colon or not name or name.lower() in fields:
                raise Malformed(f"paragraph {number} is malformed")
            fields[name.lower()] = value.strip()
        if "package" not in fields:
            raise Malformed(f"paragraph {number} names no package")
        if fields.get("status", "install ok installed").endswith(" installed"):
            if not fields.get("version"):
                raise Malformed(f"paragraph {number} names no version")
            found.append(Package("dpkg", fields["package"], fields["version"], fields.get("architecture", "")))
    return found


def apk(data: bytes) -> list[Package]:
    """The packages of an installed database of apk. Raises `Malformed`."""
    found = []
    for number, stanza in enumerate(_stanzas(data), 1):
        fields = dict(line.split(":", 1) for line in stanza if line[1:2] == ":")
        if not fields.get("P") or not fields.get("V"):
            raise Malformed(f"paragraph {number} names no package, or no version")
        found.append(Package("apk", fields["P"], fields["V"], fields.get("A", "")))
    return found


def _stanzas(data: bytes) -> Iterator[list[str]]:
    stanza: list[str] = []
    if b"\0" in data:
        raise Malformed("it is no text")
    for line in [*data.decode("utf-8", "backslashreplace").split("\n"), ""]:
        if line.strip():
            stanza.append(line.rstrip("\r"))
        elif stanza:
            yield stanza
            stanza = []
