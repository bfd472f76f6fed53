"""Where an upgrade comes from, as a tree of files: a root, or Debian packages that lie above one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from hardening.base import programs
from hardening.base.values import frozen
from hardening.errors import ImageError, UsageError
from hardening.images import removal
from hardening.images.ids import Ids
from hardening.images.store import ImageStore
from hardening.images.unpacking import tar
from hardening.images.unpacking.tree import SET_GROUP, SET_USER, Limits, Notes, Tree
from hardening.upgrade import written
from hardening.upgrade.difference import NewRights

SUFFIX = ".deb"
#: Packages of one upgrade, and seconds for one of them.
PACKAGES, PATIENCE = 500, 300
_AFTER = "postinst"
_HINT = "dpkg-deb unpacks it (apt-get install dpkg)"


@frozen(eq=False)
class FileTree:
    """A tree of files. ``directories`` are looked up from the first to the last; ``brought`` is the one that has what an
    upgrade brings, empty where that is all of it. ``packages`` are the name and version of the package that brings a path;
    ``set_ids`` are paths whose set-user-ID or set-group-ID bit was left out, ``given`` what scripts of the packages give to
    files; ``image`` names the image that it is of."""

    directories: Sequence[str]
    brought: str = ""
    packages: Mapping[str, str] = MappingProxyType({})
    set_ids: Sequence[str] = ()
    given: Sequence[NewRights] = ()
    image: str = ""


def is_packages(path: str) -> bool:
    """Whether a path names a package, or a directory that has some."""
    return bool(_packages(path))


def _packages(path: str) -> list[str]:
    if os.path.isdir(path):
        return sorted(f"{path}/{name}" for name in os.listdir(path) if name.endswith(SUFFIX))
    return [path] if path.endswith(SUFFIX) and os.path.isfile(path) else []


@contextmanager
def of_packages(path: str, below: Sequence[str], store: ImageStore) -> Iterator[FileTree]:
    """The files of one or several Debian packages above those of a root, for as long as the context lasts, where the store
    of images has what is being made: what is left of a process that is killed goes with the next. Raises `UsageError`,
    `ImageError`."""
    files = _packages(path)
    if len(files) > PACKAGES:
        raise UsageError(f"has more than {PACKAGES} packages", origin=path, hint="name a directory with fewer")
    store.make()
    removal.prune(store.partial)
    with store.stage() as stage:
        place = stage / removal.ROOT
        place.mkdir()
        owners: dict[str, str] = {}
        notes = Notes()
        for file in files:
            _unpack(file, place, owners, notes)
        set_ids = tuple(f"/{name}" for why, name in notes.skipped if why in (SET_USER, SET_GROUP))
        given = tuple(rights for file in files for rights in written.capabilities(_script(file)))
        yield FileTree((str(place), *below), str(place), owners, set_ids, given)


def _unpack(file: str, place: Path, owners: dict[str, str], notes: Notes) -> None:
    label = " ".join(_asked(file, "--showformat=${Package} ${Version}", "--show"))
    tree = Tree(place, Ids(owner=(os.geteuid(), os.getegid())), Limits(), notes, keep_ids=False)
    try:
        with _started(file) as process:
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            reader = tar.TarReader(process.stdout.read, file, header=tree.header)
            tree.begin(file)
            for entry in reader:
                owners["/" + os.fsdecode(entry.name).removeprefix("./").strip("/")] = label
                tree.add(entry, reader)
            while process.stdout.read(1 << 18):
                pass
        if process.returncode:
            raise ImageError("is no Debian package that can be read", origin=file, hint="fetch it again")
        tree.finish()
    finally:
        tree.close()


def _script(file: str) -> str:
    """What a package runs after it was unpacked; empty without one."""
    done = programs.run(["dpkg-deb", "--info", os.path.abspath(file), _AFTER], b"", PATIENCE, env=programs.BARE)
    return "" if done.returncode else done.stdout[: written.LONGEST].decode("utf-8", "replace")


def _asked(file: str, form: str, action: str) -> list[str]:
    try:
        done = programs.run(["dpkg-deb", form, action, os.path.abspath(file)], b"", PATIENCE, env=programs.BARE)
    except FileNotFoundError:
        raise ImageError("dpkg-deb is not installed", origin=file, hint=_HINT) from None
    if done.returncode:
        raise UsageError("is no Debian package", origin=file, hint="name a .deb file")
    return done.stdout.decode("utf-8", "replace").split()


@contextmanager
def _started(file: str) -> Iterator[subprocess.Popen[bytes]]:
    """dpkg-deb, which writes the files of a package as an archive."""
    command = ["dpkg-deb", "--fsys-tarfile", os.path.abspath(file)]
    with programs.start(command, stdout=subprocess.PIPE, env=programs.BARE) as process:
        try:
            yield process
        finally:
            if process.poll() is None and process.stdout is not None:
                process.stdout.close()
