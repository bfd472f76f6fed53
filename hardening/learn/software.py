"""The software that runs have executed: packages with their versions, and digests of what no package has; and what has
become of it since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from hardening.base.files import is_below
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.elf.closure import LinkingRoot
from hardening.images.unpacking import child
from hardening.mechanism import outside
from hardening.mechanism.host import Host
from hardening.mechanism.mechanism import Context
from hardening.mechanism.roles import RootDirectory
from hardening.mechanism.scanner import Package, ScannedRoot, Scanner
from hardening.profile.fingerprint import ALGORITHM, Fingerprint, is_pair
from hardening.profile.layers import Layer


@frozen
class Software:
    """Packages, each a name and a version, and the digests of files by their paths, sorted."""

    packages: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


def of_paths(
    paths: Collection[str], composition: Composition, context: Context, scanners: Sequence[Scanner], host: Host
) -> Software:
    """What these programs and libraries, by their paths inside, are. One that nobody here may read, that was there for the
    run alone, or that no layer could name is left out."""
    paths = [path for path in paths if path.isprintable()]
    root = context.of(RootDirectory)
    directory = str(root.directory()) if root is not None else "/"
    mounted = [] if root is None else [*(volume.target for volume in root.mounted_volumes()), *root.mounted_tmpfs()]
    own = sorted(path for path in paths if not any(is_below(path, place) for place in mounted))
    places = {path: seen.place for path in sorted(paths) if (seen := outside.look(context, path)) is not None}

    def look(_: child.Tell) -> Mapping[str, Any]:
        tree = _tree(directory)
        known = (item for scanner in scanners for item in scanner.owners(tree, own).items())
        owners = {path: words for path, words in known if is_pair(words)}  # with a version
        digests = ((path, _digest(place)) for path, place in places.items() if path not in owners)
        return {"packages": sorted({*owners.values()}), "files": {path: digest for path, digest in digests if digest}}

    found = child.run(look, composition.image_ids(host))
    return Software(tuple(found["packages"]), tuple(found["files"].items()))


def age(
    layers: Iterable[Layer],
    directories: Sequence[str],
    host: Host,
    scanners: Sequence[Scanner],
    further: Collection[str] = (),
) -> Iterator[str]:
    """In words, which of these layers were learnt from other software than there is; the rest as for `changes`."""
    for layer in layers:
        for change in () if layer.learnt is None else changes(layer.learnt, directories, host, scanners, further):
            yield f"{layer.place}: {change}: learn it again, or review what is new"


def changes(
    learnt: Fingerprint,
    directories: Sequence[str],
    host: Host,
    scanners: Sequence[Scanner],
    further: Iterable[str] = (),
) -> Iterator[str]:
    """In words, what is no more as it was learnt, in a root that consists of directories, the first of which has what it
    has; ``further`` are packages that take the place of those that it lists. To be called in a process of its own."""
    now = _kernel(f"{host.release} {host.machine}")
    if now not in map(_kernel, learnt.kernels):
        yield f"it was learnt on Linux {', '.join(learnt.kernels)}, and this is {now}"
    tree = _tree(*directories)
    there: dict[str, set[str]] = {}
    for scanner in scanners:
        for package in scanner.packages(tree) if scanner.lists else ():
            if isinstance(package, Package):
                there.setdefault(package.name, set()).add(package.version)
    for words in further:
        name, _, version = words.partition(" ")
        there[name] = {version}
    for name, versions in _by_name(learnt.packages).items():
        if not versions & there.get(name, set()):
            yield f"it was learnt with {name} {_either(versions)}, which is {_either(there.get(name, ())) or 'gone'} now"
    root = LinkingRoot(directories)
    for path, digest in learnt.files.items():
        found = root.find(path)
        if found is None or _digest(os.path.join(found[0], found[1].lstrip("/"))) != digest:
            yield f"it was learnt with another {path}"


def _kernel(words: str) -> str:
    """The release and machine of a kernel, without what says no more than which build of it that is."""
    release, _, machine = words.partition(" ")
    return f"{'.'.join(release.split('.')[:2])} {machine}"


def _by_name(packages: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for words in packages:
        name, _, version = words.partition(" ")
        found.setdefault(name, set()).add(version)
    return found


def _either(versions: Iterable[str]) -> str:
    return " or ".join(sorted(versions))


def _tree(*directories: str) -> ScannedRoot:
    root = LinkingRoot(directories)
    return ScannedRoot(-1, root.read, root.names)


def _digest(place: str) -> str:
    """The digest of a file; empty for one that cannot be read."""
    try:
        with open(place, "rb") as file:
            return f"{ALGORITHM}:{hashlib.file_digest(file, ALGORITHM).hexdigest()}"
    except OSError:
        return ""
