"""Imports of the stage's own modules straight from compiled files.

The import system searches each entry of `sys.path` for each module, in Python, which takes longer than loading what it
finds. Here the place is known, and what is always needed together lies in one file, a *pack* (`hardening.packs`), beside
the files that the import system has compiled itself (PEP 552). Either is taken under the same conditions: made by this
version of the interpreter, from sources that have the same time and size now. Whatever is not as expected is left to the
import system.

This module is also run by itself, from the first pack, before there is a package to import from (`begin`).
"""

from __future__ import annotations

import gc
import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any, TypeAlias

    #: Of a module: the path of its source below the package, and the time (nanoseconds) and size (bytes) of that.
    Stamp: TypeAlias = tuple[str, int, int]
else:
    import posix as os

PACKAGE, STAGE = "hardening", "hardening.launch"
EXTENSION = "_cffi_backend"
#: Of packs, changed by every change of what lies in them. What is not of it has another check value (scripts/hardening).
FORMAT = 1
CHECK = 8  # bytes of the check value, with which a pack begins
HEADER = 16  # bytes before the code of one module: magic number, flags, and the source's time and size
#: The modules of each pack, where each stands after those that it imports itself: what every program of the launch stage
#: takes; what a plan takes that is ready; what every launch takes up to its runtime; a native one up to its process; what
#: watches the command; and what the process that becomes the command runs, with a view of the cgroups, a tmpfs that is
#: filled, or a pattern of paths, where it has one.
TABLES = {
    "base": (
        "hardening", "hardening.launch", "compiled", "system", "hardening.errors", "files", "group", "trusted", "places",
        "jsontext", "digest", "frozen", "mountinfo", "bundle", "signals", "guarded",
    ),
    "plans": ("held", "looks", "plans", "quick"),
    "stage": ("leases", "abi", "_libc", "kernel", "failure", "cleaning", "recording", "watchers", "main"),
    "native": (
        "wanted", "config_mounts", "reader", "config_linux", "config_process", "config", "links", "sources", "idmaps",
        "starting", "channel", "native",
    ),
    "watch": ("lookup", "memory", "target", "supervise", "setup", "sinks", "record", "audit"),
    "inner": ("lookup", "mounts", "devices", "identity", "inner"),
    "cgroup": ("cgroups", "cgroup_view"),
    "copyup": ("copyup",),
    "patterns": ("patterns",),
}  # fmt: skip


class Compiled:
    """A finder, and loader of one module (importlib.abc.MetaPathFinder, Loader), for packages, each in one directory."""

    def __init__(self, places: dict[str, str], spec_type: Any, magic: bytes) -> None:
        self._places = places
        self._spec_type = spec_type
        self._magic = magic
        self._codes: dict[str, CodeType] = {}
        self._kept: dict[str, tuple[str, bytes]] = {}
        self._packs: dict[str, bytes | None] = {}

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        """The spec of a module, None where the import system is to find it."""
        if name == EXTENSION:
            return self._extension(name)
        found = self._kept.pop(name, None) or self._find(name)
        if found is None:
            return None
        source, data = found
        self._codes[name] = marshal.loads(memoryview(data)[HEADER:])  # noqa: S302 - what the import system does
        return self._spec(name, source)

    def _extension(self, name: str) -> Any:
        """The spec of an extension module: the import system would list each directory, once for each spelling of it."""
        from _frozen_importlib_external import ExtensionFileLoader
        from _imp import extension_suffixes

        file = f"{name}{extension_suffixes()[0]}"
        for directory in sys.path:
            path = f"{directory}/{file}"
            if os.access(path, os.R_OK):
                spec = self._spec_type(name, ExtensionFileLoader(name, path), origin=path)
                spec.has_location = True
                return spec
        return None

    def create_module(self, _spec: object) -> None:
        """Leave it to the import system to make an ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        exec(self._codes.pop(module.__name__), module.__dict__)  # noqa: S102 - this is importing

    def load(self, table: str) -> bool:
        """Import the modules of a table from its pack, without the import system's locks; False without a pack."""
        if all(map(sys.modules.__contains__, map(full_name, TABLES[table]))):
            return True
        packed = self._packs.pop(table) if table in self._packs else self.packed(table)
        if packed is None:
            return False
        try:
            codes = marshal.loads(packed)  # noqa: S302 - what the import system does
        except (EOFError, ValueError, TypeError):
            return False
        self.run(table, codes)
        return True

    def run(self, table: str, codes: Sequence[CodeType]) -> None:
        """Make the modules of a table of their code, in this order."""
        for name, code in zip(map(full_name, TABLES[table]), codes, strict=True):
            if name not in sys.modules:
                self._run(name, code)

    def _run(self, name: str, code: CodeType) -> None:
        module = sys.modules[name] = type(sys)(name)
        self.describe(module)
        complete = False
        try:
            exec(code, module.__dict__)  # noqa: S102 - this is importing
            complete = True
        finally:
            if not complete:
                del sys.modules[name]
        self.bind(module)

    def describe(self, module: Any) -> None:
        """Say of a module what the import system does."""
        name = module.__name__
        source = self.source(name)
        module.__spec__, module.__loader__, module.__file__ = self._spec(name, source), self, source
        module.__package__ = name if name in self._places else name.rpartition(".")[0]
        if name in self._places:
            module.__path__ = module.__spec__.submodule_search_locations = [self._places[name]]

    def bind(self, module: ModuleType) -> None:
        """Make a module an attribute of its package."""
        above, _, stem = module.__name__.rpartition(".")
        if above:
            setattr(sys.modules[above], stem, module)

    def keep(self, table: str) -> None:
        """Read a pack that will be loaded where its file is out of reach; without one, each module of the table."""
        packed = self._packs[table] = self.packed(table)
        if packed is not None:
            return
        for name in map(full_name, TABLES[table]):
            found = self._find(name) if name not in sys.modules else None
            if found is not None:
                self._kept[name] = found
            elif name not in sys.modules:
                __import__(name)

    def pack(self, table: str) -> str:
        """The path of a table's pack: one for each version of the interpreter's code."""
        return f"{self._places[STAGE]}/__pycache__/{table}.{self._magic.hex()}.pack"

    def packed(self, table: str) -> bytes | None:
        """The marshalled code of a table's modules; None without a whole pack of just their sources."""
        try:
            data = memoryview(_read(self.pack(table)))
            if data[:CHECK] != check_value(data[CHECK:]):
                return None
            stamps, packed = marshal.loads(data[CHECK:])  # noqa: S302
            return packed if stamps == self.stamps(table) else None
        except (OSError, EOFError, ValueError, TypeError):
            return None

    def stamps(self, table: str) -> tuple[Stamp, ...]:
        """The sources of a table's modules as they are now. Raises `OSError`."""
        found = []
        for name in TABLES[table]:
            source = self.source(full_name(name))
            status = os.stat(source)
            found.append((source[len(self._places[PACKAGE]) + 1 :], status.st_mtime_ns, status.st_size))
        return tuple(found)

    def source(self, name: str) -> str:
        """The path of a module's source."""
        if name in self._places:
            return f"{self._places[name]}/__init__.py"
        above, _, stem = name.rpartition(".")
        return f"{self._places[above]}/{stem}.py"

    def _spec(self, name: str, source: str) -> Any:
        spec = self._spec_type(name, self, origin=source)
        spec.has_location = True
        return spec

    def _find(self, name: str) -> tuple[str, bytes] | None:
        """The source of a module, and what its compiled file holds."""
        above, _, stem = name.rpartition(".")
        tag = sys.implementation.cache_tag
        if above not in self._places or tag is None:
            return None
        source = self.source(name)
        try:
            status = os.stat(source)
            data = _read(f"{self._places[above]}/__pycache__/{stem}.{tag}.pyc")
        except OSError:
            return None
        numbers = (0, int(status.st_mtime), status.st_size)
        stamp = b"".join((number & 0xFFFFFFFF).to_bytes(4, "little") for number in numbers)
        return (source, data) if data[:HEADER] == self._magic + stamp else None


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def finder(directory: str) -> Compiled:
    """A finder for the package in a directory, and the launch stage in it."""
    import _frozen_importlib
    import _frozen_importlib_external

    places = {PACKAGE: directory, STAGE: f"{directory}/launch"}
    return Compiled(places, _frozen_importlib.ModuleSpec, _frozen_importlib_external.MAGIC_NUMBER)


def check_value(content: bytes | memoryview) -> bytes:
    """What tells a damaged pack, and one of another format, from a whole one: no seal against who can write it."""
    from _imp import source_hash

    return source_hash(FORMAT, content)


def begin(place: str, codes: Sequence[CodeType]) -> None:
    """Import the first pack, which counts, below ``place``, an entry of `sys.path`, by this module, which is run and in
    `sys.modules`, and nothing else of it."""
    gc.disable()
    found = finder(f"{place}/{PACKAGE}")
    sys.meta_path.insert(0, found)
    found.run("base", codes)
    found.describe(sys.modules[__name__])
    found.bind(sys.modules[__name__])


def use(*tables: str) -> None:
    """Find the modules of `hardening` and `hardening.launch` that are imported from now on this way, and `load` tables."""
    # Until the watch over the command begins nothing is made that only the collector would free (Supervisor.watch).
    gc.disable()
    if sys.pycache_prefix is None and _in_use() is None:
        sys.meta_path.insert(0, finder(sys.modules[PACKAGE].__path__[0]))
    for table in tables:
        load(table)


def load(table: str) -> None:
    """Import the modules of a table, as far as that can be: what is left is imported where it is asked for."""
    found = _in_use()
    if found is not None:
        found.load(table)


def full_name(name: str) -> str:
    """The whole name of a module of the tables."""
    return name if name.startswith(PACKAGE) else f"{STAGE}.{name}"


def _in_use() -> Compiled | None:
    return next((found for found in sys.meta_path if type(found) is Compiled), None)


def read_ahead(*tables: str) -> None:
    """Make sure that the modules of tables can be imported from now on without their files: read, or else imported
    already."""
    found = _in_use()
    for table in tables:
        if found is not None:
            found.keep(table)
            continue
        for name in map(full_name, TABLES[table]):
            __import__(name)
