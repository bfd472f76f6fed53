"""Which package has a file, as the lists of dpkg, apk and pacman say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hardening.mechanism.scanner import Package, ScannedRoot

INFO, APK, PACMAN = (
    "/var/lib/dpkg/info",
    ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"),
    "/var/lib/pacman/local",
)
#: Bytes of one list and of all, and lists.
LONGEST, TOTAL, LISTS = 64 << 20, 512 << 20, 100_000


def owners(root: ScannedRoot, paths: Sequence[str], packages: Sequence[Package]) -> Mapping[str, str]:
    """The name and version of the package that has each path, as far as a list names it. What cannot be read has none."""
    versions = {(item.manager, item.name): item.version for item in packages}
    wanted = {name: path for path in paths for name in _names(path)}
    found: dict[str, str] = {}
    for manager, package, files in _lists(root):
        for path in files & wanted.keys():
            version = versions.get((manager, package), "")
            found.setdefault(wanted[path], f"{package} {version}".strip())
    return found


def _names(path: str) -> Iterator[str]:
    """A path, and the one that it has where `/bin`, `/sbin` and `/lib` are no links to those of `/usr`."""
    yield path
    if path.startswith(("/usr/bin/", "/usr/sbin/", "/usr/lib")):
        yield path.removeprefix("/usr")


def _lists(root: ScannedRoot) -> Iterator[tuple[str, str, set[str]]]:
    """The manager, the name and the files of each package."""
    left = TOTAL
    for name in _listed(root, INFO):
        if name.endswith(".list") and left > 0:
            data = _read(root, f"{INFO}/{name}", min(left, LONGEST))
            left -= len(data)
            yield "dpkg", name.removesuffix(".list").partition(":")[0], set(_text(data).splitlines())
    for path in APK:
        yield from _of_apk(_text(_read(root, path, LONGEST)))
    for name in _listed(root, PACMAN):
        if left > 0:
            data = _read(root, f"{PACMAN}/{name}/files", min(left, LONGEST))
            left -= len(data)
            yield "pacman", name.rsplit("-", 2)[0], {f"/{line}" for line in _text(data).splitlines()}


def _of_apk(text: str) -> Iterator[tuple[str, str, set[str]]]:
    """Paragraphs with the package (``P:``), and each directory (``F:``) before its files (``R:``)."""
    for paragraph in text.split("\n\n"):
        package, folder, files = "", "", set[str]()
        for line in paragraph.splitlines():
            if line.startswith("P:"):
                package = line[2:]
            elif line.startswith("F:"):
                folder = line[2:]
            elif line.startswith("R:"):
                files.add("/" + "/".join(part for part in (folder, line[2:]) if part))
        if package:
            yield "apk", package, files


def _listed(root: ScannedRoot, path: str) -> list[str]:
    try:
        return sorted(root.names(path))[:LISTS]
    except OSError:
        return []


def _read(root: ScannedRoot, path: str, most: int) -> bytes:
    try:
        return root.read(path, most)
    except OSError:
        return b""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
