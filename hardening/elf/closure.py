"""A program and its libraries inside of a root, as the dynamic linker would find them (ld.so(8))."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import attrs

from hardening.base.linux import abi, kernel
from hardening.base.linux.resolution import resolve
from hardening.base.values import frozen
from hardening.elf import file
from hardening.elf.binary import Binary, CallsMade
from hardening.elf.malformed import InvalidElf
from hardening.elf.numbers import Location

#: Libraries of one program; bytes and lines of a configuration of the dynamic linker, and files that it includes.
LIBRARIES, TEXT, LINES = 2000, 1 << 20, 1000
#: Functions that load libraries, or look functions up, by names that are known at run time only; and libraries in folders
#: of their own that are looked at for whether a program loads them.
LOADERS = frozenset({"dlopen", "dlmopen", "dlsym", "dlvsym"})
MODULES = 20_000
_CONFIGURED = "/etc/ld.so.conf"
_USUAL = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)


@frozen(eq=False)
class Linked:
    """A program and what it is linked with, in the order in which symbols are looked up, the program first. ``linker`` is
    the dynamic linker, which is one of them; ``missing`` are libraries that the root has not. ``modules`` are those of the
    binaries that the program loads while it runs."""

    binaries: Sequence[Binary]
    linker: Binary | None = None
    missing: Sequence[str] = ()
    modules: Sequence[Binary] = ()

    @cached_property
    def providers(self) -> Mapping[str, tuple[int, Sequence[int]]]:
        """By symbol the place of the first binary that has it, and where it stands there in each of its versions."""
        found: dict[str, tuple[int, Sequence[int]]] = {}
        for index, binary in enumerate(self.binaries):
            for name, symbols in binary.elf.exports.items():
                found.setdefault(name, (index, [symbol.address for symbol in symbols]))
        return found

    @cached_property
    def system_calls(self) -> Sequence[CallsMade]:
        """The system calls that each of the files makes. Raises `TooMuchCode`."""
        wrappers: dict[str, set[Location]] = {}
        found: dict[int, CallsMade] = {}
        # Twice, since who uses a wrapper of another file may be looked at before that is.
        for index in (*reversed(range(len(self.binaries))), *range(len(self.binaries))):
            found[index] = self.binaries[index].system_calls(wrappers)
            for name, places in self.binaries[index].wrappers.items():
                wrappers.setdefault(name, set()).update(places)
        return [found[index] for index in range(len(self.binaries))]

    @cached_property
    def names(self) -> Mapping[tuple[int, int], Collection[str]]:
        """The symbols that stand for a function, by the place of its binary and where it stands there."""
        found: dict[tuple[int, int], list[str]] = {}
        for name, (index, addresses) in self.providers.items():
            for address in addresses:
                found.setdefault((index, address), []).append(name)
        return found

    @cached_property
    def users(self) -> Mapping[str, Collection[int]]:
        """By symbol the places of the binaries that want it of others."""
        found: dict[str, list[int]] = {}
        for index, binary in enumerate(self.binaries):
            for name in binary.elf.imports:
                found.setdefault(name, []).append(index)
        return found


class LinkingRoot:
    """A root that consists of directories, the first of which has what it has: that of a package lies above that of the
    system that it is installed into. Files are read once, and closed, those that it shares with a root ``beside`` it too."""

    def __init__(self, directories: Sequence[str], beside: LinkingRoot | None = None) -> None:
        self.directories = tuple(directories)
        #: By device, inode, and path in the root.
        self._read: dict[tuple[int, int, str], Binary] = beside._read if beside is not None else {}
        self._binaries: dict[str, Binary | InvalidElf] = {}
        self._configured: tuple[str, ...] | None = None

    def find(self, path: str) -> tuple[str, str] | None:
        """The directory that has a file, and the file's path in it with no links on the way; None where none has it."""
        for directory in self.directories:
            found = resolve(path, directory)
            if not found.missing and not found.problem:
                return directory, found.path
        return None

    def open(self, path: str) -> int:
        """A descriptor of a regular file. Raises `OSError`."""
        for directory in self.directories:
            top = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                opened = kernel.openat2(top, os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, abi.IN_ROOT)
            except OSError as error:
                if error.errno in _ABSENT:
                    continue
                raise
            finally:
                os.close(top)
            if stat.S_ISREG(os.fstat(opened).st_mode):
                return opened
            os.close(opened)
            raise OSError(errno.EINVAL, "it is not a regular file", path)
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def read(self, path: str, most: int) -> bytes:
        """The first bytes of a regular file. Raises `OSError`."""
        opened = self.open(path)
        with os.fdopen(opened, "rb") as reader:
            return reader.read(most)

    def binary(self, path: str) -> Binary:
        """A program or library. Raises `InvalidElf`, `OSError`."""
        found = self.find(path)
        real = found[1] if found is not None else path
        if real not in self._binaries:
            try:
                self._binaries[real] = self._opened(real)
            except InvalidElf as error:
                self._binaries[real] = error
        known = self._binaries[real]
        if isinstance(known, InvalidElf):
            raise known
        return known

    def _opened(self, path: str) -> Binary:
        opened = self.open(path)
        try:
            status = os.fstat(opened)
            key = status.st_dev, status.st_ino, path
            if key not in self._read:
                self._read[key] = Binary(path, file.read(opened, status.st_size))
            return self._read[key]
        finally:
            os.close(opened)

    def linked(self, path: str) -> Linked:
        """A program or library with its libraries. Raises `InvalidElf`, `OSError` for itself alone."""
        first = self.binary(path)
        found, missing, linker = {first.path: first}, list[str](), None
        pending: list[tuple[Binary, tuple[str, ...]]] = [(first, ())]
        while pending:
            wanting, inherited = pending.pop(0)
            elf = wanting.elf
            own = () if elf.runpath else (*self._places(wanting, elf.rpath), *inherited)
            places = (*own, *self._places(wanting, elf.runpath), *self.configured(), *_USUAL)
            for name in elf.needed:
                library = self._library(wanting, name, places, first.elf.machine)
                if library is None:
                    missing.append(name)
                elif library.path not in found and len(found) < LIBRARIES:
                    found[library.path] = library
                    pending.append((library, own))
        if first.elf.interpreter:
            try:
                linker = self.binary(first.elf.interpreter)
                found.setdefault(linker.path, linker)
            except (InvalidElf, OSError):
                missing.append(first.elf.interpreter)
        return Linked(tuple(found.values()), linker, tuple(dict.fromkeys(missing)))

    def with_modules(self, program: Linked, near: str = "/usr") -> Linked:
        """A program together with the modules that it may load: libraries in folders where the dynamic linker does not look,
        which want what nobody has but the program, or a library that loads others for it, and nothing else that is not
        there. They are looked for below the usual places, and ``near``, where an environment of its own may be."""
        binaries = {binary.path: binary for binary in program.binaries}
        first = program.binaries[0]
        loading = [
            binary
            for binary in program.binaries
            if binary.elf.imports & LOADERS and (binary is first or binary.elf.soname in first.elf.needed)
        ]
        offered = {name for binary in loading for name in binary.elf.exports}
        loaders = {binary.elf.soname for binary in loading if binary is not first}
        known = {name for binary in program.binaries for name in binary.elf.exports}
        needed = {name for binary in program.binaries for name in binary.elf.needed}
        modules = list[Binary]()
        for path in self._module_paths(near) if offered else ():
            try:
                module = self.binary(path)
                wanted = module.elf.imports & offered
                if not wanted or module.path in binaries or module.elf.machine != first.elf.machine:
                    continue
                libraries = self.linked(path).binaries[1:]
            except (InvalidElf, OSError):
                continue
            own = {name for binary in libraries for name in binary.elf.exports}
            of_library = not loaders.isdisjoint(module.elf.needed) and needed.issuperset(module.elf.needed)
            if (of_library or wanted - own) and module.elf.required <= own | known | module.elf.exports.keys():
                modules.append(module)
                binaries |= {binary.path: binary for binary in (module, *libraries) if binary.path not in binaries}
        return attrs.evolve(program, binaries=tuple(binaries.values()), modules=tuple(modules))

    def _module_paths(self, near: str) -> Sequence[str]:
        """Libraries that the dynamic linker does not find by their names."""
        searched = {place[1] for place in map(self.find, (*self.configured(), *_USUAL)) if place is not None}
        tops = [
            place for place in map(self.find, (*_USUAL, *([near] if near.count("/") > 1 else []))) if place is not None
        ]
        found = dict[str, None]()
        for top in dict.fromkeys(place[1] for place in tops):
            for directory in self.directories:
                for folder, _, names in os.walk(directory.rstrip("/") + top):
                    inside = folder.removeprefix(directory.rstrip("/"))
                    if inside not in searched:
                        found |= dict.fromkeys(f"{inside}/{name}" for name in names if name.endswith(".so"))
        return list(found)[:MODULES]

    def _library(self, wanting: Binary, name: str, places: Sequence[str], machine: str) -> Binary | None:
        for path in [name] if "/" in name else [f"{place}/{name}" for place in dict.fromkeys(places)]:
            try:
                library = self.binary(path)
            except (InvalidElf, OSError):
                continue  # the dynamic linker, too, goes on to the next place
            if library.elf.machine == machine:
                return library
        return None

    def _places(self, wanting: Binary, said: Sequence[str]) -> tuple[str, ...]:
        """The directories of a search path, with what stands for a part of them."""
        origin = os.path.dirname(wanting.path)
        machine = wanting.elf.machine
        return tuple(
            place.replace("$ORIGIN", origin)
            .replace("${ORIGIN}", origin)
            .replace("$LIB", f"lib/{machine}-linux-gnu")
            .replace("${LIB}", f"lib/{machine}-linux-gnu")
            for text in said
            for place in text.split(":")
            if place
        )

    def configured(self) -> tuple[str, ...]:
        """The directories that the root's configuration of the dynamic linker names: glibc's or musl's."""
        if self._configured is None:
            machines = ("x86_64", "aarch64")
            musl = [
                place for machine in machines for place in self._text(f"/etc/ld-musl-{machine}.path").split() if place
            ]
            usual = [f"{top}/{machine}-linux-gnu" for machine in machines for top in ("/lib", "/usr/lib")]
            self._configured = tuple(dict.fromkeys((*self._included(_CONFIGURED), *musl, *usual)))
        return self._configured

    def _included(self, path: str) -> Iterator[str]:
        """The directories of a configuration, with those of files that it includes by a pattern of their names."""
        for line in self._text(path).splitlines()[:LINES]:
            word, _, rest = line.partition("#")[0].strip().partition(" ")
            if word == "include":
                for included in self._matching(rest.strip()):
                    yield from (text.strip() for text in self._text(included).splitlines()[:LINES] if text[:1] == "/")
            elif word.startswith("/"):
                yield word

    def _matching(self, pattern: str) -> list[str]:
        from fnmatch import fnmatchcase

        folder, _, last = pattern.rpartition("/")
        folder = folder if folder.startswith("/") else f"/etc/{folder}"
        return [f"{folder}/{name}" for name in sorted(self.names(folder)) if fnmatchcase(name, last)][:LINES]

    def names(self, folder: str) -> set[str]:
        """The names in a directory, of all directories that have it."""
        found = set[str]()
        for directory in self.directories:
            place = resolve(folder, directory)
            if not place.missing and not place.problem:
                with os.scandir(directory.rstrip("/") + place.path) as listed:
                    found.update(item.name for item in listed)
        return found

    def _text(self, path: str) -> str:
        try:
            return self.read(path, TEXT).decode("utf-8", "surrogateescape")
        except OSError:
            return ""
